package device

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// A device has no setting for some of what a connection asks, or none that we
// know to write. What it is not told is not declared anywhere: the files are
// written once more for a connection that asks for something else, and when they
// are the same, they did not say it. So a remark can neither be forgotten nor
// outlive its cause.

// An ask is one thing that a connection may ask of its customer gateway.
type ask struct {
	name string // as our own file calls it
	bgp  bool   // it is a matter of BGP, else of IKE and ESP
	// says is what t asks for, in words; empty: nothing, or what every device does
	// untold. other has it ask for something else.
	says  func(t gateway.Tunnel) string
	other func(t *gateway.Tunnel)
}

// asks are those of a tunnel whose defaults are filled in.
func asks() []ask {
	return slices.Concat(saAsks(), extensionAsks(), sessionAsks())
}

// saAsks are those of SAs and of what they carry.
func saAsks() []ask {
	type tunnel = gateway.Tunnel
	return []ask{
		{name: "rekey.margin", says: func(t tunnel) string { return t.Lifetime.RekeyMargin.String() }, other: func(t *tunnel) { t.Lifetime.RekeyMargin += time.Minute }},
		{name: "rekey.fuzz_percent", says: func(t tunnel) string { return positive(t.Lifetime.RekeyFuzz) }, other: func(t *tunnel) { t.Lifetime.RekeyFuzz = 0 }},
		{name: "liveness.interval", says: func(t tunnel) string { return t.Liveness.Interval.String() }, other: func(t *tunnel) { t.Liveness.Interval += 30 * time.Second }},
		{name: "liveness.interval", says: func(t tunnel) string { return broken(t.Liveness.Interval) }, other: func(t *tunnel) { t.Liveness.Interval = seconds(t.Liveness.Interval) }},
		{name: "liveness.timeout", says: func(t tunnel) string { return t.Liveness.Timeout.String() }, other: func(t *tunnel) { t.Liveness.Timeout += time.Minute }},
		{name: "liveness.timeout", says: func(t tunnel) string { return broken(t.Liveness.Timeout) }, other: func(t *tunnel) { t.Liveness.Timeout = seconds(t.Liveness.Timeout) }},
		{name: "liveness.action", says: func(t tunnel) string {
			return map[policy.Action]string{policy.Clear: "clear", policy.None: "none"}[t.Liveness.Action]
		}, other: func(t *tunnel) { t.Liveness.Action = policy.Restart }},
		{name: "replay_window", says: func(t tunnel) string { return fmt.Sprint(t.ReplayWindow) }, other: func(t *tunnel) { t.ReplayWindow = 64 + t.ReplayWindow%1024 }},
		{name: "startup_action", says: func(t tunnel) string { return yes(!t.Initiate, "add") }, other: func(t *tunnel) { t.Initiate = true }},
		{name: "source_nat", says: func(t tunnel) string { return yes(t.SourceNAT, "true") }, other: func(t *tunnel) { t.SourceNAT = false }},
		{name: "inside_address", says: func(t tunnel) string { return t.Inside.String() }, other: func(t *tunnel) { t.Inside = netip.PrefixFrom(netip.MustParseAddr("169.254.254.2"), t.Inside.Bits()) }},
		{name: "routes", says: func(t tunnel) string { return strings.Trim(fmt.Sprint(t.Routes), "[]") }, other: func(t *tunnel) { t.Routes = nil }},
		{name: "outside.local_address", says: func(t tunnel) string { return yes(t.Outside.Local.IsValid(), t.Outside.Local.String()) }, other: func(t *tunnel) { t.Outside.Local = t.Outside.Local.Next() }},
		{name: "outside.local_id", says: func(t tunnel) string { return t.Outside.LocalID }, other: func(t *tunnel) { t.Outside.LocalID = "192.0.2.1" }},
		{name: "outside.remote_id", says: func(t tunnel) string { return yes(t.Outside.RemoteID != t.Outside.Remote.String(), t.Outside.RemoteID) }, other: func(t *tunnel) { t.Outside.RemoteID = t.Outside.Remote.String() }},
		{name: "outside.force_encapsulation", says: func(t tunnel) string { return yes(t.Outside.ForceEncap, "true") }, other: func(t *tunnel) { t.Outside.ForceEncap = false }},
		{name: "local_cidr", says: func(t tunnel) string { return yes(t.LocalTS.Bits() > 0, t.LocalTS.String()) }, other: func(t *tunnel) { t.LocalTS = t.LocalTS.Masked(); t.LocalTS, _ = t.LocalTS.Addr().Prefix(0) }},
		{name: "remote_cidr", says: func(t tunnel) string { return yes(t.RemoteTS.Bits() > 0, t.RemoteTS.String()) }, other: func(t *tunnel) { t.RemoteTS, _ = t.RemoteTS.Addr().Prefix(0) }},
	}
}

