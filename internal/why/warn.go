package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// recent is how long ago a tunnel's going down is still worth telling.
const recent = 24 * time.Hour

// slow is the failover time above which a warning says so.
const slow = 10 * time.Second

// warnings are what does not stop this client now.
func warnings(e Evidence) (out []Finding) {
	for _, look := range []func(Evidence) []Finding{warnDowns, warnReplaced, warnCongestion, warnOneTunnel, warnDefaultRoute, warnSteering, warnSlowFailover} {
		out = append(out, look(e)...)
	}
	return out
}

// warnDowns tells of tunnels that were down and are up again.
func warnDowns(e Evidence) (out []Finding) {
	for _, end := range []*Gateway{e.Customer, e.Cloud} {
		if end == nil {
			continue
		}
		for i, t := range end.Tunnels {
			if f, ok := flap(e, end, i, t); ok {
				return append(out, f) // both ends see the same
			}
		}
	}
	return out
}

func flap(e Evidence, end *Gateway, i int, t Tunnel) (Finding, bool) {
	var lately []Down
	for _, d := range t.Downs {
		if e.Now.Sub(d.At) <= recent {
			lately = append(lately, d)
		}
	}
	if !t.Up || len(lately) == 0 {
		return Finding{}, false
	}
	last := lately[len(lately)-1]
	f := Finding{Hop: "IKE", What: fmt.Sprintf("tunnel %d went down %d times in the last day, the last time %v ago for %v: %s", i+1, len(lately),
		e.Now.Sub(last.At).Round(time.Second), last.Lasted.Round(time.Second), last.Reason)}
	for _, d := range lately {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s down for %v: %s", d.At.UTC().Format(time.RFC3339), t.ID, d.Lasted.Round(time.Millisecond), d.Reason))
	}
	renewal := slices.ContainsFunc([]string{"renewal", "rekeyed", "lifetime", "peer deleted the"}, func(w string) bool { return strings.Contains(last.Reason, w) })
	switch c, _ := classify(last.Reason); {
	case renewal && !t.Fragmentation && strings.Contains(last.Reason, "answer"):
		f.Code, f.Setting = "rekey-fragments", "offer fewer algorithms, so that no IKE message needs IP fragments, or use IKEv2 with fragmentation (RFC 7383)"
	case renewal:
		f.Code, f.Setting = "rekey", "give both ends the same lifetimes, or the customer gateway shorter ones, and let it answer a renewal as well as begin one"
	case c.code == "silent":
		f.Code = "idle"
		f.Setting = "keep the path alive: DPD every 10 s at the customer gateway, a longer UDP timeout at the NAT, StartupAction start and DPDTimeoutAction restart"
	default:
		f.Code, f.Setting = "flap", "see the log of both gateways at these times"
	}
	return f, true
}

func warnReplaced(e Evidence) []Finding {
	if e.Connection == nil || e.Connection.Replaced == 0 {
		return nil
	}
	return []Finding{{Code: "replaced", Hop: "AWS's gateway", What: fmt.Sprintf("tunnel %d is being replaced for maintenance", e.Connection.Replaced),
		Setting: "keep both tunnels up, with BGP, so that the other one carries"}}
}

// warnCongestion tells of packets that a gateway could not carry.
func warnCongestion(e Evidence) (out []Finding) {
	for _, end := range []*Gateway{e.Customer, e.Cloud} {
		if end == nil {
			continue
		}
		for i, t := range end.Tunnels {
			if n := t.Drops["congestion"] + t.Drops["no-buffer"]; n > 0 {
				return append(out, Finding{Code: "congestion", Hop: "customer gateway", What: fmt.Sprintf("%s dropped %d packets of tunnel %d because they came faster than it could carry them", end.Name, n, i+1),
					Setting: "spread the load: ECMP over several tunnels on a transit gateway, more flows, AES-GCM, or a faster machine"})
			}
		}
	}
	return out
}

