package tun_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"seikan/internal/ipsec/dataplane/tun"
)

// A route over two TUNs uses the one that is plugged in, when the kernel minds that,
// both again when the other is back, and neither goes away meanwhile.
func TestFlowsLeaveALinkWithoutACarrier(t *testing.T) {
	for _, s := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+s+"/ignore_routes_with_linkdown", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/fib_multipath_hash_policy", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	var devices []*tun.TUN
	var hops []*netlink.NexthopInfo
	for i, name := range []string{"vpn8", "vpn9"} {
		dev, err := tun.Open(name, 1400)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		up(t, name, fmt.Sprintf("192.0.2.%d/30", 1+4*i))
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		devices, hops = append(devices, dev), append(hops, &netlink.NexthopInfo{LinkIndex: link.Attrs().Index})
	}
	_, dst, _ := net.ParseCIDR("198.18.0.0/15")
	if err := netlink.RouteAdd(&netlink.Route{Dst: dst, MultiPath: hops, Scope: netlink.SCOPE_LINK}); err != nil {
		t.Fatal(err)
	}
	// used are the links that a hundred flows take.
	used := func() (first, second int) {
		for i := range 100 {
			routes, err := netlink.RouteGet(netip.AddrFrom4([4]byte{198, 18, 1, byte(i)}).AsSlice())
			if err != nil || len(routes) != 1 {
				t.Fatalf("got %v, %v, want one route", routes, err)
			}
			if routes[0].LinkIndex == hops[0].LinkIndex {
				first++
			} else {
				second++
			}
		}
		return first, second
	}
	for _, c := range []struct {
		what string
		on   bool
		want func(first, second int) bool
	}{
		{"both plugged in", true, func(a, b int) bool { return a > 20 && b > 20 }},
		{"the second unplugged", false, func(a, b int) bool { return a == 100 }},
		{"the second plugged in again", true, func(a, b int) bool { return a > 20 && b > 20 }},
	} {
		if err := devices[1].SetCarrier(c.on); err != nil {
			t.Fatal(err)
		}
		var a, b int
		for deadline := time.Now().Add(5 * time.Second); ; {
			if a, b = used(); c.want(a, b) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: flows take the links %d and %d times", c.what, a, b)
			}
		}
		t.Logf("%s: %d and %d", c.what, a, b)
	}
}
