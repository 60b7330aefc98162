package cli

import (
	"fmt"
	"net/netip"
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
		t.add(tn.ID, state, since, version, fmt.Sprintf("%v %v", tn.IKE.Local, tn.IKE.Remote), suites(tn), octets(tn.Traffic.BytesIn), octets(tn.Traffic.BytesOut))
	}
	if err := t.print(s.out); err != nil {
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

// printBGP shows the BGP sessions and what is worth a remark about them.
func printBGP(s *streams, b *gateway.BGPStatus) error {
	if b == nil {
		return nil
	}
	t := newTable("BGP", "STATE", "SINCE", "PEER", "ASN", "RECEIVED", "ACCEPTED", "ANNOUNCED")
	for _, p := range b.Peers {
		since := ""
		if !p.Since.IsZero() {
			since = time.Since(p.Since).Round(time.Second).String()
		}
		t.add(p.Tunnel, p.State, since, p.Remote.String(), fmt.Sprint(p.ASN), fmt.Sprint(p.Received), fmt.Sprint(p.Accepted), fmt.Sprint(p.Announced))
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

// bgpRemarks are why sessions are down and routes are not used.
func bgpRemarks(b *gateway.BGPStatus) (out []string) {
	if b.Deaf != "" {
		out = append(out, "BGP: peers cannot open sessions to us, we only to them: "+b.Deaf)
	}
	if slices.ContainsFunc(b.Announce, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		out = append(out, "BGP: warning: 0.0.0.0/0 is announced to the peers")
	}
	for _, p := range b.Peers {
		if !p.Established && p.LastError != "" {
			out = append(out, fmt.Sprintf("%s: BGP: %s", p.Tunnel, p.LastError))
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