// extensionAsks are those of what AWS does not have.
func extensionAsks() []ask {
	type tunnel = gateway.Tunnel
	return []ask{
		{name: "additional_key_exchanges", says: func(t tunnel) string {
			return yes(slices.ContainsFunc(t.IKE, func(s suite.IKE) bool { return s.AddKE != (suite.MoreKE{}) }) || slices.ContainsFunc(t.ESP, func(s suite.ESP) bool { return s.AddKE != (suite.MoreKE{}) }), "ML-KEM")
		}, other: func(t *tunnel) {
			t.IKE = slices.DeleteFunc(slices.Clone(t.IKE), func(s suite.IKE) bool { return s.AddKE != (suite.MoreKE{}) })
			t.ESP = slices.DeleteFunc(slices.Clone(t.ESP), func(s suite.ESP) bool { return s.AddKE != (suite.MoreKE{}) })
		}},
		{name: "fragmentation", says: func(t tunnel) string { return yes(t.Extensions.NoFragmentation, "false") }, other: func(t *tunnel) { t.Extensions.NoFragmentation = false }},
		{name: "fragment_size", says: func(t tunnel) string { return positive(t.Extensions.FragmentSize) }, other: func(t *tunnel) { t.Extensions.FragmentSize = 0 }},
		{name: "mobike", says: func(t tunnel) string { return yes(t.Extensions.NoMOBIKE, "false") }, other: func(t *tunnel) { t.Extensions.NoMOBIKE = false }},
		{name: "resumption", says: func(t tunnel) string { return yes(t.Extensions.Resumption, "true") }, other: func(t *tunnel) { t.Extensions.Resumption = false }},
		{name: "ppk_id", says: func(t tunnel) string { return yes(t.Extensions.PPKID != "", "and its key") }, other: func(t *tunnel) { t.Extensions.PPKID = "" }},
	}
}

// sessionAsks are those of a BGP session.
func sessionAsks() []ask {
	type tunnel = gateway.Tunnel
	return []ask{
		{name: "bgp.hold_time", bgp: true, says: func(t tunnel) string {
			return yes(t.BGP.PeerASN != 0, cmp.Or(t.BGP.Hold, defaultHold*time.Second).String())
		}, other: func(t *tunnel) {
			t.BGP.Keepalive = time.Duration(keepalive(*t)) * time.Second // or it would change, too
			t.BGP.Hold = cmp.Or(t.BGP.Hold, defaultHold*time.Second) + time.Minute
		}},
		{name: "bgp.keepalive", bgp: true, says: func(t tunnel) string { return yes(t.BGP.Keepalive != 0, t.BGP.Keepalive.String()) }, other: func(t *tunnel) { t.BGP.Keepalive += time.Second }},
		{name: "bgp.max_prefixes", bgp: true, says: func(t tunnel) string { return positive(t.BGP.MaxPrefixes) }, other: func(t *tunnel) { t.BGP.MaxPrefixes++ }},
		{name: "bgp.med", bgp: true, says: func(t tunnel) string { return positive(t.BGP.MED) }, other: func(t *tunnel) { t.BGP.MED++ }},
		{name: "bgp.prepend", bgp: true, says: func(t tunnel) string { return positive(t.BGP.Prepend) }, other: func(t *tunnel) { t.BGP.Prepend++ }},
	}
}

// A wish is an ask of the whole connection, or of the user.
type wish struct {
	name  string
	bgp   bool
	says  func(c Connection, o Choices) string
	other func(c *Connection, o *Choices)
}

