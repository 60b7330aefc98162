package cloudside

import (
	"cmp"
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"seikan/internal/cloud/host"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/lab"
)

// Status describes the cloud's things as the store and the gateways know them.
func (s *Side) Status(ctx context.Context) (st lab.CloudStatus, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		st = lab.CloudStatus{Resources: s.resources(tx), Instances: s.instances(tx), Endpoints: s.endpoints(tx)}
		var err error
		st.Targets, err = s.targets(tx)
		return err
	})
	if err != nil {
		return lab.CloudStatus{}, err
	}
	return st, s.store.View(ctx, func(tx *store.Tx) error {
		st.Tunnels = s.tunnels(tx)
		for i, t := range st.Tunnels {
			row, _ := store.VPNConnections.Get(tx, s.made.connections[t.Connection])
			told := row.Telemetry[t.Number-1]
			st.Tunnels[i].Telemetry = strings.TrimSpace(string(told.Status) + " " + told.StatusMessage)
		}
		st.Logs, st.Metrics = s.tunnelLogs(tx), s.metrics(tx, st.Tunnels)
		var err error
		st.Events, err = s.events(tx)
		return err
	})
}

// resources ties the topology's names to the ids that the cloud made.
func (s *Side) resources(tx *store.Tx) (out []lab.ResourceStatus) {
	add := func(kind, name, id string, state resource.State) {
		out = append(out, lab.ResourceStatus{Kind: kind, Name: name, ID: id, State: string(state)})
	}
	for name, v := range s.made.vpcs {
		row, _ := store.VPCs.Get(tx, v.ID)
		add("vpc", name, string(v.ID), row.State)
	}
	for name, id := range s.made.gateways {
		row, _ := store.VPNGateways.Get(tx, id)
		add("vpn-gateway", name, string(id), row.State)
	}
	for name, g := range s.made.transits {
		row, _ := store.TransitGateways.Get(tx, g.ID)
		add("transit-gateway", name, string(g.ID), row.State)
	}
	for name, id := range s.made.attachments {
		row, _ := store.TransitGatewayAttachments.Get(tx, id)
		add("transit-gateway-attachment", name, string(id), row.State)
	}
	for name, id := range s.made.connections {
		row, _ := store.VPNConnections.Get(tx, id)
		add("vpn-connection", name, string(id), row.State)
	}
	for name, b := range s.made.balancers {
		row, _ := store.LoadBalancers.Get(tx, b.ARN)
		add("load-balancer", name, string(b.ARN), row.State)
	}
	for name, v := range s.made.services {
		row, _ := store.EndpointServices.Get(tx, v.ID)
		add("vpc-endpoint-service", name, row.Name, row.State)
	}
	for name, id := range s.made.zones {
		add("hosted-zone", name, string(id), resource.StateAvailable)
	}
	for name, id := range s.made.directories {
		row, _ := store.Directories.Get(tx, id)
		add("directory", name, string(id), row.Stage)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Kind+"/"+out[i].Name < out[j].Kind+"/"+out[j].Name })
	return out
}

func (s *Side) instances(tx *store.Tx) (out []lab.HostStatus) {
	for _, v := range s.cfg.Topology.Cloud.VPCs {
		for _, i := range v.Instances {
			row, _ := store.Instances.Get(tx, s.made.instances[i.Name].ID)
			out = append(out, lab.HostStatus{
				Name: i.Name, Role: string(i.Service), Where: v.Name, Namespace: row.Namespace,
				Addresses: []netip.Addr{row.PrivateIP}, ID: string(row.ID), State: string(row.State),
			})
		}
	}
	return out
}

// targets reports the health of every listener's targets.
func (s *Side) targets(tx *store.Tx) (out []lab.TargetStatus, err error) {
	names := map[string]string{}
	for name, i := range s.made.instances {
		names[string(i.ID)] = name
	}
	for _, l := range s.made.listeners {
		owner := s.made.balancers[l.balancer].OwnerID
		all, err := lb.DescribeTargetHealth(tx, owner, l.group)
		if err != nil {
			return nil, err
		}
		for _, h := range all {
			out = append(out, lab.TargetStatus{
				LoadBalancer: l.balancer, Port: l.port, Instance: names[h.Target.ID], Address: h.Target.AddrPort(),
				Health: string(h.State), Reason: h.Reason,
			})
		}
	}
	return out, nil
}

