package exporter

import (
	"slices"
	"strconv"

	"seikan/internal/gateway"
	"seikan/internal/metrics"
)

// A Source is a gateway that is measured.
type Source struct {
	Status gateway.Status
	// Label gives labels beside the gateway's name and the tunnel's to the samples
	// of a tunnel; nil: none.
	Label func(tunnel string) []metrics.Label
}

// Families are the measurements of gateways: of each tunnel those that AWS has as
// TunnelState, TunnelDataIn and TunnelDataOut (vpn §6.1), and more.
func Families(sources ...Source) []metrics.Family {
	f := newFamilies()
	for _, s := range sources {
		for _, t := range s.Status.Tunnels {
			f.tunnel(s, t)
		}
		if s.Status.BGP != nil {
			for _, p := range s.Status.BGP.Peers {
				f.peer(s, p)
			}
		}
		name := metrics.Label{Name: "gateway", Value: s.Status.Name}
		f.strangers.add(float64(s.Status.Strangers), name)
		f.unknownSPI.add(float64(s.Status.UnknownSPI), name)
	}
	all := f.all()
	out := make([]metrics.Family, len(all))
	for i, family := range all {
		out[i] = metrics.Family(*family)
	}
	return out
}

// A family is a metrics.Family that grows.
type family metrics.Family

func (f *family) add(value float64, labels ...metrics.Label) {
	f.Samples = append(f.Samples, metrics.Sample{Labels: labels, Value: value})
}

// families are those of one answer.
type families struct {
	state, ipsec, in, out, packetsIn, packetsOut, dropped, rekeys *family // of tunnels
	session, received, accepted                                   *family // of BGP
	strangers, unknownSPI                                         *family
}

func newFamilies() families {
	gauge := func(name, help string) *family { return &family{Name: name, Help: help, Kind: metrics.Gauge} }
	counter := func(name, help string) *family { return &family{Name: name, Help: help, Kind: metrics.Counter} }
	return families{
		state:      gauge("seikan_tunnel_state", "TunnelState: 1 when the tunnel is up, with BGP only while the session is established, else 0."),
		ipsec:      gauge("seikan_tunnel_ipsec_up", "1 while IKE and CHILD SA are established, else 0."),
		in:         counter("seikan_tunnel_data_in_bytes_total", "TunnelDataIn: octets that came out of the tunnel, after decryption."),
		out:        counter("seikan_tunnel_data_out_bytes_total", "TunnelDataOut: octets that went into the tunnel, before encryption."),
		packetsIn:  counter("seikan_tunnel_packets_in_total", "Packets that came out of the tunnel."),
		packetsOut: counter("seikan_tunnel_packets_out_total", "Packets that went into the tunnel."),
		dropped:    counter("seikan_tunnel_dropped_packets_total", "Packets that were dropped, by cause."),
		rekeys:     counter("seikan_tunnel_rekeys_total", "Renewals of keys of the IKE SA that stands, those of its CHILD SA included."),
		session:    gauge("seikan_bgp_session_established", "1 while the tunnel's BGP session is established, else 0."),
		received:   gauge("seikan_bgp_received_prefixes", "Prefixes that the peer announces."),
		accepted:   gauge("seikan_bgp_accepted_prefixes", "Prefixes that the peer announces and that may be used."),
		strangers:  counter("seikan_ike_stranger_messages_total", "IKE messages that were for no tunnel."),
		unknownSPI: counter("seikan_esp_unknown_spi_packets_total", "ESP packets that were for no SA."),
	}
}

func (f families) all() []*family {
	return []*family{f.state, f.ipsec, f.in, f.out, f.packetsIn, f.packetsOut, f.dropped, f.rekeys, f.session, f.received, f.accepted, f.strangers, f.unknownSPI}
}

// labels are those of a tunnel of s, with more.
func (s Source) labels(tunnel string, more ...metrics.Label) []metrics.Label {
	out := append([]metrics.Label{{Name: "gateway", Value: s.Status.Name}, {Name: "tunnel", Value: tunnel}}, more...)
	if s.Label != nil {
		out = append(out, s.Label(tunnel)...)
	}
	return out
}

func (f families) tunnel(s Source, t gateway.TunnelStatus) {
	labels := s.labels(t.ID)
	f.state.add(bit(up(s.Status, t)), labels...)
	f.ipsec.add(bit(t.Up), labels...)
	f.in.add(float64(t.Traffic.BytesIn), labels...)
	f.out.add(float64(t.Traffic.BytesOut), labels...)
	f.packetsIn.add(float64(t.Traffic.PacketsIn), labels...)
	f.packetsOut.add(float64(t.Traffic.PacketsOut), labels...)
	f.rekeys.add(float64(t.IKE.Rekeys), labels...)
	for cause, n := range t.Traffic.Drops {
		f.dropped.add(float64(n), s.labels(t.ID, metrics.Label{Name: "cause", Value: cause})...)
	}
}

func (f families) peer(s Source, p gateway.BGPPeer) {
	labels := s.labels(p.Tunnel, metrics.Label{Name: "peer_asn", Value: strconv.FormatUint(uint64(p.ASN), 10)})
	f.session.add(bit(p.Established), labels...)
	f.received.add(float64(p.Received), labels...)
	f.accepted.add(float64(p.Accepted), labels...)
}

// up is TunnelState: a static tunnel is up with its SAs, a dynamic one with its
// session (vpn §6.1).
func up(st gateway.Status, t gateway.TunnelStatus) bool {
	if st.BGP == nil {
		return t.Up
	}
	at := slices.IndexFunc(st.BGP.Peers, func(p gateway.BGPPeer) bool { return p.Tunnel == t.ID })
	return t.Up && (at < 0 || st.BGP.Peers[at].Established)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
