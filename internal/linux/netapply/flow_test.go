package netapply_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// patience is how long a datagram that must come may take.
const patience = 5 * time.Second

// silence is how long a datagram that must not come is waited for.
const silence = 200 * time.Millisecond

// listen opens a UDP socket inside a namespace.
func listen(t *testing.T, h *netapply.Host, ns, at string) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := h.In(ns, func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s in %s: %v", at, ns, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send sends text from conn to an address.
func send(t *testing.T, conn *net.UDPConn, text, to string) {
	t.Helper()
	if _, err := conn.WriteToUDPAddrPort([]byte(text), netip.MustParseAddrPort(to)); err != nil {
		t.Fatalf("send to %s: %v", to, err)
	}
}

// receive returns the next datagram on conn and who sent it; "" when none
// comes in time.
func receive(t *testing.T, conn *net.UDPConn, wait time.Duration) (string, string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", ""
	}
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return string(buf[:n]), from.String()
}

func TestPacketsMeetTheFilter(t *testing.T) {
	h := newHost(t)
	apply(t, h, routed())
	client, server := listen(t, h, "client", "10.0.1.10:0"), listen(t, h, "server", "10.0.2.10:7000")
	closed := listen(t, h, "server", "10.0.2.10:7001")

	send(t, client, "question", "10.0.2.10:7000")
	got, from := receive(t, server, patience)
	if got != "question" {
		t.Fatalf("open port: got %q, want the question", got)
	}
	send(t, server, "answer", from)
	if got, _ := receive(t, client, patience); got != "answer" {
		t.Errorf("answer of the open port: got %q, want the answer", got)
	}
	send(t, client, "question", "10.0.2.10:7001")
	if got, _ := receive(t, closed, silence); got != "" {
		t.Errorf("closed port: got %q, want nothing", got)
	}
	send(t, server, "unasked", "10.0.1.10:9")
	run(t, h, "client", "ping", "-c1", "-W5", "10.0.2.10")

	// The same packet passes once the plan opens the port.
	want := routed()
	want.Namespaces[0].Tables[0].Sets[0].Elements = []string{"7000", "7001"}
	apply(t, h, want)
	send(t, client, "question", "10.0.2.10:7001")
	if got, _ := receive(t, closed, patience); got != "question" {
		t.Errorf("opened port: got %q, want the question", got)
	}
}

// translated adds to routed a service address 10.0.1.1:53 that stands for the
// server.
func translated(extra ...netspec.NftRule) netspec.Spec {
	s := routed()
	rt := &s.Namespaces[0]
	rt.Tables = append(rt.Tables, netspec.Table{Family: "ip", Name: "seikan_nat", Chains: []netspec.Chain{{
		Name: "pre", Type: "nat", Hook: "prerouting", Priority: "dstnat",
		Rules: append([]netspec.NftRule{{Text: "ip daddr 10.0.1.1 udp dport 53 dnat to 10.0.2.10:7000"}}, extra...),
	}}})
	return s
}

func TestReplacedTableKeepsTranslatedFlows(t *testing.T) {
	h := newHost(t)
	apply(t, h, translated())
	client, server := listen(t, h, "client", "10.0.1.10:0"), listen(t, h, "server", "10.0.2.10:7000")
	send(t, client, "question", "10.0.1.1:53")
	got, from := receive(t, server, patience)
	if got != "question" {
		t.Fatalf("through the translation: got %q, want the question", got)
	}
	report := apply(t, h, translated(netspec.NftRule{Text: "udp dport 54 redirect"}))
	if len(report.Changes) != 1 {
		t.Fatalf("changes: got %q, want the table alone", report.Changes)
	}
	send(t, server, "answer", from)
	if got, source := receive(t, client, patience); got != "answer" || source != "10.0.1.1:53" {
		t.Errorf("answer after the table was replaced: got %q from %q, want it from 10.0.1.1:53", got, source)
	}
}

func TestFlushConntrackTakesTheFlowsOfOneTarget(t *testing.T) {
	h := newHost(t)
	apply(t, h, translated())
	client, server := listen(t, h, "client", "10.0.1.10:0"), listen(t, h, "server", "10.0.2.10:7000")
	send(t, client, "question", "10.0.1.1:53")
	_, from := receive(t, server, patience)
	run(t, h, "client", "ping", "-c1", "-W5", "10.0.2.10")

	target := netip.MustParseAddrPort("10.0.2.10:7000")
	for _, tc := range []struct {
		name string
		flow netapply.Flow
		want int
	}{
		{"another protocol", netapply.Flow{Proto: unix.IPPROTO_TCP, ReplySrc: target}, 0},
		{"another port", netapply.Flow{ReplySrc: netip.MustParseAddrPort("10.0.2.10:7001")}, 0},
		{"the target as it was asked for", netapply.Flow{OrigDst: target}, 0},
		{"the target as it answers", netapply.Flow{Proto: unix.IPPROTO_UDP, ReplySrc: target}, 1},
		{"the same once more", netapply.Flow{ReplySrc: target}, 0},
		{"any port of the target", netapply.Flow{ReplySrc: netip.AddrPortFrom(target.Addr(), 0)}, 1},
	} {
		got, err := h.FlushConntrack(t.Context(), "rt", tc.flow)
		if err != nil || got != tc.want {
			t.Errorf("%s: got %d, %v, want %d", tc.name, got, err, tc.want)
		}
	}
	send(t, server, "late answer", from)
	if got, _ := receive(t, client, silence); got != "" {
		t.Errorf("answer of a flushed flow: got %q, want nothing", got)
	}
	if _, err := h.FlushConntrack(t.Context(), "rt", netapply.Flow{}); err == nil {
		t.Errorf("flush of every entry: got no error, want a refusal")
	}
}

func TestStartedCommandIsInTheNamespace(t *testing.T) {
	h := newHost(t)
	apply(t, h, routed())
	if got := run(t, h, "client", "ip", "-br", "addr", "show", "eth0"); !strings.Contains(got, "10.0.1.10/24") {
		t.Errorf("addresses seen by the command: got %q, want 10.0.1.10/24", got)
	}
	_, err := h.CommandIn(t.Context(), "client", "sh", "-c", "echo why >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), `sh in namespace "client": exit status 3: why`) {
		t.Errorf("failing command: got error %v, want status and standard error", err)
	}
	_, err = h.CommandIn(t.Context(), "nowhere", "true")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("command in a namespace that is not there: got error %v, want not exist", err)
	}
}
