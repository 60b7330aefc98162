package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"seikan/internal/gateway"
	"seikan/internal/gateway/control"
	"seikan/internal/lab/topology"
)

// Status reads the lab as it is now. What cannot be read is noted, not an
// error: a status that fails when something is broken is of no use.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	st := Status{Name: l.t.Name, Started: l.started}
	l.mu.Lock()
	cloud, namespaces := l.cloud, make(map[string]string, len(l.namespaces))
	for k, v := range l.namespaces {
		namespaces[k] = v
	}
	l.mu.Unlock()
	note := func(format string, args ...any) { st.Notes = append(st.Notes, fmt.Sprintf(format, args...)) }
	if cloud != nil {
		var err error
		if st.CloudStatus, err = cloud.Status(ctx); err != nil {
			note("cloud: %v", err)
		}
	}
	for i, in := range st.Instances {
		if _, serves := l.serverOf(in.Name); serves && !l.programs.alive(in.Name) {
			st.Instances[i].State = "stopped"
		}
	}
	st.Hosts = l.hosts(cloud != nil)
	st.Links = l.links(note)
	for _, c := range l.t.VPN {
		if cloud == nil {
			break // there is nobody to have a tunnel with
		}
		tunnels, err := l.customerTunnels(ctx, c)
		if err != nil {
			note("%s: %v", c.CustomerGateway, err)
		}
		st.Tunnels = append(st.Tunnels, tunnels...)
	}
	st.Notes = append(st.Notes, defaultWarnings(st.Tunnels)...)
	sort.SliceStable(st.Tunnels, func(i, j int) bool {
		a, b := st.Tunnels[i], st.Tunnels[j]
		if a.Connection != b.Connection {
			return a.Connection < b.Connection
		}
		if a.Number != b.Number {
			return a.Number < b.Number
		}
		return a.End == "customer" && b.End != "customer"
	})
	return st, nil
}

// hosts are the sites' machines; gateways run only with a cloud.
func (l *Lab) hosts(gateways bool) (out []HostStatus) {
	for _, s := range l.current().Sites {
		for _, h := range s.Hosts {
			hs := HostStatus{Name: h.Name, Role: string(h.Role), Where: s.Name, Namespace: h.Name, Addresses: []netip.Addr{h.Address}, State: "running"}
			if h.Outside.IsValid() {
				hs.Addresses = append(hs.Addresses, h.Outside)
			}
			for _, a := range []netip.Addr{h.Address6, h.Outside6} {
				if a.IsValid() {
					hs.Addresses = append(hs.Addresses, a)
				}
			}
			serves := h.Role == topology.DNSServer || gateways && l.isCustomer(h.Name)
			if serves && !l.programs.alive(h.Name) {
				hs.State = "stopped"
			}
			out = append(out, hs)
		}
	}
	return out
}

func (l *Lab) isCustomer(host string) bool {
	return slices.ContainsFunc(l.t.VPN, func(c topology.Connection) bool { return c.CustomerGateway == host })
}

// customerTunnels asks the customer gateway of a connection.
func (l *Lab) customerTunnels(ctx context.Context, c topology.Connection) ([]TunnelStatus, error) {
	resp, err := control.Ask(ctx, l.controlSocket(c.CustomerGateway), control.Request{Verb: control.VerbStatus})
	if err != nil {
		return nil, err
	}
	if resp.Status == nil {
		return nil, fmt.Errorf("the gateway gave no status")
	}
	return TunnelsOf(c.Name, "customer", *resp.Status), nil
}

