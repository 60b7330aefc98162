package vpn

import (
	"net/netip"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// onTransit is a connection at h's transit gateway for a customer gateway with
// the address.
func (h *hub) onTransit(customer string) CreateVPNConnectionInput {
	h.Helper()
	var made resource.CustomerGateway
	h.do(func(tx *store.Tx) (err error) {
		made, err = CreateCustomerGateway(tx, alice, customerInput(customer))
		return err
	})
	return CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: made.ID, TransitGatewayID: h.gateway.ID}
}

// A connection with IPv6 inside has blocks of both families, of which no other
// tunnel of its gateway has one, selectors of IPv6, and ends in the block of IPv6
// (vpn §2.1, §3.4, §4.7).
func TestIPv6InsideHasBlocksAndSelectorsOfItsOwn(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{AmazonSideASN: 64600})
	in := h.onTransit("198.51.100.2")
	in.Options.TunnelInsideIPVersion = "ipv6"
	in.Options.RemoteIPv6NetworkCIDR = prefix("2001:db8::1/32")
	in.Tunnels[1].InsideIPv6CIDR = prefix("fd00:10::7/126")
	row := h.connect(in)
	one, two := row.Tunnels[0], row.Tunnels[1]
	if two.InsideIPv6CIDR != prefix("fd00:10::4/126") || two.InsideLocal() != netip.MustParseAddr("fd00:10::5") || two.InsideRemote() != netip.MustParseAddr("fd00:10::6") {
		t.Errorf("tunnel 2: got %v, %v, %v, want the block without host bits, and its first and second address", two.InsideIPv6CIDR, two.InsideLocal(), two.InsideRemote())
	}
	if p := one.InsideIPv6CIDR; !prefix("fd00::/8").Contains(p.Addr()) || p.Bits() != 126 || p != p.Masked() || p == two.InsideIPv6CIDR {
		t.Errorf("tunnel 1: got %v, want a /126 of fd00::/8 of its own", p)
	}
	if !one.InsideCIDR.IsValid() || !two.InsideCIDR.IsValid() {
		t.Errorf("got %v and %v, want blocks of IPv4 besides", one.InsideCIDR, two.InsideCIDR)
	}
	if row.LocalCIDR != prefix("::/0") || row.RemoteCIDR != prefix("2001:db8::/32") {
		t.Errorf("selectors: got %v and %v, want ::/0 and 2001:db8::/32", row.LocalCIDR, row.RemoteCIDR)
	}
	h.refused("InvalidCidr.InUse", creating(in), "TunnelOptions.2.TunnelInsideIpv6Cidr: fd00:10::4/126 is used by "+string(row.ID))
	in.Tunnels[0].InsideIPv6CIDR, in.Tunnels[1].InsideIPv6CIDR = prefix("fd00:11::/126"), prefix("fd00:11::/126")
	h.refused("InvalidCidr.InUse", creating(in), "the other tunnel")
	in.Tunnels[1].InsideIPv6CIDR = prefix("fd00:12::/126")
	in.LocalIPv4NetworkCIDR = prefix("192.168.0.0/16")
	h.refused("InvalidParameterCombination", creating(in), "LocalIpv4NetworkCidr: 192.168.0.0/16 is for connections whose TunnelInsideIpVersion is ipv4")
	in.LocalIPv4NetworkCIDR, in.Options.RemoteIPv6NetworkCIDR = netip.Prefix{}, prefix("10.0.0.0/8")
	h.refused("InvalidParameterValue", creating(in), "RemoteIpv6NetworkCidr: 10.0.0.0/8 is not an IPv6 block")
	in = h.onTransit("198.51.100.2")
	in.Tunnels[0].InsideIPv6CIDR = prefix("fd00::/126")
	h.refused("InvalidParameterCombination", creating(in), "TunnelOptions.1.TunnelInsideIpv6Cidr: fd00::/126 is for connections whose TunnelInsideIpVersion is ipv6")
}