func (s *Side) endpoints(tx *store.Tx) (out []lab.EndpointStatus) {
	for _, e := range s.cfg.Topology.Cloud.Endpoints {
		row, ok := store.Endpoints.Get(tx, s.made.endpoints[e.Name].ID)
		if !ok {
			continue
		}
		st := lab.EndpointStatus{Name: e.Name, ID: string(row.ID), Service: row.ServiceName, State: string(row.State)}
		for _, a := range row.Attachments {
			st.Addresses = append(st.Addresses, a.Address)
		}
		if len(row.DNSEntries) > 0 {
			st.DNSName = row.DNSEntries[0].Name
		}
		out = append(out, st)
	}
	return out
}

// metrics are those of the connections whose cloud's ends are tunnels.
func (s *Side) metrics(tx *store.Tx, tunnels []lab.TunnelStatus) (out []lab.Metric) {
	for _, c := range s.cfg.Topology.VPN {
		row, _ := store.VPNConnections.Get(tx, s.made.connections[c.Name])
		var now [2]vpn.Counters
		for _, t := range tunnels {
			if t.Connection == c.Name {
				now[t.Number-1] = vpn.Counters{In: t.BytesIn, Out: t.BytesOut}
			}
		}
		for _, d := range vpn.Metrics(row, [2]vpn.Counters{}, now) {
			out = append(out, lab.Metric{Name: d.Name, VPNID: string(d.VPNID), TunnelIP: d.TunnelIP, Value: d.Value})
		}
	}
	return out
}

// tunnelLogs are the logs that are kept of the tunnels.
func (s *Side) tunnelLogs(tx *store.Tx) (out []lab.TunnelLog) {
	for _, c := range s.cfg.Topology.VPN {
		row, _ := store.VPNConnections.Get(tx, s.made.connections[c.Name])
		for i, t := range row.Tunnels {
			add := func(which string, log resource.TunnelLog) {
				if log.Enabled {
					file := host.LogFile(log.GroupARN, string(row.ID)+"_"+t.OutsideIP.String(), which)
					out = append(out, lab.TunnelLog{Connection: c.Name, Number: i + 1, Log: which, File: filepath.Join(s.logs(), file)})
				}
			}
			add(host.ActivityLog, t.Logs.Activity)
			add(host.BGPLog, t.Logs.BGP)
		}
	}
	return out
}

// events are what the owners of the connections have been told.
func (s *Side) events(tx *store.Tx) (out []lab.HealthEvent, err error) {
	names := map[resource.VPNConnectionID]string{}
	for name, id := range s.made.connections {
		names[id] = name
	}
	for _, who := range s.made.accounts {
		for _, e := range vpn.DescribeHealthEvents(tx, who) {
			line, err := vpn.HealthEventJSON(who, e)
			if err != nil {
				return nil, err
			}
			out = append(out, lab.HealthEvent{Time: e.Updated, Connection: names[e.Connection], Code: e.Code, Outside: e.Outside, Text: e.Text, Event: line})
		}
	}
	slices.SortStableFunc(out, func(a, b lab.HealthEvent) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Connection, b.Connection))
	})
	return out, nil
}

// tunnels are the cloud's ends, as their gateways report them.
func (s *Side) tunnels(tx *store.Tx) (out []lab.TunnelStatus) {
	reports := s.host.Gateways()
	for _, c := range s.cfg.Topology.VPN {
		id := s.made.connections[c.Name]
		report, ok := reports[s.made.target(c)]
		if !ok {
			continue
		}
		// A gateway may serve several connections: only this one's tunnels.
		report.Tunnels = slices.DeleteFunc(slices.Clone(report.Tunnels), func(t gateway.TunnelStatus) bool {
			return !strings.HasPrefix(t.ID, string(id)+"/")
		})
		if g, transit := s.made.transits[c.TransitGateway]; transit {
			report.Routes = transitRoutes(tx, g.ID) // the worker knows nothing of them
		}
		out = append(out, lab.TunnelsOf(c.Name, "cloud", report)...)
	}
	return out
}
