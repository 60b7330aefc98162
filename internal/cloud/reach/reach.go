// Package reach looks up what of the cloud lies on the way of a client behind a
// VPN connection to a destination: the connection, the VPC, its route tables,
// security groups, endpoints and load balancers, as evidence for package why.
//
// It reads rows of all features and changes none, sends no packet and judges
// nothing. The lab calls it, as the API of an analyzer may.
package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/why"
)

// Look fills in what the rows say of a's way through the connection id: of e
// only the parts Connection, Transit, VPC, Endpoint, Balancer, Target and what the name's
// zone is associated with. Its error says that there is no such connection.
func Look(tx *store.Tx, a why.Ask, id resource.VPNConnectionID) (e why.Evidence, err error) {
	conn, ok := store.VPNConnections.Get(tx, id)
	if !ok {
		return e, fmt.Errorf("there is no VPN connection %s", id)
	}
	device, _ := store.CustomerGateways.Get(tx, conn.CustomerGatewayID)
	e.Connection = &why.Connection{
		ID: string(conn.ID), State: string(conn.State), Static: conn.StaticRoutesOnly, CustomerAddress: device.IPAddress, CustomerASN: device.BGPASN,
		Insides: [2]netip.Prefix{conn.Tunnels[0].Inside(), conn.Tunnels[1].Inside()},
	}
	for i, end := range conn.Endpoints {
		if end.Busy() {
			e.Connection.Replaced = i + 1
		}
	}
	v, ok := lookVPC(tx, &e, conn, a)
	if !ok {
		return e, nil
	}
	e.Name = zoneOf(tx, a.Destination, v.ID)
	eni, ok := interfaceAt(tx, v.ID, a.To)
	if !ok {
		return e, nil
	}
	if e.Transit != nil {
		e.Transit.Zone = zoneApart(tx, e.Transit, eni)
	}
	lookTable(tx, e.VPC, eni, a.From)
	groups := groupsAt(tx, eni, a)
	if eni.Type != resource.InterfaceVPCEndpoint {
		name := cmp.Or(eni.Tags.Name(), string(eni.Attachment.InstanceID), string(eni.ID))
		if i, ok := store.Instances.Get(tx, eni.Attachment.InstanceID); ok {
			name = cmp.Or(i.Tags.Name(), name)
		}
		e.Target = &why.Target{Name: name, Running: true, Groups: groups}
		return e, nil
	}
	lookEndpoint(tx, &e, eni, groups, a.Port)
	return e, nil
}

// lookVPC fills in the VPC that the way leads to, and a transit gateway before it.
func lookVPC(tx *store.Tx, e *why.Evidence, conn resource.VPNConnection, a why.Ask) (resource.VPC, bool) {
	if conn.TransitGatewayID != "" {
		return lookTransit(tx, e, conn, a)
	}
	v, gateway, ok := vpcOf(tx, conn, a.To)
	if ok {
		e.VPC = &why.VPC{ID: string(v.ID), CIDRs: []netip.Prefix{v.CIDR}, Attached: gateway.AttachedTo(v.ID), Gateway: string(gateway.ID)}
	}
	return v, ok
}

// vpcOf is the VPC that the connection's gateway is attached to; of one that is
// attached to none, the VPC that holds the destination.
func vpcOf(tx *store.Tx, conn resource.VPNConnection, to netip.Addr) (resource.VPC, resource.VPNGateway, bool) {
	gateway, ok := store.VPNGateways.Get(tx, conn.VPNGatewayID)
	if !ok {
		return resource.VPC{}, gateway, false
	}
	all := store.VPCs.List(tx)
	for _, v := range all {
		if gateway.AttachedTo(v.ID) {
			return v, gateway, true
		}
	}
	for _, v := range all {
		if v.OwnerID == gateway.OwnerID && v.CIDR.Contains(to) {
			return v, gateway, true
		}
	}
	return resource.VPC{}, gateway, false
}

func interfaceAt(tx *store.Tx, id resource.VPCID, a netip.Addr) (resource.NetworkInterface, bool) {
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if eni.VPCID == id && eni.PrivateIP == a {
			return eni, true
		}
	}
	return resource.NetworkInterface{}, false
}

// lookTable finds what the destination's subnet has for the client's address.
func lookTable(tx *store.Tx, out *why.VPC, eni resource.NetworkInterface, client netip.Addr) {
	subnet, _ := store.Subnets.Get(tx, eni.SubnetID)
	tables, err := vpc.DescribeRouteTables(tx, subnet.OwnerID)
	if err != nil {
		return
	}
	row, _ := store.VPCs.Get(tx, eni.VPCID)
	table, ok := tableOf(tables, row, subnet.ID)
	if !ok {
		return
	}
	out.Table = string(table.ID)
	out.Propagates = slices.Contains(table.PropagatingVGWs, resource.VPNGatewayID(out.Gateway))
	best := netip.Prefix{}
	for _, r := range table.Routes {
		if r.Destination.Contains(client) && (!best.IsValid() || r.Destination.Bits() > best.Bits()) {
			best, out.Back = r.Destination, r.Target()
		}
	}
}