// What of IPv6 a connection has it keeps (vpn §1.4, §4.7).
func TestIPv6InsideIsModified(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{AmazonSideASN: 64600})
	in := h.onTransit("198.51.100.2")
	in.Options.TunnelInsideIPVersion = "ipv6"
	row := h.available(in)
	in.Tunnels[0].InsideIPv6CIDR = prefix("fd00:20::/126")
	h.available(in)
	block := func(p string) func(*store.Tx) error {
		return modifyingTunnel(ModifyVPNTunnelOptionsInput{ID: row.ID, OutsideIP: row.Tunnels[0].OutsideIP, Options: TunnelOptionsInput{InsideIPv6CIDR: prefix(p)}})
	}
	h.refused("InvalidCidr.InUse", block("fd00:20::/126"), "TunnelInsideIpv6Cidr")
	h.refused("InvalidCidr.InUse", block(row.Tunnels[1].InsideIPv6CIDR.String()), "the other tunnel")
	h.refused("InvalidParameterCombination", func(tx *store.Tx) error {
		g, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1", AmazonSideASN: 64700})
		if err != nil {
			return err
		}
		_, err = ModifyVPNConnection(tx, alice, ModifyVPNConnectionInput{ID: row.ID, VPNGatewayID: g.ID})
		return err
	}, "needs a transit gateway and cannot be changed")
	options := func(in ModifyVPNConnectionOptionsInput) func(*store.Tx) error {
		in.ID = row.ID
		return func(tx *store.Tx) error {
			_, err := ModifyVPNConnectionOptions(tx, alice, in)
			return err
		}
	}
	h.refused("InvalidParameterCombination", options(ModifyVPNConnectionOptionsInput{LocalIPv4NetworkCIDR: prefix("10.0.0.0/8")}), "LocalIpv4NetworkCidr")
	h.do(block("fd00:21::/126"))
	h.realise()
	h.do(options(ModifyVPNConnectionOptionsInput{LocalIPv6NetworkCIDR: prefix("2001:db8:1::/48")}))
	after, _ := h.connection(row.ID)
	if !after.Options.InsideIPv6 || after.Tunnels[0].InsideIPv6CIDR != prefix("fd00:21::/126") || after.LocalCIDR != prefix("2001:db8:1::/48") || after.RemoteCIDR != prefix("::/0") {
		t.Errorf("got %+v, %v, %v, %v, want what was named changed and nothing else", after.Options, after.Tunnels[0].InsideIPv6CIDR, after.LocalCIDR, after.RemoteCIDR)
	}
}

// Outside addresses of IPv6 are another choice than the family inside (vpn §4.7):
// both ends of a tunnel have one, and only where it was asked for.
func TestIPv6OutsideIsOfOneFamily(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{AmazonSideASN: 64600})
	six := h.onTransit("2001:db8:50::2")
	six.Options.OutsideIPAddressType = "Ipv6"
	h.refused("InsufficientAddressCapacity", creating(six), "two outside addresses of IPv6")
	h.do(func(tx *store.Tx) error {
		putPool(tx, "edge", "203.0.113.10", "2001:db8:52::10", "203.0.113.11", "2001:db8:52::11")
		return nil
	})
	got := h.connect(six)
	if got.Tunnels[0].OutsideIP != netip.MustParseAddr("2001:db8:52::10") || got.Tunnels[1].OutsideIP != netip.MustParseAddr("2001:db8:52::11") || !got.Options.OutsideIPv6 {
		t.Errorf("got %v, %v, %+v, want the two addresses of IPv6", got.Tunnels[0].OutsideIP, got.Tunnels[1].OutsideIP, got.Options)
	}
	four := h.onTransit("198.51.100.2")
	if got := h.connect(four); !got.Tunnels[0].OutsideIP.Is4() || !got.Tunnels[1].OutsideIP.Is4() {
		t.Errorf("got %v and %v, want two of IPv4", got.Tunnels[0].OutsideIP, got.Tunnels[1].OutsideIP)
	}
	four.Options.OutsideIPAddressType = "Ipv6"
	h.refused("InvalidParameterCombination", creating(four), "OutsideIpAddressType", "has the address 198.51.100.2")
	six.Options.OutsideIPAddressType = ""
	h.refused("InvalidParameterCombination", creating(six), "OutsideIpAddressType", "has the address 2001:db8:50::2")
	h.realise()
	h.refused("InvalidParameterCombination", func(tx *store.Tx) error {
		_, err := ModifyVPNConnection(tx, alice, ModifyVPNConnectionInput{ID: got.ID, CustomerGatewayID: four.CustomerGatewayID})
		return err
	}, "OutsideIpAddressType")
}
