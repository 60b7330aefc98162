package vpn

import (
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// MarkTransitRealised is MarkRealised for transit gateways, their attachments and
// route tables, and the connections at them. What is of a transit gateway, or
// joins a VPC, of whose namespace faulty says so stays as it is.
func MarkTransitRealised(tx *store.Tx, faulty func(namespace string) bool) {
	left := map[resource.TransitGatewayID]bool{}
	for _, g := range store.TransitGateways.List(tx) {
		if left[g.ID] = faulty(string(g.ID)); !left[g.ID] {
			realiseTransit(tx, g)
		}
	}
	for _, c := range store.VPNConnections.List(tx) {
		if c.TransitGatewayID != "" && !left[c.TransitGatewayID] {
			realiseConnection(tx, c)
		}
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if !left[a.TransitGatewayID] && (a.VPCID == "" || !faulty(string(a.VPCID))) {
			realiseAttachment(tx, a)
		}
	}
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		if !left[t.TransitGatewayID] {
			realiseTransitTable(tx, t)
		}
	}
}

func realiseTransit(tx *store.Tx, g resource.TransitGateway) {
	switch g.State {
	case resource.StatePending:
		g.State = resource.StateAvailable
		store.TransitGateways.Put(tx, g.ID, g)
	case resource.StateDeleting:
		store.TransitGateways.Delete(tx, g.ID)
	}
}

func realiseAttachment(tx *store.Tx, a resource.TransitGatewayAttachment) {
	switch a.State {
	case resource.StatePending:
		a.State = resource.StateAvailable
		store.TransitGatewayAttachments.Put(tx, a.ID, a)
	case resource.StateDeleting:
		store.TransitGatewayAttachments.Delete(tx, a.ID)
	}
}

// realiseTransitTable makes a table available, or forgets it with its transit
// gateway, and forgets what attachments that are gone propagated.
func realiseTransitTable(tx *store.Tx, t resource.TransitGatewayRouteTable) {
	if _, stands := store.TransitGateways.Get(tx, t.TransitGatewayID); !stands || t.State == resource.StateDeleting {
		store.TransitGatewayRouteTables.Delete(tx, t.ID)
		return
	}
	t.State = resource.StateAvailable
	t.Propagations = slices.DeleteFunc(t.Propagations, func(id resource.TransitGatewayAttachmentID) bool {
		_, there := store.TransitGatewayAttachments.Get(tx, id)
		return !there
	})
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
}
