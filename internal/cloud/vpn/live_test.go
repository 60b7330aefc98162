package vpn

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// around is what stands at both sides of gateway vgw-1: a site whose link takes
// the place of a tunnel, and the VPC's router with one instance.
func around() netspec.Spec {
	link := func(name, peerNS, peer string, addrs ...string) netspec.Link {
		l := netspec.Link{Name: name, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: peerNS, Link: peer}}
		for _, a := range addrs {
			l.Addrs = append(l.Addrs, prefix(a))
		}
		return l
	}
	route := func(dst, via, dev string) netspec.Route {
		return netspec.Route{Dst: prefix(dst), Via: netip.MustParseAddr(via), Dev: dev}
	}
	return netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "site", Links: []netspec.Link{link("eth0", "vgw-1", "tun1", "192.168.1.10/24", "10.0.9.9/32")},
			Routes: []netspec.Route{route("10.0.0.0/16", "192.168.1.1", "eth0")}},
		{Name: "vgw-1", Links: []netspec.Link{link("tun1", "site", "eth0", "192.168.1.1/24")}},
		{Name: "vpc-1", Links: []netspec.Link{link("eni", "instance", "eth0", "10.0.1.1/24")},
			Sysctls: map[string]string{"net.ipv4.ip_forward": "1"},
			Routes:  []netspec.Route{route("192.168.1.0/24", "240.255.0.1", "vgw")}},
		{Name: "instance", Links: []netspec.Link{link("eth0", "vpc-1", "eni", "10.0.1.10/24")},
			Routes: []netspec.Route{route("0.0.0.0/0", "10.0.1.1", "eth0")}},
	}}
}

// The plan in the kernel: a datagram goes from the site through the gateway and
// the router to the instance and is answered; one that pretends to come from
// the VPC, sent before it, never arrives.
func TestAGatewayCarriesBothWaysAndChecksSources(t *testing.T) {
	h := cloudtest.NewGround(t)
	spec, err := netspec.Merge(MakePlan(snapshot()).Spec, around())
	if err != nil {
		t.Fatal(err)
	}
	h.Lay(spec)
	if again, err := h.Apply(t.Context(), spec); err != nil || len(again.Changes) > 0 {
		t.Errorf("applied again: got changes %v and %v, want none", again.Changes, err)
	}

	deadline := time.Now().Add(10 * time.Second)
	instance := socket(t, h, "instance", "10.0.1.10:7")
	forged := socket(t, h, "site", "10.0.9.9:0")
	honest := socket(t, h, "site", "192.168.1.10:0")
	// A new link loses what is sent before it is quite up: ask until answered.
	for got := ""; got != "answer"; {
		send(t, honest, instance.LocalAddr(), "first")
		if text, from := receive(t, instance, 300*time.Millisecond); text == "first" {
			send(t, instance, from, "answer")
			got, _ = receive(t, honest, 300*time.Millisecond)
		}
		if time.Now().After(deadline) {
			t.Fatal("the site has no answer from the instance")
		}
	}
	send(t, forged, instance.LocalAddr(), "forged")
	send(t, honest, instance.LocalAddr(), "second")
	got := "first"
	for got == "first" { // one that came late
		got, _ = receive(t, instance, 10*time.Second)
	}
	if got != "second" {
		t.Errorf("the instance received %q, want second", got)
	}
}

// socket opens a UDP socket in a namespace until the test ends.
func socket(t *testing.T, h *cloudtest.Ground, namespace, addr string) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := h.In(namespace, func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn *net.UDPConn, to net.Addr, text string) {
	t.Helper()
	if _, err := conn.WriteTo([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// receive waits for a datagram; its text is empty when none came.
func receive(t *testing.T, conn *net.UDPConn, wait time.Duration) (string, net.Addr) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, err := conn.ReadFrom(b)
	if err != nil {
		return "", nil
	}
	return string(b[:n]), from
}
