//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// The sites' networks of IPv6. The internet between them has none.
const (
	client6       = "2001:db8:1::2"
	customerSite6 = "2001:db8:1::/64"
	server6       = "2001:db8:2::2"
	serverSite6   = "2001:db8:2::/64"
)

// customerFile6 is our customer gateway with two tunnels that carry IPv6, and
// cloudFile6 AWS's end of them.
const (
	customerFile6 = `
bgp: {asn: 65000, announce: [` + customerSite6 + `]}
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: ` + world.Responder + `, local_id: customer.example, remote_id: ` + world.Responder + `}
    pre_shared_key_file: psk
    inside_cidr: 169.254.10.0/30
    inside_ipv6_cidr: fd00:10::/126
    bgp: {peer_asn: 64512, bfd: {interval: 250ms}}
  - name: t2
    interface: tun2
    outside: {remote_address: ` + world.Responder2 + `, local_id: customer.example, remote_id: ` + world.Responder2 + `}
    pre_shared_key_file: psk
    inside_cidr: 169.254.11.0/30
    inside_ipv6_cidr: fd00:11::/126
    bgp: {peer_asn: 64512, bfd: {interval: 250ms}}
`
	cloudFile6 = `
bgp: {asn: 64512, announce: [` + serverSite6 + `], router_id: 169.254.10.1}
tunnels:
  - name: t1
    interface: tun1
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: fd00:10::1/126
    bgp: {peer_asn: 65000, max_prefixes: 100, med: 100, bfd: {interval: 250ms}}
  - name: t2
    interface: tun2
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder2 + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder2 + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: fd00:11::1/126
    bgp: {peer_asn: 65000, max_prefixes: 100, med: 200, bfd: {interval: 250ms}}
`
)

// layIPv6 gives the sites IPv6.
func layIPv6(w *world.World) {
	for _, line := range []string{
		"client ip address add " + client6 + "/64 dev eth0 nodad",
		"cgw ip address add 2001:db8:1::1/64 dev lan0 nodad",
		"client ip route add default via 2001:db8:1::1",
		"server ip address add " + server6 + "/64 dev eth0 nodad",
		"resp ip address add 2001:db8:2::1/64 dev lan0 nodad",
		"server ip route add default via 2001:db8:2::1",
	} {
		words := strings.Fields(line)
		w.Exec(words[0], words[1:]...)
	}
}

// reach6 checks with one ping that the server answers the client.
func reach6(w *world.World) error {
	if out, err := w.Command("client", "ping", "-6", "-q", "-c", "1", "-W", "1", server6).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// transfer6 sends octets from the client to the server over TCP, and compares.
func transfer6(t *testing.T, w *world.World, octets int) {
	t.Helper()
	var listener net.Listener
	err := w.In("server", func() (err error) {
		listener, err = net.Listen("tcp6", net.JoinHostPort(server6, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sent := make([]byte, octets)
	rand.Read(sent)
	failed := make(chan error, 1)
	go func() {
		failed <- w.In("client", func() error {
			conn, err := net.DialTimeout("tcp6", listener.Addr().String(), 10*time.Second)
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = conn.Write(sent)
			return err
		})
	}()
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(15 * time.Second))
	conn, err := listener.Accept()
	if err != nil {
		t.Fatalf("%v; the client: %v", err, <-failed)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	got, err := io.ReadAll(conn)
	if err != nil || <-failed != nil || !bytes.Equal(got, sent) {
		t.Errorf("transfer: got %d octets of %d, %v", len(got), len(sent), err)
	}
}

// TestIPv6Inside has two tunnels that carry IPv6 over an internet of IPv4, with
// BGP and BFD between their inside addresses.
func TestIPv6Inside(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	layIPv6(w)
	cloud := startText(t, w, "resp", cloudFile6)
	customer := startText(t, w, "cgw", customerFile6)
	w.Until("both sessions at both ends", 60*time.Second, func() error {
		if err := spoken(customer, 1, serverSite6, "t1"); err != nil {
			return err
		}
		return spoken(cloud, 1, customerSite6, "")
	})
	w.Until("BFD", 10*time.Second, func() error { return watchedBy(customer) })
	w.Until("an answer", 10*time.Second, func() error { return reach6(w) })
	transfer6(t, w, 8<<20)
	st, err := customer.Whole()
	if err != nil || st.BGP.RouterID.String() != "169.254.10.2" || st.BGP.Peers[0].Remote.String() != "fd00:10::1" {
		t.Errorf("got %+v, %v, want router ID 169.254.10.2 and the peer fd00:10::1", st.BGP, err)
	}
	for _, tun := range st.Tunnels {
		if tun.Child == nil || tun.Child.LocalTS[0] != "::/0" || tun.Child.RemoteTS[0] != "::/0" || len(tun.Traffic.Drops) > 1 || len(tun.Traffic.Drops) != min(1, int(tun.Traffic.Drops["no-sa"])) {
			t.Errorf("%s: got %+v, drops %v, want ::/0 at both sides, and nothing dropped but what the kernel said before there was an SA", tun.ID, tun.Child, tun.Traffic.Drops)
		}
	}

	w.CutTo(world.Responder)
	took := w.Until("an answer over tunnel 2", 5*time.Second, func() error { return reach6(w) })
	t.Logf("an answer %v after tunnel 1's path was cut", took.Round(10*time.Millisecond))
	w.Cut()
	w.Until("both tunnels cut", 5*time.Second, func() error {
		st, err := customer.Whole()
		if err == nil && !(st.BGP.Peers[0].BFD.Cut && st.BGP.Peers[1].BFD.Cut) {
			err = fmt.Errorf("got %+v and %+v", st.BGP.Peers[0].BFD, st.BGP.Peers[1].BFD)
		}
		return err
	})
	if got := w.Exec("cgw", "ip", "-6", "route", "show", serverSite6); !strings.Contains(got, "unreachable") {
		t.Errorf("route to %s: got %q, want it unreachable", serverSite6, got)
	}
	w.Mend()
	w.Until("an answer after the mend", 60*time.Second, func() error { return reach6(w) })

	// Statically, and with the source translated: the other end knows no route.
	static := strings.NewReplacer("bgp: {asn: 65000, announce: ["+customerSite6+"]}", "routes: ["+serverSite6+"]", "    bgp: {peer_asn: 64512, bfd: {interval: 250ms}}\n", "    source_nat: true\n").Replace(customerFile6)
	reloaded(t, w, customer, static)
	w.Until("the other end's session down", 60*time.Second, func() error {
		st, err := cloud.Whole()
		if err == nil && (st.BGP.Peers[0].Established || st.BGP.Peers[1].Established) {
			err = fmt.Errorf("got %+v", st.BGP.Peers)
		}
		return err
	})
	w.Until("an answer to the inside address", 10*time.Second, func() error { return reach6(w) })
	if packets, _ := w.Seen("clear"); packets != 0 {
		t.Errorf("%d packets crossed the internet in clear", packets)
	}
	customer.Stop()
	if got := w.Exec("cgw", "ip", "-6", "route", "show", serverSite6); got != "" {
		t.Errorf("after the end: got %q, want no route", got)
	}
}