// tableOf is the table of a subnet: its own, or the VPC's main one.
func tableOf(tables []resource.RouteTable, v resource.VPC, id resource.SubnetID) (resource.RouteTable, bool) {
	of := func(match func(resource.RouteTable) bool) (resource.RouteTable, bool) {
		if at := slices.IndexFunc(tables, match); at >= 0 {
			return tables[at], true
		}
		return resource.RouteTable{}, false
	}
	if t, ok := of(func(t resource.RouteTable) bool {
		return slices.ContainsFunc(t.Associations, func(a resource.Association) bool { return a.SubnetID == id })
	}); ok {
		return t, true
	}
	return of(func(t resource.RouteTable) bool { return t.ID == v.MainRouteTable })
}

// groupsAt are the security groups of an interface, and whether they let a in.
func groupsAt(tx *store.Tx, eni resource.NetworkInterface, a why.Ask) *why.Groups {
	out := &why.Groups{Interface: string(eni.ID)}
	protocol, port := resource.TCP, a.Port
	if port == 0 {
		protocol = resource.ICMP
	}
	for _, id := range eni.Groups {
		g, _ := store.SecurityGroups.Get(tx, id)
		out.IDs = append(out.IDs, cmp.Or(g.Name, string(id)))
		out.Allowed = out.Allowed || slices.ContainsFunc(g.Ingress, func(p resource.Permission) bool { return admits(p, protocol, port, a.From) })
	}
	return out
}

// echoRequest is ICMP's type of a ping.
const echoRequest = 8

// admits reports whether p lets a new connection of an address outside the VPC
// in: never by a group, whose members are interfaces of the VPC.
func admits(p resource.Permission, protocol resource.Protocol, port uint16, from netip.Addr) bool {
	switch {
	case !p.CIDR.Contains(from):
		return false
	case p.Protocol == resource.AllProtocols:
		return true
	case p.Protocol != protocol:
		return false
	case protocol == resource.ICMP:
		return p.FromPort == -1 || p.FromPort == echoRequest
	}
	return int(port) >= p.FromPort && int(port) <= p.ToPort
}

// lookEndpoint finds the endpoint of an interface and the load balancer behind
// it.
func lookEndpoint(tx *store.Tx, e *why.Evidence, eni resource.NetworkInterface, groups *why.Groups, port uint16) {
	for _, p := range store.Endpoints.List(tx) {
		at := slices.IndexFunc(p.Attachments, func(a resource.EndpointAttachment) bool { return a.NetworkInterfaceID == eni.ID })
		if at < 0 {
			continue
		}
		e.Endpoint = &why.Endpoint{ID: string(p.ID), Service: p.ServiceName, State: string(p.State), Groups: groups}
		if b, ok := store.LoadBalancers.Get(tx, p.Attachments[at].LoadBalancerARN); ok {
			e.Balancer = balancer(tx, b, port)
		}
	}
}

func balancer(tx *store.Tx, b resource.LoadBalancer, port uint16) *why.Balancer {
	out := &why.Balancer{Name: b.Name, State: string(b.State)}
	for _, l := range store.Listeners.List(tx) {
		if l.LoadBalancerARN != b.ARN {
			continue
		}
		out.Ports = append(out.Ports, l.Port)
		if l.Port != port {
			continue
		}
		targets, err := lb.DescribeTargetHealth(tx, b.OwnerID, l.TargetGroupARN)
		if err != nil {
			continue // the group went with its listener
		}
		out.Targets = len(targets)
		for _, t := range targets {
			if t.State == resource.HealthHealthy {
				out.Healthy++
				continue
			}
			out.Reasons = append(out.Reasons, strings.TrimSpace(fmt.Sprintf("%s %v is %s: %s %s", t.Target.ID, t.Target.AddrPort(), t.State, t.Reason, t.Description)))
		}
	}
	slices.Sort(out.Ports)
	return out
}

// zoneOf says whether the private zone that holds name is associated with the
// VPC; nil when no zone holds it, or it is an address.
func zoneOf(tx *store.Tx, name string, id resource.VPCID) *why.Name {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	longest, private := "", false
	for _, z := range store.HostedZones.List(tx) {
		if !why.Under(name, z.Name) || len(z.Name) < len(longest) {
			continue
		}
		if z.Name != longest {
			longest, private = z.Name, false
		}
		private = private || slices.Contains(z.VPCs, id) // zones of one name may be several
	}
	if longest == "" {
		return nil
	}
	return &why.Name{Private: &private}
}
