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

// maxAnnounced is how many prefixes a VPN gateway announces at most (vpn §4.5).
const maxAnnounced = 1000

// connection is the customer's end of c, as a device is told.
func connection(tx *store.Tx, c resource.VPNConnection, announce []netip.Prefix) (device.Connection, error) {
	customer, ok := store.CustomerGateways.Get(tx, c.CustomerGatewayID)
	if !ok {
		return device.Connection{}, fmt.Errorf("the customer gateway %s of %s is gone", c.CustomerGatewayID, c.ID)
	}
	out := device.Connection{ID: string(c.ID), GatewayID: c.Target(), CustomerGatewayID: string(c.CustomerGatewayID), Gateway: gateway.Config{Name: string(c.ID), Forward: true}}
	for _, r := range c.Routes {
		out.Site = append(out.Site, r.Destination)
	}
	if !c.StaticRoutesOnly {
		out.Gateway.BGP = gateway.BGP{ASN: customer.BGPASN, Announce: announce}
		if len(announce) == 0 {
			out.Gateway.BGP.Announce = announced(c)
		}
		out.Site = out.Gateway.BGP.Announce
	}
	for i, o := range c.Tunnels {
		if o.PreSharedKey.IsZero() && c.Options.SecretARN != "" {
			o.PreSharedKey = secret.FromString(fmt.Sprintf("KEY_OF_TUNNEL_%d_IS_IN_SECRETS_MANAGER", i+1))
		}
		t, err := host.CustomerTunnel(o, customer.IPAddress)
		if err != nil {
			return out, err
		}
		t.ID, t.Interface = fmt.Sprintf("tunnel-%d", i+1), fmt.Sprintf("tun%d", i+1)
		t.LocalTS, t.RemoteTS = c.LocalCIDR, c.RemoteCIDR
		if c.StaticRoutesOnly {
			t.Routes = behind(tx, c)
		} else {
			t.BGP = gateway.Session{PeerASN: cloudASN(tx, c), MaxPrefixes: maxAnnounced}
		}
		out.Gateway.Tunnels = append(out.Gateway.Tunnels, t)
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

// behind are the networks behind the cloud's end: the blocks of its VPCs.
func behind(tx *store.Tx, c resource.VPNConnection) (out []netip.Prefix) {
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
