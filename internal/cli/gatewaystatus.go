package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/routing/bgp"
)

// printGateway shows a gateway's tunnels, what is worth a remark about them,
// and its routes.
func printGateway(s *streams, st gateway.Status) error {
	t := newTable("TUNNEL", "STATE", "SINCE", "IKE", "OUTSIDE", "SUITES", "IN", "OUT")
	for _, tn := range st.Tunnels {
		state, since := "up", ""
		if !tn.Up {
			state = "down, " + tn.Phase
		}
		if !tn.Since.IsZero() {
			since = time.Since(tn.Since).Round(time.Second).String()
		}
		version := ""
		if tn.IKE.Version != 0 { // it runs
			version = strings.TrimSpace(fmt.Sprintf("v%d %s", tn.IKE.Version, tn.IKE.Auth))
		}
		t.add(tn.ID, state, since, version, outside(tn.IKE), suites(tn), octets(tn.Traffic.BytesIn), octets(tn.Traffic.BytesOut))
	}
	if err := t.print(s.out); err != nil {
		return err
	}
	if err := printSAs(s, st.Tunnels); err != nil {
		return err
	}
	for _, tn := range st.Tunnels {
		for _, line := range remarks(tn) {
			if _, err := fmt.Fprintf(s.out, "%s: %s\n", tn.ID, line); err != nil {
				return err
			}
		}
	}
	if err := printBGP(s, st.BGP); err != nil {
		return err
	}
	routes := newTable("PREFIX", "BY", "FROM")
	for _, r := range st.Routes {
		by, from := r.Tunnel, "configuration"
		if by == "" {
			by = "nothing: unreachable"
		}
		if r.Learned {
			from = "BGP"
		}
		routes.add(r.Prefix.String(), by, from)
	}
	return routes.print(s.out)
}

// printSAs shows the CHILD SAs that there are, by the SPIs that a capture shows, the
// one that we receive with first.
func printSAs(s *streams, tunnels []gateway.TunnelStatus) error {
	t := newTable("SA", "SPI IN", "SPI OUT", "SINCE", "CARRIES", "MTU")
	any := false
	for _, tn := range tunnels {
		sa := tn.Child
		if sa == nil {
			continue
		}
		any = true
		since := ""
		if !sa.Established.IsZero() {
			since = time.Since(sa.Established).Round(time.Second).String()
		}
		carries := strings.Join(sa.LocalTS, ",") + " - " + strings.Join(sa.RemoteTS, ",")
		t.add(tn.ID, sa.SPIIn, sa.SPIOut, since, carries, fmt.Sprint(tn.Traffic.MTU))
	}
	if !any {
		return nil
	}
	return t.print(s.out)
}

// outside are the addresses between the gateways, and where a NAT is before one;
// nothing while no way to the peer has been found.
func outside(i gateway.IKEStatus) string {
	if !i.Local.IsValid() || !i.Remote.IsValid() {
		return ""
	}
	out := fmt.Sprintf("%v %v", i.Local, i.Remote)
	switch {
	case i.NATLocal && i.NATRemote:
		return out + " (NAT at both ends)"
	case i.NATLocal:
		return out + " (NAT here)"
	case i.NATRemote:
		return out + " (NAT there)"
	}
	return out
}

// dropped are a tunnel's drops by cause, the most frequent first.
func dropped(drops map[string]uint64) string {
	causes := slices.SortedFunc(maps.Keys(drops), func(a, b string) int { return cmp.Or(cmp.Compare(drops[b], drops[a]), cmp.Compare(a, b)) })
	for i, c := range causes {
		causes[i] = fmt.Sprintf("%s %d", c, drops[c])
	}
	return strings.Join(causes, ", ")
}

// printBGP shows the BGP sessions and what is worth a remark about them.
func printBGP(s *streams, b *gateway.BGPStatus) error {
	if b == nil {
		return nil
	}
	t := newTable("BGP", "STATE", "SINCE", "PEER", "ASN", "RECEIVED", "ACCEPTED", "ANNOUNCED", "BFD")
	for _, p := range b.Peers {
		since := ""
		if !p.Since.IsZero() {
			since = time.Since(p.Since).Round(time.Second).String()
		}
		t.add(p.Tunnel, p.State, since, p.Remote.String(), fmt.Sprint(p.ASN), fmt.Sprint(p.Received), fmt.Sprint(p.Accepted), fmt.Sprint(p.Announced), bfdWords(p.BFD))
	}
	if err := t.print(s.out); err != nil {
		return err
	}
	for _, line := range bgpRemarks(b) {
		if _, err := fmt.Fprintln(s.out, line); err != nil {
			return err
		}
	}
	return nil
}

