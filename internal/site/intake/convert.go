package intake

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/site/awsconfig"
)

// convert makes a gateway of a connection. It always starts IKE itself, since
// AWS by default does not (vpn §3.1).
func convert(c awsconfig.Connection, o Options) (Result, error) {
	r := Result{Kind: string(c.Format)}
	if err := beyondUs(c); err != nil {
		return r, err
	}
	r.Gateway = gateway.Config{Name: c.ID, Forward: true}
	r.note("", "From %s of connection %s.\nDo not edit twice: after a change at AWS, import again.", c.Format, c.ID)
	for i, t := range c.Tunnels {
		if err := r.addTunnel(c, i, t, o); err != nil {
			return r, fmt.Errorf("the tunnel to %v: %w", t.AWS.Outside, err)
		}
	}
	route := r.routeByBGP
	if c.Static {
		route = r.routeStatically
	}
	if err := route(c, o); err != nil {
		return r, err
	}
	return r, errors.Join(r.Gateway.Validate(), r.Gateway.ValidatePaths())
}

// note puts a comment above a key, unless the same stands above that of the
// first tunnel.
func (r *Result) note(key, format string, args ...any) {
	n := conffile.Note{Key: key, Text: fmt.Sprintf(format, args...)}
	first := n
	if rest, ok := strings.CutPrefix(key, "tunnels.1."); ok {
		first.Key = "tunnels.0." + rest
	}
	if !slices.Contains(r.Notes, first) {
		r.Notes = append(r.Notes, n)
	}
}

// beyondUs refuses what this gateway cannot do.
func beyondUs(c awsconfig.Connection) error {
	for _, t := range c.Tunnels {
		switch {
		case !t.AWS.Outside.Is4():
			return fmt.Errorf("its outside addresses are IPv6 (%v), between which this gateway does not run tunnels yet; make it with OutsideIpAddressType PublicIpv4", t.AWS.Outside)
		case !t.AWS.Inside.Addr().Is4() || c.Options != nil && c.Options.InsideIPv6:
			return errors.New("its tunnels carry IPv6, which this gateway does not yet; make it with TunnelInsideIpVersion ipv4")
		}
	}
	return nil
}

func (r *Result) addTunnel(c awsconfig.Connection, i int, t awsconfig.Tunnel, o Options) error {
	key := fmt.Sprintf("tunnels.%d.", i)
	out := gateway.Tunnel{
		ID: fmt.Sprintf("tunnel-%d", i+1), Interface: fmt.Sprintf("tun%d", i+1), Initiate: true,
		Outside: gateway.Outside{Remote: t.AWS.Outside, LocalID: t.Customer.Outside.String()},
		PSK:     t.PSK, Inside: t.Customer.Inside,
	}
	r.note(key+"outside.local_id", "The customer gateway's address, by which AWS knows us, behind NAT too.")
	if c.Options != nil && c.Options.Accelerated {
		out.Outside.ForceEncap = true
		r.note(key+"outside.force_encapsulation", "An accelerated connection takes UDP 4500 only.")
	}
	if c.Options != nil {
		out.LocalTS, out.RemoteTS = selector(c.Options.Local), selector(c.Options.Remote)
	}
	r.setTimes(key, &out, t)
	if err := r.setSuites(key, &out, t, o); err != nil {
		return err
	}
	r.Gateway.Tunnels = append(r.Gateway.Tunnels, out)
	return nil
}

