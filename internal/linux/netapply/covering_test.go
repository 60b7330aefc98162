package netapply_test

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"seikan/internal/linux/netapply"
)

func TestCoveringIsTheRouteThatIsTaken(t *testing.T) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := netapply.Covering(netip.MustParseAddr("203.0.113.10")); err == nil {
		t.Error("without a route: got no error")
	}
	for _, dst := range []string{"0.0.0.0/0", "203.0.113.0/24", "203.0.113.10/32"} {
		to, err := netlink.ParseIPNet(dst)
		if err != nil {
			t.Fatal(err)
		}
		r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteAdd(r); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netlink.RouteDel(r) })
		if got, err := netapply.Covering(netip.MustParseAddr("203.0.113.10")); err != nil || got.String() != dst {
			t.Errorf("got %v, %v, want %v", got, err, dst)
		}
	}
}