func wishes() []wish {
	return []wish{
		{name: "bgp.announce", bgp: true, says: func(c Connection, _ Choices) string { return strings.Trim(fmt.Sprint(c.Gateway.BGP.Announce), "[]") }, other: func(c *Connection, _ *Choices) { c.Gateway.BGP.Announce = nil }},
		{name: "bgp.accept_default_route", bgp: true, says: func(c Connection, _ Choices) string { return yes(c.Gateway.BGP.AcceptDefault, "true") }, other: func(c *Connection, _ *Choices) { c.Gateway.BGP.AcceptDefault = false }},
		{name: "bgp.router_id", bgp: true, says: func(c Connection, _ Choices) string {
			return yes(c.Gateway.BGP.RouterID.IsValid(), c.Gateway.BGP.RouterID.String())
		}, other: func(c *Connection, _ *Choices) { c.Gateway.BGP.RouterID = c.Gateway.BGP.RouterID.Next() }},
		{name: "bgp.relay", bgp: true, says: func(c Connection, _ Choices) string { return yes(c.Gateway.BGP.Relay, "true") }, other: func(c *Connection, _ *Choices) { c.Gateway.BGP.Relay = false }},
		{name: "the outside interface", says: func(_ Connection, o Choices) string { return o.Interface }, other: func(_ *Connection, o *Choices) { o.Interface += "x" }},
		{name: "the local address", says: func(_ Connection, o Choices) string { return yes(o.Local.IsValid(), o.Local.String()) }, other: func(_ *Connection, o *Choices) { o.Local = o.Local.Next() }},
	}
}

// unsaid is what files that were written for c do not tell the device.
func (t writer) unsaid(c Connection, choice Choices, files []File) (out []string) {
	same := func(c Connection, choice Choices) bool {
		other, err := t.write(c, choice)
		return err == nil && slices.Equal(other, files) // what it would refuse it heeds
	}
	for _, a := range asks() {
		if !t.concerns(a.bgp, c) {
			continue
		}
		of, told := map[string][]string{}, map[string]bool{} // tunnels by what they ask for
		for i, tunnel := range c.Gateway.Tunnels {
			said := a.says(tunnel)
			if said == "" {
				continue
			}
			changed := c
			changed.Gateway.Tunnels = slices.Clone(c.Gateway.Tunnels)
			a.other(&changed.Gateway.Tunnels[i])
			if same(changed, choice) {
				of[said] = append(of[said], tunnel.ID)
			} else {
				told[said] = true
			}
		}
		// Where a device has one place for both tunnels, it is told once.
		maps.DeleteFunc(of, func(said string, _ []string) bool { return told[said] })
		out = append(out, remarksOf(a.name, of, len(c.Gateway.Tunnels))...)
	}
	for _, w := range wishes() {
		said := w.says(c, choice)
		if said == "" || !t.concerns(w.bgp, c) {
			continue
		}
		changed, other := c, choice
		if w.other(&changed, &other); same(changed, other) {
			out = append(out, w.name+" "+said)
		}
	}
	return out
}

// concerns reports whether the device's files are about BGP, or about IKE and ESP:
// the notes of those that are about one say what has the other.
func (t Type) concerns(bgp bool, c Connection) bool {
	if bgp {
		return c.Gateway.BGP.ASN != 0 && !t.spec.BGPApart
	}
	return !t.spec.AnyPeer
}

// remarksOf names tunnels only where not all ask for the same.
func remarksOf(name string, of map[string][]string, all int) (out []string) {
	for said, tunnels := range of {
		text := name + " " + said
		if len(tunnels) < all {
			text += " of " + strings.Join(tunnels, " and ")
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// yes is said if it is so.
func yes(so bool, said string) string {
	if !so {
		return ""
	}
	return said
}

func positive[N int | uint32](n N) string { return yes(n > 0, fmt.Sprint(n)) }

// broken is a time that whole seconds cannot say.
func broken(d time.Duration) string {
	return yes(d != seconds(d), fmt.Sprintf("%v, which becomes %v", d, seconds(d)))
}

// seconds is d as templates have it.
func seconds(d time.Duration) time.Duration { return time.Duration(max(1, whole(d))) * time.Second }