// bfdWords are the state of a BFD session and how soon it finds a broken path.
func bfdWords(b *gateway.BFDStatus) string {
	switch {
	case b == nil:
		return ""
	case b.DetectMillis > 0:
		return fmt.Sprintf("%s, %d ms", b.State, b.DetectMillis)
	}
	return b.State
}

// bgpRemarks are why sessions are down and routes are not used.
func bgpRemarks(b *gateway.BGPStatus) (out []string) {
	if b.Deaf != "" {
		out = append(out, "BGP: peers cannot open sessions to us, we only to them: "+b.Deaf)
	}
	for _, p := range b.Announce {
		if p.Bits() == 0 {
			out = append(out, fmt.Sprintf("BGP: warning: %v is announced to the peers", p))
		}
	}
	for _, p := range b.Peers {
		if !p.Established && p.LastError != "" {
			out = append(out, fmt.Sprintf("%s: BGP: %s", p.Tunnel, p.LastError))
		}
		if p.BFD != nil && p.BFD.Cut {
			out = append(out, fmt.Sprintf("%s: BFD: its path is broken, so that it carries nothing: %s", p.Tunnel, p.BFD.Reason))
		}
		for _, r := range p.Routes {
			if r.Refused == "" && r.Prefix.Bits() == 0 {
				out = append(out, p.Tunnel+": BGP: warning: the peer announces 0.0.0.0/0, and it is used")
			}
			if r.Refused != "" && r.Refused != bgp.LoopRefused {
				out = append(out, fmt.Sprintf("%s: BGP: %v refused: %s", p.Tunnel, r.Prefix, r.Refused))
			}
		}
	}
	return out
}

// suites are those of a tunnel's IKE SA and CHILD SA, a weak one marked.
func suites(tn gateway.TunnelStatus) string {
	out := mark(tn.IKE.Suite, tn.IKE.Weak)
	if tn.Child != nil {
		out += " " + mark(tn.Child.Suite, tn.Child.Weak)
	}
	return out
}

func mark(name string, weak []string) string {
	if len(weak) > 0 {
		return name + "!"
	}
	return name
}

// remarks are why a tunnel is down, its extensions, and its weak algorithms with
// what to change at both ends.
func remarks(tn gateway.TunnelStatus) (out []string) {
	if !tn.Up && tn.Reason != "" {
		out = append(out, tn.Reason)
	}
	if len(tn.IKE.Extensions) > 0 {
		out = append(out, "with "+strings.Join(tn.IKE.Extensions, ", "))
	}
	if tn.SourceNAT {
		out = append(out, "what leaves has the source "+tn.Inside.Addr().String())
	}
	if len(tn.Traffic.Drops) > 0 {
		out = append(out, "dropped: "+dropped(tn.Traffic.Drops))
	}
	phases := []struct {
		key  string
		weak []string
	}{{"phase1", tn.IKE.Weak}, {"phase2", nil}}
	if tn.Child != nil {
		phases[1].weak = tn.Child.Weak
	}
	for _, p := range phases {
		if len(p.weak) == 0 {
			continue
		}
		out = append(out, fmt.Sprintf("weak in %s: %s; %s, at both ends", p.key, strings.Join(p.weak, ", "), cure(p.key, p.weak)))
	}
	return out
}

// cure says which options rid a phase of its weak algorithms.
func cure(phase string, weak []string) string {
	var do []string
	if slices.ContainsFunc(weak, func(w string) bool { return strings.HasPrefix(w, "DH") }) {
		do = append(do, phase+".dh_groups to 19, 20, 21 or 14")
	}
	if slices.Contains(weak, "SHA1") {
		do = append(do, phase+".integrity to SHA2-256 or above")
	}
	if slices.Contains(weak, gateway.WeakRSA) {
		do = append(do, "certificate_file and ca_file to certificates for larger keys, without weak_keys")
	}
	return "set " + strings.Join(do, " and ")
}