// TunnelsOf turns what one gateway says of itself into the tunnels of a lab's
// connection. Its tunnels are numbered in its own order.
func TunnelsOf(connection, end string, g gateway.Status) (out []TunnelStatus) {
	carries := map[string]bool{}
	for _, r := range g.Routes {
		carries[r.Tunnel] = true
	}
	for i, t := range g.Tunnels {
		ts := TunnelStatus{Connection: connection, Number: i + 1, End: end, Up: t.Up, Detail: t.Reason,
			IKE: fmt.Sprintf("ikev%d", t.IKE.Version), Auth: t.IKE.Auth, NATLocal: t.IKE.NATLocal, NATRemote: t.IKE.NATRemote, Phase1: t.IKE.Suite,
			Local: t.IKE.Local, Remote: t.IKE.Remote, Inside: t.Inside.Addr(),
			BytesIn: t.Traffic.BytesIn, BytesOut: t.Traffic.BytesOut, Carries: t.Up && carries[t.ID]}
		weak := slices.Clone(t.IKE.Weak)
		if t.Child != nil {
			ts.Phase2 = t.Child.Suite
			weak = append(weak, t.Child.Weak...)
		}
		slices.Sort(weak)
		ts.Weak = strings.Join(slices.Compact(weak), ", ")
		ts.BGP = sessionOf(g.BGP, t.ID)
		if !t.Up && ts.Detail == "" {
			ts.Detail = t.Phase
		}
		out = append(out, ts)
	}
	return out
}

// sessionOf is the BGP session of a tunnel; nil when it has none.
func sessionOf(b *gateway.BGPStatus, tunnel string) *SessionStatus {
	if b == nil {
		return nil
	}
	for _, p := range b.Peers {
		if p.Tunnel != tunnel {
			continue
		}
		s := &SessionStatus{Established: p.Established, State: p.State, Announced: p.Announced, LastError: p.LastError}
		if p.BFD != nil {
			s.BFD = &BFDStatus{State: p.BFD.State, DetectMillis: p.BFD.DetectMillis, Cut: p.BFD.Cut}
		}
		for _, r := range p.Routes {
			if r.Refused == "" {
				s.Learned = append(s.Learned, r.Prefix)
			}
		}
		return s
	}
	return nil
}

// defaultWarnings says of which tunnels the other end announces a default route
// that is used: seldom is it meant (vpn §7.3).
func defaultWarnings(tunnels []TunnelStatus) (out []string) {
	for _, t := range tunnels {
		if t.BGP == nil {
			continue
		}
		if slices.ContainsFunc(t.BGP.Learned, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
			out = append(out, fmt.Sprintf("warning: over tunnel %d of %s the %s's end learns 0.0.0.0/0 by BGP: all traffic without another route takes it", t.Number, t.Connection, t.End))
		}
	}
	return out
}

// links reads the counters of the links that have a name.
func (l *Lab) links(note func(string, ...any)) (out []LinkStatus) {
	for name, p := range places(l.t) {
		if p.Link == "" {
			continue
		}
		ls := LinkStatus{Name: name, Namespace: p.Namespace, Interface: p.Link}
		err := l.net.In(p.Namespace, func() error {
			f, err := os.Open("/proc/thread-self/net/dev")
			if err != nil {
				return err
			}
			defer f.Close()
			return readCounters(f, &ls)
		})
		if err != nil {
			note("link %s: %v", name, err)
		}
		out = append(out, ls)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// readCounters finds ls.Interface in a /proc/net/dev: after the colon come
// eight fields of what was received, octets and packets first, and eight of
// what was sent.
func readCounters(r io.Reader, ls *LinkStatus) error {
	in := bufio.NewScanner(r)
	for in.Scan() {
		name, rest, ok := strings.Cut(strings.TrimSpace(in.Text()), ":")
		if !ok || name != ls.Interface {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 10 {
			return fmt.Errorf("%q has %d fields, want at least 10", in.Text(), len(fields))
		}
		for i, to := range map[int]*uint64{0: &ls.RxBytes, 1: &ls.RxPackets, 8: &ls.TxBytes, 9: &ls.TxPackets} {
			v, err := strconv.ParseUint(fields[i], 10, 64)
			if err != nil {
				return err
			}
			*to = v
		}
		ls.Up = true
		return nil
	}
	if err := in.Err(); err != nil {
		return err
	}
	return fmt.Errorf("there is no %s", ls.Interface)
}
