package udp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/ike"
)

// both are two outside addresses of IPv6 on the loopback link.
func both(t *testing.T) (a, b *Outside) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := netlink.ParseAddr("fd00:7::2/128")
	if err != nil {
		t.Fatal(err)
	}
	addr.Flags = unix.IFA_F_NODAD
	if err := netlink.AddrReplace(lo, addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.AddrDel(lo, addr) })
	usable(t, addr)
	return listen(t, netip.IPv6Loopback(), Ports{}, Options{RawESP: true}), listen(t, netip.MustParseAddr("fd00:7::2"), Ports{}, Options{RawESP: true})
}

// usable waits until the kernel takes packets for an address: a work queue gives
// it its route, after the address is there.
func usable(t *testing.T, addr *netlink.Addr) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-tick.C {
		routes, err := netlink.RouteGet(addr.IP)
		if err == nil && slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Type == unix.RTN_LOCAL }) {
			return
		}
	}
	t.Fatalf("%v stays without a route", addr)
}

func TestBatchesOverIPv6(t *testing.T) {
	a, b := both(t)
	pkts := numbered(append(same(40, 1400), 8, 100, 100)...)
	tos := bytes.Repeat([]byte{0xb8}, len(pkts))
	for _, k := range []Kind{NAT, Raw} {
		n, err := a.Socket(k).NewWriter().WriteMarked(pkts, tos, netip.Addr{}, to(b, k))
		if err != nil || n != len(pkts) {
			t.Fatalf("%v: wrote %d of %d, %v", k, n, len(pkts), err)
		}
		got, messages := collect(t, b.Socket(k).NewReader(), len(pkts))
		for i, d := range got {
			if !bytes.Equal(d.data, pkts[i]) || d.from != to(a, k) || d.tos != 0xb8 {
				t.Fatalf("%v: packet %d: got %d octets from %v with TOS %#x, want %d from %v with 0xb8", k, i, len(d.data), d.from, d.tos, len(pkts[i]), to(a, k))
			}
		}
		if k == NAT && a.nat.gso.Load() && messages >= len(pkts) {
			t.Errorf("%v: %d messages for %d packets, want trains", k, messages, len(pkts))
		}
	}
}

func TestIKEOverIPv6(t *testing.T) {
	a, b := both(t)
	data := []byte("a message of IKE")
	for _, k := range []Kind{IKE, NAT} {
		if err := a.SendIKE(ike.Datagram{Local: to(a, k), Remote: to(b, k), Data: data}); err != nil {
			t.Fatal(err)
		}
		got, _ := collect(t, b.Socket(k).NewReader(), 1)
		want := data
		if k == NAT {
			want = append(make([]byte, 4), data...)
		}
		if !bytes.Equal(got[0].data, want) || got[0].from != to(a, k) {
			t.Errorf("%v: got %q from %v, want %q from %v", k, got[0].data, got[0].from, want, to(a, k))
		}
	}
}

func TestFamiliesOfOutsideAddressesDoNotMix(t *testing.T) {
	a, _ := both(t)
	c := listen(t, addrA, Ports{}, Options{})
	if _, err := a.nat.NewWriter().Write(numbered(10), netip.Addr{}, to(c, NAT)); err == nil {
		t.Error("a socket of IPv6 writes to 127.0.0.1")
	}
	if _, err := c.nat.NewWriter().Write(numbered(10), netip.Addr{}, to(a, NAT)); err == nil {
		t.Error("a socket of IPv4 writes to ::1")
	}
	if err := a.SendIKE(ike.Datagram{Local: to(a, IKE), Remote: to(c, IKE), Data: []byte{1}}); err == nil {
		t.Error("a socket of IPv6 sends IKE to 127.0.0.1")
	}
	if o, err := Listen(netip.IPv6Unspecified(), Ports{}, Options{}); err == nil {
		o.Close()
		t.Error("accepted ::, of which no answer would know where it comes from")
	}
	path, err := PathTo(a.addr)
	if err != nil || path.Local != a.addr || path.MTU < 1280 {
		t.Errorf("path to ::1: got %+v, %v", path, err)
	}
}
