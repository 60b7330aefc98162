package vpn

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// aroundTransit is what stands around transit gateway tgw-1: VPC 1's router, and
// links that take the place of two tunnels, behind which are sites, the second with
// a smaller MTU. The first has an address of the second's network, too.
func aroundTransit() netspec.Spec {
	site := func(name, tun, inside, far string, mtu int, addrs ...string) []netspec.Namespace {
		lo := netspec.Link{Name: "lo", Kind: netspec.Loopback}
		for _, a := range addrs {
			lo.Addrs = append(lo.Addrs, prefix(a))
		}
		eth := netspec.Link{Name: "eth0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "tgw-1", Link: tun}, Addrs: []netip.Prefix{prefix(far)}, MTU: mtu}
		back := netspec.Link{Name: tun, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: name, Link: "eth0"}, Addrs: []netip.Prefix{prefix(inside)}, MTU: mtu}
		return []netspec.Namespace{
			{Name: name, Links: []netspec.Link{lo, eth}, Routes: []netspec.Route{{Dst: prefix("0.0.0.0/0"), Via: back.Addrs[0].Addr(), Dev: "eth0", Src: lo.Addrs[0].Addr()}}},
			{Name: "tgw-1", Links: []netspec.Link{back}},
		}
	}
	router := netspec.Namespace{Name: "vpc-1", Links: []netspec.Link{{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{prefix("10.0.1.10/32")}}}}
	for _, dst := range []string{"172.20.0.0/16", "192.168.1.0/24"} {
		router.Routes = append(router.Routes, netspec.Route{Dst: prefix(dst), Via: netip.MustParseAddr("240.255.0.1"), Dev: "tgwa", OnLink: true, Src: netip.MustParseAddr("10.0.1.10")})
	}
	spaces := append(site("one", "tun1", "169.254.10.1/30", "169.254.10.2/30", 1500, "192.168.1.10/32", "172.20.0.10/32"),
		site("two", "tun4", "169.254.13.1/30", "169.254.13.2/30", 1400, "172.20.0.11/32")...)
	return netspec.Spec{Namespaces: append(spaces, router)}
}

// The plan in the kernel. Who sends from one site to another what is too large and
// may not be cut is told, by the tunnel that it came by, though another table leads
// elsewhere with its address (vpn §3.5). And when a TUN goes with its worker, what
// it carried is dropped, though there is a wider route in the table.
func TestATransitGatewayAnswersBackAndLetsNothingAstray(t *testing.T) {
	h := cloudtest.NewGround(t)
	s := transitSnapshot()
	s.Connections[1].Telemetry[1] = resource.TunnelTelemetry{} // one tunnel of each
	s.TransitAttachments[2].RouteTableID = "tgw-rtb-in"
	s.TransitTables[1].Routes = []resource.TransitGatewayStaticRoute{{Destination: prefix("192.168.1.10/32"), AttachmentID: "tgw-attach-b"}}
	plan := MakePlan(s).Spec
	for i, n := range plan.Namespaces { // other links are in the place of these
		plan.Namespaces[i].Links = slices.DeleteFunc(n.Links, func(l netspec.Link) bool { return l.Name == "tun1" || l.Name == "tun4" })
	}
	spec, err := netspec.Merge(plan, aroundTransit())
	if err != nil {
		t.Fatal(err)
	}
	h.Lay(spec)
	if again, err := h.Apply(t.Context(), spec); err != nil || len(again.Changes) > 0 {
		t.Errorf("applied again: got changes %v and %v, want none", again.Changes, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for told := ""; !strings.Contains(told, "mtu = 1400") && !strings.Contains(told, "mtu=1400"); {
		out, err := h.CommandIn(t.Context(), "one", "ping", "-c", "1", "-W", "0.3", "-M", "do", "-s", "1450", "172.20.0.11")
		if told = string(out); err != nil {
			told += err.Error()
		}
		if time.Now().After(deadline) {
			t.Fatalf("site one was not told that it sends too much: %s", told)
		}
	}

	astray, sentinel := socket(t, h, "one", "172.20.0.10:7"), socket(t, h, "one", "192.168.1.10:7")
	from := socket(t, h, "vpc-1", "10.0.1.10:0")
	if out, err := h.CommandIn(t.Context(), "tgw-1", "ip", "link", "del", "tun4"); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	send(t, from, astray.LocalAddr(), "secret")
	for got := ""; got == ""; {
		send(t, from, sentinel.LocalAddr(), "after it")
		got, _ = receive(t, sentinel, 300*time.Millisecond)
		if time.Now().After(deadline) {
			t.Fatal("site one has nothing from the VPC")
		}
	}
	if got, _ := receive(t, astray, 300*time.Millisecond); got != "" {
		t.Errorf("site one received %q, which was for site two", got)
	}
}