// selector is nothing for everything, which is a gateway's default.
func selector(p netip.Prefix) netip.Prefix {
	if p.IsValid() && p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// AWS's defaults of what only JSON says (vpn §2.1).
const (
	awsMargin = 270 * time.Second
	awsFuzz   = 100
	// ownFuzz keeps both tunnels from being renewed at one moment.
	ownFuzz = 10
)

// setTimes takes lifetimes and dead peer detection over, and has us renew SAs
// before AWS would, which avoids the collisions that its users report (vpn
// §2.2, §9).
func (r *Result) setTimes(key string, out *gateway.Tunnel, t awsconfig.Tunnel) {
	margin, fuzz := awsMargin, awsFuzz
	out.Lifetime = gateway.Lifetime{Phase1: t.Stated.IKE.Lifetime, Phase2: t.Stated.ESP.Lifetime, RekeyFuzz: ownFuzz}
	if a := t.Options; a != nil {
		// What is not there has AWS's default, whatever the document within says.
		out.Lifetime.Phase1, out.Lifetime.Phase2 = a.Phase1.Lifetime, a.Phase2.Lifetime
		out.ReplayWindow = a.ReplayWindow
		if a.RekeyMargin != 0 {
			margin = a.RekeyMargin
		}
		if a.RekeyFuzz != nil {
			fuzz = *a.RekeyFuzz
		}
	}
	phase2 := out.Lifetime.Phase2
	if phase2 == 0 {
		phase2 = time.Hour
	}
	// Half of the lifetime is what AWS allows, and what we do.
	out.Lifetime.RekeyMargin = min(margin+margin*time.Duration(fuzz)/100, phase2/2)
	r.note(key+"rekey", "AWS renews keys from %v before their end on; we do so before it.", out.Lifetime.RekeyMargin)
	if d := t.DPD; d.Interval != 0 {
		out.Liveness = gateway.Liveness{Interval: d.Interval, Timeout: d.Interval * time.Duration(max(1, d.Retries-1))}
	}
}

// routeStatically leads what lies behind AWS into the tunnels.
func (r *Result) routeStatically(c awsconfig.Connection, o Options) error {
	routes := o.Routes
	if len(routes) == 0 && c.Options != nil && selector(c.Options.Remote).IsValid() {
		routes = []netip.Prefix{c.Options.Remote}
		r.note("tunnels.0.routes", "RemoteIpv4NetworkCidr of the connection.")
	}
	if len(routes) == 0 {
		return errors.New("it is static, and the file does not say what lies behind AWS; say it with --route, such as --route 10.0.0.0/16 for a VPC's range")
	}
	for i := range r.Gateway.Tunnels {
		r.Gateway.Tunnels[i].Routes = slices.Clone(routes)
	}
	for _, p := range o.Advertise {
		add := fmt.Sprintf("aws ec2 create-vpn-connection-route --vpn-connection-id %s --destination-cidr-block %v", c.ID, p)
		if c.Options == nil {
			r.note("", "A static connection announces nothing: AWS reaches %v only if it was told,\n%s", p, add)
			continue
		}
		if !slices.ContainsFunc(c.Options.Routes, func(q netip.Prefix) bool { return q.Overlaps(p) && q.Bits() <= p.Bits() }) {
			return fmt.Errorf("it is static, and AWS has no route to %v here (it has %s); add it: %s, and ask AWS for the JSON again", p, listed(c.Options.Routes), add)
		}
	}
	return nil
}

func listed[T any](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(strings.Fields(strings.Trim(fmt.Sprint(list), "[]")), ", ")
}

// routeByBGP has both tunnels exchange routes with AWS.
//
// TO BE COMPLETED when package gateway has BGP: then this, and nothing else
// here, fills its configuration from what c says (ASN, inside address and hold
// time of both ends of each tunnel) and o (what to announce, never a default
// route that was not asked for; none of AWS's replaces ours).
func (r *Result) routeByBGP(c awsconfig.Connection, o Options) error {
	us, aws := c.Tunnels[0].Customer, c.Tunnels[0].AWS
	switch {
	case len(o.Routes) > 0:
		return errors.New("it learns by BGP what lies behind AWS; leave --route out")
	case len(o.Advertise) == 0:
		return errors.New("it announces by BGP which networks AWS shall reach, and the file does not say them; say them with --advertise, such as --advertise 192.168.1.0/24")
	}
	return fmt.Errorf("it exchanges routes by BGP (AS %d here, announcing %s; AS %d at AWS, hold time %v), which this gateway does not speak yet; "+
		"make the connection with StaticRoutesOnly", us.ASN, listed(o.Advertise), aws.ASN, c.Tunnels[0].HoldTime)
}
