package cloudside

import (
	"context"
	"fmt"

	"seikan/internal/cloud/reach"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/gateway"
	"seikan/internal/lab"
	"seikan/internal/why"
)

// Look is what the cloud knows of a's way through a connection of the topology.
func (s *Side) Look(ctx context.Context, a why.Ask, name string) (e why.Evidence, err error) {
	id, ok := s.made.connections[name]
	if !ok {
		return e, fmt.Errorf("no VPN connection is called %q", name)
	}
	var gatewayID resource.VPNGatewayID
	err = s.store.View(ctx, func(tx *store.Tx) (err error) {
		e, err = reach.Look(tx, a, id)
		row, _ := store.VPNConnections.Get(tx, id)
		gatewayID = row.VPNGatewayID
		return err
	})
	if err != nil {
		return e, err
	}
	var status *gateway.Status
	if st, ok := s.host.Gateways()[string(gatewayID)]; ok {
		status = &st
	}
	e.Cloud = lab.CloudEvidence(string(gatewayID), status, string(id))
	return e, nil
}
