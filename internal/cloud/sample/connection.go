package sample

import (
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/cloud/host"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/gateway"
	"seikan/internal/secret"
	"seikan/internal/site/device"
)

// How many prefixes a VPN gateway, and a transit gateway, announce at most (vpn
// §4.5).
const (
	maxAnnounced        = 1000
	maxTransitAnnounced = 5000
)

// CustomerEnd is the customer's end of c as a gateway of ours would run it, with
// tunnel-1 on tun1 and tunnel-2 on tun2. The caller adds what is announced or, with
// static routing, routed, and certificates.
func CustomerEnd(tx *store.Tx, c resource.VPNConnection) (gateway.Config, error) {
	customer, ok := store.CustomerGateways.Get(tx, c.CustomerGatewayID)
	if !ok {
		return gateway.Config{}, fmt.Errorf("the customer gateway %s of %s is gone", c.CustomerGatewayID, c.ID)
	}
	out := gateway.Config{Name: string(c.ID), Forward: true}
	if !c.StaticRoutesOnly {
		out.BGP.ASN = customer.BGPASN
	}
	if first := c.Tunnels[0]; !c.StaticRoutesOnly && first.Inside().Addr().Is6() {
		// A session over IPv6 needs an address of IPv4 for a name.
		out.BGP.RouterID = first.InsideCIDR.Masked().Addr().Next().Next()
	}
	most := maxAnnounced
	if c.TransitGatewayID != "" {
		most = maxTransitAnnounced
	}
	for i, o := range c.Tunnels {
		t, err := host.CustomerTunnel(o, customer.IPAddress)
		if err != nil {
			return out, err
		}
		t.ID, t.Interface = fmt.Sprintf("tunnel-%d", i+1), fmt.Sprintf("tun%d", i+1)
		t.LocalTS, t.RemoteTS = narrowed(c.LocalCIDR), narrowed(c.RemoteCIDR)
		if !c.StaticRoutesOnly {
			t.BGP = gateway.Session{PeerASN: cloudASN(tx, c), MaxPrefixes: most, BFD: gateway.BFD(o.BFD)}
		}
		out.Tunnels = append(out.Tunnels, t)
	}
	return out, nil
}

// narrowed is a selector as a gateway has it, for which nothing is everything.
func narrowed(p netip.Prefix) netip.Prefix {
	if p.IsValid() && p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// connection is the customer's end of c, as a device is told. One that has no BFD is
// told of none: the path is then watched by neither end, as with AWS (vpn §4.2).
func connection(tx *store.Tx, c resource.VPNConnection, typ device.Type, announce []netip.Prefix) (device.Connection, error) {
	end, err := CustomerEnd(tx, c)
	if err != nil {
		return device.Connection{}, err
	}
	out := device.Connection{ID: string(c.ID), GatewayID: c.Target(), CustomerGatewayID: string(c.CustomerGatewayID), Gateway: end}
	out.Site = site(tx, c)
	if !c.StaticRoutesOnly {
		if out.Gateway.BGP.Announce = announce; len(announce) == 0 {
			out.Gateway.BGP.Announce = announced(c)
		}
		out.Site = out.Gateway.BGP.Announce
	}
	for i := range out.Gateway.Tunnels {
		t := &out.Gateway.Tunnels[i]
		if t.PSK.IsZero() && c.Options.SecretARN != "" {
			t.PSK = secret.FromString(fmt.Sprintf("KEY_OF_TUNNEL_%d_IS_IN_SECRETS_MANAGER", i+1))
		}
		if c.StaticRoutesOnly {
			t.Routes = behind(tx, c)
		}
		if !typ.BFD() {
			t.BGP.BFD = gateway.BFD{}
		}
	}
	return out, nil
}

// announced are the networks that the customer gateway announces now.
func announced(c resource.VPNConnection) (out []netip.Prefix) {
	for _, t := range c.Telemetry {
		for _, r := range t.Learned {
			out = append(out, r.Prefix)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// site are the networks at the customer's end of a static connection: its routes or,
// at a transit gateway, those of the tables that lead to its attachment.
func site(tx *store.Tx, c resource.VPNConnection) (out []netip.Prefix) {
	for _, r := range c.Routes {
		out = append(out, r.Destination)
	}
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		for _, r := range t.Routes {
			if a, ok := store.TransitGatewayAttachments.Get(tx, r.AttachmentID); ok && r.AttachmentID != "" && a.VPNConnectionID == c.ID {
				out = append(out, r.Destination)
			}
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// behind are the networks behind the cloud's end: the blocks of its VPCs, which
// have no IPv6.
func behind(tx *store.Tx, c resource.VPNConnection) (out []netip.Prefix) {
	if c.Options.InsideIPv6 {
		return nil
	}
	add := func(id resource.VPCID) {
		if v, ok := store.VPCs.Get(tx, id); ok && id != "" {
			out = append(out, v.CIDR)
		}
	}
	if g, ok := store.VPNGateways.Get(tx, c.VPNGatewayID); ok && c.VPNGatewayID != "" {
		add(g.Attachment.VPCID)
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if c.TransitGatewayID != "" && a.TransitGatewayID == c.TransitGatewayID && a.Type == resource.AttachVPC && a.Alive() {
			add(a.VPCID)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// cloudASN is the number of the cloud's end; 0 without one.
func cloudASN(tx *store.Tx, c resource.VPNConnection) uint32 {
	if g, ok := store.VPNGateways.Get(tx, c.VPNGatewayID); ok && c.VPNGatewayID != "" {
		return g.AmazonSideASN
	}
	if g, ok := store.TransitGateways.Get(tx, c.TransitGatewayID); ok && c.TransitGatewayID != "" {
		return g.AmazonSideASN
	}
	return 0
}
