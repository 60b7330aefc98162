package host

import (
	"cmp"
	"slices"

	"seikan/internal/gateway/exporter"
	"seikan/internal/metrics"
)

// Metrics are the measurements of the VPN gateways that run, for Prometheus. Each
// tunnel has CloudWatch's dimensions as the labels vpn_id and tunnel_ip (vpn
// §6.1). Whoever runs the host may show them with package exporter.
func (h *Host) Metrics() []metrics.Family { return exporter.Families(h.gateways.sources()...) }

// sources are the gateways that have reported, by name.
func (g *gateways) sources() []exporter.Source {
	all := g.statuses()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []exporter.Source
	for id, st := range all {
		addresses := map[string]string{}
		if r := g.running[id]; r != nil {
			for _, t := range r.config.Tunnels {
				addresses[t.ID] = t.Outside.Local.String()
			}
		}
		st.Name = id // names of gateways are their owners' and may be equal
		out = append(out, exporter.Source{Status: st, Label: func(tunnel string) []metrics.Label {
			conn, _, _ := tunnelOf(tunnel)
			return []metrics.Label{{Name: "vpn_id", Value: string(conn)}, {Name: "tunnel_ip", Value: addresses[tunnel]}}
		}})
	}
	slices.SortFunc(out, func(a, b exporter.Source) int { return cmp.Compare(a.Status.Name, b.Status.Name) })
	return out
}
