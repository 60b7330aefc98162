package why

import (
	"cmp"
	"fmt"
	"strings"
)

// A cause is a kind of reason that IKE gives for a tunnel that is not up. The
// words are those of packages ikev1 and ikev2, which say them at either end.
type cause struct {
	code  string
	words []string // any of them
	// precise says that the end that says so has seen what is wrong, not only that
	// the other end refuses.
	precise bool
	setting string // when the reason names none
}

// causes in the order in which they are looked for.
var causes = []cause{
	{"certificate", []string{"certificate"}, true, "renew or exchange the certificate, or add its CA, at the end named"},
	{"psk", []string{"has another pre-shared key"}, true, "set PreSharedKey to the same text at both ends"},
	{"identity", []string{"we expect"}, true, "make the peer's local identity and our remote identity the same"},
	{"proposal", []string{" in common"}, true, "make the options of both phases overlap"},
	{"selectors", []string{"peer wants traffic between"}, true, "make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair at both ends"},
	{"psk", []string{"pre-shared key is another"}, false, "set PreSharedKey to the same text at both ends"},
	{"proposal", []string{"algorithms that we offer"}, false, "make the options of both phases overlap"},
	{"selectors", []string{"refuses traffic between"}, false, "make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair at both ends"},
	{"silent", []string{"is dead", "does not answer"}, false, "let UDP 500 and 4500 pass in both directions, keep the NAT's mapping alive (DPD 10 s) and set DPDTimeoutAction restart"},
	{"no-answer", []string{"no answer"}, false, "let UDP 500 and 4500 pass in both directions, and check the peer's address"},
}

// classify finds the cause of a reason.
func classify(reason string) (cause, bool) {
	for _, c := range causes {
		for _, w := range c.words {
			if strings.Contains(reason, w) {
				return c, true
			}
		}
	}
	return cause{}, false
}

// cures are the words that begin the part of a reason that says what to do.
var cures = []string{"; add ", ": add ", ": set ", "(set ", ": make ", "; make ", ": check ", ": configure ", ": renew ", ": issue "}

// split divides a reason into what is wrong and what to do about it; the second
// is empty when the reason does not say.
func split(reason string) (what, setting string) {
	at := -1
	for _, w := range cures {
		if i := strings.Index(reason, w); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return reason, ""
	}
	return strings.TrimSpace(reason[:at]), strings.TrimRight(strings.TrimLeft(reason[at:], ";:( "), ")")
}

// lookIKE says why no tunnel is up. One that is up is enough here; warnings tell
// of the other.
func lookIKE(e Evidence) look {
	end := cmp.Or(e.Customer, e.Cloud)
	switch {
	case end == nil:
		return dark("no gateway could be asked")
	case end.Error != "":
		return dark("%s", end.Error)
	case len(end.Tunnels) == 0:
		return bad(Finding{Code: "no-tunnel", What: end.Name + " has no tunnel configured", Setting: "give its configuration the connection's tunnels"})
	}
	if up := end.up(); len(up) > 0 {
		return fine("%d of %d tunnels up", len(up), len(end.Tunnels))
	}
	var first *Finding
	for i := range end.Tunnels {
		f := tunnelFault(e, i)
		if first == nil {
			first = &f
		}
		if first.Code == "ike" && f.Code != "ike" {
			first = &f
		}
	}
	return bad(*first)
}