func warnOneTunnel(e Evidence) []Finding {
	end := cmp.Or(e.Customer, e.Cloud)
	if end == nil || end.Error != "" {
		return nil
	}
	up := end.up()
	switch {
	case len(up) != 1:
		return nil
	case len(end.Tunnels) == 1:
		return []Finding{{Code: "one-tunnel", Hop: "IKE", What: end.Name + " has one tunnel configured of the connection's two",
			Setting: "configure the second, so that maintenance of one is no outage"}}
	}
	f := tunnelFault(e, 1-up[0])
	f.Hop, f.Code, f.Evidence = "IKE", "one-tunnel", append([]string{f.Code}, f.Evidence...)
	f.What = "only one tunnel is up: " + f.What
	return []Finding{f}
}

// warnDefaultRoute tells of a default route that the customer gateway announces.
func warnDefaultRoute(e Evidence) []Finding {
	if e.Cloud == nil {
		return nil
	}
	for _, r := range e.Cloud.Routes {
		if r.Learned && r.Prefix.Bits() == 0 {
			return []Finding{{Code: "default-route", Hop: "BGP", What: fmt.Sprintf("the customer gateway announces %v: all of the VPC's traffic to the internet may go to the site", r.Prefix),
				Setting: "announce the site's own networks only, unless that is meant"}}
		}
	}
	return nil
}

// warnSteering tells that static routes cannot choose a tunnel at AWS's end.
func warnSteering(e Evidence) []Finding {
	if e.Connection == nil || !e.Connection.Static || e.Customer == nil || e.Cloud == nil {
		return nil
	}
	there, ok := e.Customer.route(e.Ask.To)
	back, known := e.Cloud.route(e.Ask.From)
	_, out := e.Customer.tunnel(there.Tunnel)
	_, in := e.Cloud.tunnel(back.Tunnel)
	if !ok || !known || out < 0 || in < 0 || out == in {
		return nil
	}
	return []Finding{{Code: "steering", Hop: "both ways", What: fmt.Sprintf("answers come by tunnel %d, and with static routes nothing can make AWS use tunnel %d", in+1, out+1),
		Setting: "use BGP and announce a lower MED or a shorter AS path on the tunnel that is wanted"}}
}

// warnSlowFailover tells how long the way is dead when a tunnel dies.
func warnSlowFailover(e Evidence) []Finding {
	end := e.Customer
	if end == nil || len(end.up()) < 2 {
		return nil
	}
	var worst time.Duration
	for _, i := range end.up() {
		d := end.Tunnels[i].Dead
		worst = max(worst, cmp.Or(d.BFD, d.After))
	}
	if worst <= slow {
		return nil
	}
	return []Finding{{Code: "slow-failover", Hop: "IKE", What: fmt.Sprintf("a tunnel that dies is noticed after %v only", worst),
		Setting: "use BFD where both ends can (AWS's cannot), or a shorter DPD and BGP hold time"}}
}

// codes of all findings.
var codes = []string{
	"asn", "bgp-missing", "bgp-tcp", "certificate", "client-route", "cloud-gateway", "congestion", "connection-state", "customer-address", "default-route",
	"endpoint-pending", "endpoint-state", "flap", "gateway-stopped", "identity", "idle", "ike", "inside-swapped", "modifying", "mtu", "narrow", "no-answer",
	"no-healthy-target", "no-listener", "no-name", "no-ping", "no-route", "no-static-route", "no-tunnel", "no-tunnel-up", "no-vpc-route", "nobody-begins", "not-advertised",
	"not-announced", "not-associated", "not-attached", "not-forwarded", "not-in-vpc", "not-propagated", "one-tunnel", "one-way", "prefix-limit", "propagation-off",
	"proposal", "psk", "public-name", "refused", "refused-route", "rekey", "rekey-fragments", "replaced", "route-elsewhere", "security-group", "selectors", "silent",
	"slow-failover", "steering", "target-stopped", "tgw-blackhole", "tgw-elsewhere", "tgw-no-route", "tgw-propagation-off", "tgw-zone", "zone-not-associated",
}
