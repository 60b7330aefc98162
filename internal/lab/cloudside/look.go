package cloudside

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/cloud/reach"
	"seikan/internal/cloud/sample"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/lab"
	"seikan/internal/lab/topology"
	"seikan/internal/why"
)

// Look is what the cloud knows of a's way through a connection of the topology.
func (s *Side) Look(ctx context.Context, a why.Ask, name string) (e why.Evidence, err error) {
	id, ok := s.made.connections[name]
	if !ok {
		return e, fmt.Errorf("no VPN connection is called %q", name)
	}
	var gatewayID string             // of a VPN gateway or a transit gateway
	var routes []gateway.RouteStatus // of a transit gateway
	err = s.store.View(ctx, func(tx *store.Tx) (err error) {
		e, err = reach.Look(tx, a, id)
		row, _ := store.VPNConnections.Get(tx, id)
		gatewayID, routes = row.Target(), transitRoutes(tx, row.TransitGatewayID)
		return err
	})
	if err != nil {
		return e, err
	}
	var status *gateway.Status
	if st, ok := s.host.Gateways()[gatewayID]; ok {
		if e.Transit != nil {
			st.Routes = routes
		}
		status = &st
	}
	e.Cloud = lab.CloudEvidence(gatewayID, status, string(id))
	return e, nil
}

// Sample writes a configuration as the account that owns the connection would be
// given it, for a device at the place of the lab's own customer gateway.
func (s *Side) Sample(ctx context.Context, ask lab.Sample) (out []lab.SampleFile, err error) {
	at := slices.IndexFunc(s.cfg.Topology.VPN, func(c topology.Connection) bool { return c.Name == ask.Connection })
	if at < 0 {
		return nil, fmt.Errorf("no VPN connection is called %q", ask.Connection)
	}
	c := s.cfg.Topology.VPN[at]
	in := sample.ConfigurationInput{VPNConnectionID: s.made.connections[c.Name], DeviceTypeID: ask.Device, InternetKeyExchangeVersion: ask.IKE, SampleType: ask.Type,
		Announce: c.BGP.Announce, Interface: ask.Interface, Local: ask.Local}
	if h, _, ok := s.cfg.Topology.Host(c.CustomerGateway); ok && !in.Local.IsValid() {
		in.Local = h.Address
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		row, _ := store.VPNConnections.Get(tx, in.VPNConnectionID)
		files, err := sample.GetVPNConnectionDeviceSampleConfiguration(tx, row.OwnerID, in)
		for _, f := range files {
			out = append(out, lab.SampleFile(f))
		}
		return err
	})
	return out, err
}

// Replace asks for a new end of the tunnel with the outside address.
func (s *Side) Replace(ctx context.Context, outside netip.Addr) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		for _, id := range s.made.connections {
			row, ok := store.VPNConnections.Get(tx, id)
			if ok && (row.Tunnels[0].OutsideIP == outside || row.Tunnels[1].OutsideIP == outside) {
				return vpn.ReplaceVPNTunnel(tx, row.OwnerID, vpn.ReplaceVPNTunnelInput{ID: id, OutsideIP: outside})
			}
		}
		return fmt.Errorf("replace %v: no tunnel has this outside address; `seikan lab status` shows them", outside)
	})
}