// tunnelFault says why tunnel i, counted from 0, is down.
func tunnelFault(e Evidence, i int) Finding {
	if f, ok := nobodyBegins(e, i); ok {
		return f
	}
	if f, ok := strangeAddress(e, i); ok {
		return f
	}
	var f Finding
	best := -1
	for _, end := range []*Gateway{e.Cloud, e.Customer} {
		t, ok := end.at(i)
		if !ok || t.Reason == "" {
			continue
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s says of %s: %s", end.Name, t.ID, t.Reason))
		rank := 0
		c, known := classify(t.Reason)
		if known {
			rank = 1
		}
		if c.precise {
			rank = 2
		}
		if rank > best {
			best = rank
			what, setting := split(t.Reason)
			f.Code, f.What = cmp.Or(c.code, "ike"), fmt.Sprintf("tunnel %d is down: %s", i+1, what)
			f.Setting = cmp.Or(setting, c.setting, "see the log of both gateways")
		}
	}
	if best < 0 {
		t, _ := cmp.Or(e.Customer, e.Cloud).at(i)
		f.Code, f.What, f.Setting = "ike", fmt.Sprintf("tunnel %d is down (%s)", i+1, t.Phase), "see the log of both gateways"
	}
	return f
}

// at is tunnel i of g; false when g is nil or has fewer.
func (g *Gateway) at(i int) (Tunnel, bool) {
	if g == nil || i >= len(g.Tunnels) {
		return Tunnel{}, false
	}
	return g.Tunnels[i], true
}

// nobodyBegins is a tunnel for which both ends wait (vpn §3.1): AWS's default is
// to wait, and many customer gateways do the same after maintenance.
func nobodyBegins(e Evidence, i int) (Finding, bool) {
	ours, ok := e.Customer.at(i)
	if !ok || ours.Initiate {
		return Finding{}, false
	}
	if theirs, seen := e.Cloud.at(i); seen && theirs.Initiate {
		return Finding{}, false
	}
	return Finding{
		Code: "nobody-begins", What: fmt.Sprintf("tunnel %d is down and no end begins: %s waits, and so does AWS", i+1, e.Customer.Name),
		Setting:  "let the customer gateway begin (initiate: true, auto=start, DPD action restart), or set StartupAction start with IKEv2",
		Evidence: []string{fmt.Sprintf("%s: initiate false, phase %s", ours.ID, ours.Phase)},
	}, true
}

// strangeAddress is a customer gateway whose address is not the one that was
// registered.
func strangeAddress(e Evidence, i int) (Finding, bool) {
	c := e.Connection
	if c == nil || !c.CustomerAddress.IsValid() || !c.SiteAddress.IsValid() || c.CustomerAddress == c.SiteAddress {
		return Finding{}, false
	}
	f := Finding{
		Code: "customer-address",
		What: fmt.Sprintf("tunnel %d is down: the customer gateway comes from %v, but is registered as %v", i+1, c.SiteAddress, c.CustomerAddress),
		Setting: "register a customer gateway with the present address and move the connection to it (ModifyVpnConnection), " +
			"or authenticate by certificate without an address",
	}
	if e.Cloud != nil && e.Cloud.Strangers > 0 {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s has %d IKE messages of strangers, the last from %v", e.Cloud.Name, e.Cloud.Strangers, e.Cloud.StrangerFrom))
	}
	return f, true
}

// lookChild looks whether what was negotiated for phase 2 holds the two
// addresses.
func lookChild(e Evidence) look {
	if e.Customer == nil || e.Customer.Error != "" {
		return dark("the customer gateway could not be asked")
	}
	up := e.Customer.up()
	if len(up) == 0 {
		return dark("no tunnel is up")
	}
	for _, i := range up {
		t := e.Customer.Tunnels[i]
		if !covers(t, e.Ask) {
			return bad(Finding{
				Code:    "narrow",
				What:    fmt.Sprintf("tunnel %d carries %s to %s only, which %v to %v is not", i+1, words(t.LocalTS), words(t.RemoteTS), e.Ask.From, e.Ask.To),
				Setting: "negotiate 0.0.0.0/0 to 0.0.0.0/0 (one SA a tunnel, route-based) and choose by routes",
				Evidence: []string{fmt.Sprintf("%s: traffic selectors %s === %s; packets outside of them dropped: %d", t.ID, words(t.LocalTS), words(t.RemoteTS),
					t.Drops["selector"])},
			})
		}
	}
	if !e.Ask.To.IsValid() {
		return dark("the destination's address is not known")
	}
	return fine("traffic selectors hold %v and %v", e.Ask.From, e.Ask.To)
}

func covers(t Tunnel, a Ask) bool {
	if len(t.LocalTS) == 0 || len(t.RemoteTS) == 0 || !a.To.IsValid() || !a.From.IsValid() {
		return true // not seen
	}
	return holds(t.LocalTS, a.From) && holds(t.RemoteTS, a.To)
}

// words lists prefixes.
func words[T fmt.Stringer](list []T) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}
