package intake

import (
	"crypto/sha256"
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
	r.Gateway = gateway.Config{Name: c.ID, Forward: true}
	if c.Options != nil && c.Options.InsideIPv6 {
		if own := c.Tunnels[0].Customer.Inside.Addr(); own.Is4() && !c.Static {
			r.Gateway.BGP.RouterID = own
			r.note("bgp.router_id", "A session over IPv6 needs an IPv4 address for a name.")
		}
		if err := carryIPv6(&c); err != nil {
			return r, err
		}
	}
	if own := c.Tunnels[0].Customer.Inside.Addr(); own.Is6() && !c.Static && !r.Gateway.BGP.RouterID.IsValid() {
		sum := sha256.Sum256(own.AsSlice())
		r.Gateway.BGP.RouterID = netip.AddrFrom4([4]byte{198, 18 | sum[0]&1, sum[1], sum[2]})
		r.note("bgp.router_id", "A session over IPv6 needs an IPv4 address for a name. This is one of those for\nbenchmarks (RFC 2544), which nobody else has; any of yours will do.")
	}
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

// carryIPv6 gives the tunnels of c their inside addresses of IPv6, which only
// TunnelOptions say: the document within has those of IPv4, which such a tunnel
// has too and does not use. AWS has the first, the customer the second.
func carryIPv6(c *awsconfig.Connection) error {
	for i := range c.Tunnels {
		t := &c.Tunnels[i]
		if t.Customer.Inside.Addr().Is6() {
			continue
		}
		if t.Options == nil || !t.Options.InsideIPv6.IsValid() {
			return fmt.Errorf("its tunnels carry IPv6, and the file does not say TunnelInsideIpv6Cidr of the one to %v; ask AWS for the JSON again when the connection is available", t.AWS.Outside)
		}
		first := t.Options.InsideIPv6.Masked().Addr().Next()
		t.AWS.Inside, t.Customer.Inside = netip.PrefixFrom(first, 126), netip.PrefixFrom(first.Next(), 126)
	}
	return nil
}

func (r *Result) addTunnel(c awsconfig.Connection, i int, t awsconfig.Tunnel, o Options) error {
	key := fmt.Sprintf("tunnels.%d.", i)
	out := gateway.Tunnel{
		ID: fmt.Sprintf("tunnel-%d", i+1), Interface: fmt.Sprintf("tun%d", i+1), Initiate: true,
		Outside: gateway.Outside{Remote: t.AWS.Outside},
		PSK:     t.PSK, Inside: t.Customer.Inside, SourceNAT: o.SourceNAT,
	}
	if t.Customer.Outside.IsValid() {
		out.Outside.LocalID = t.Customer.Outside.String()
		r.note(key+"outside.local_id", "The customer gateway's address, by which AWS knows us, behind NAT too.")
	}
	if o.SourceNAT {
		r.note(key+"source_nat", "What leaves has the tunnel's inside address: AWS needs no route to us, and cannot call us.")
	}
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
	if o.AcceptDefault {
		return errors.New("it is static: AWS announces nothing; leave --accept-default out, and for a default route say --route 0.0.0.0/0")
	}
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
// No tunnel is made the better one: AWS chooses, and says so by MED while it
// works on one, which a longer path of ours would defeat (vpn §4.3).
func (r *Result) routeByBGP(c awsconfig.Connection, o Options) error {
	if err := bgpFits(c, o); err != nil {
		return err
	}
	out := gateway.BGP{ASN: c.Tunnels[0].Customer.ASN, AcceptDefault: o.AcceptDefault, RouterID: r.Gateway.BGP.RouterID}
	for _, p := range o.Advertise {
		if !slices.Contains(out.Announce, p) {
			out.Announce = append(out.Announce, p)
		}
	}
	if most := announced(c); len(out.Announce) > most {
		return fmt.Errorf("it announces %d networks, and AWS ends the session over more than %d; summarise them", len(out.Announce), most)
	}
	r.Gateway.BGP = out
	for i, t := range c.Tunnels {
		r.Gateway.Tunnels[i].BGP = gateway.Session{PeerASN: t.AWS.ASN, Hold: t.HoldTime, MaxPrefixes: conffile.DefaultMaxPrefixes}
		r.note(fmt.Sprintf("tunnels.%d.bgp", i), "AWS chooses by which tunnel it answers; med or prepend would steer it, and get in\nthe way when it works on one of its ends.")
	}
	if o.AcceptDefault {
		r.note("bgp.accept_default", "A default route of AWS's stands behind one of yours; without one, give AWS's outside\naddresses a route of their own.")
	} else {
		r.note("bgp", "AWS says what lies behind it, but a default route is not accepted: see accept_default.")
	}
	for _, w := range r.Gateway.Warnings() {
		r.note("bgp.announce", "%s.", w)
	}
	return nil
}

// bgpFits refuses what does not go with BGP, or not yet.
func bgpFits(c awsconfig.Connection, o Options) error {
	switch {
	case len(o.Routes) > 0:
		return errors.New("it learns by BGP what lies behind AWS; leave --route out")
	case len(o.Advertise) == 0 && !o.SourceNAT:
		return errors.New("it announces by BGP which networks AWS shall reach, and the file does not say them; say them with --advertise, such as --advertise 192.168.1.0/24, or --source-nat if AWS shall reach none")
	case c.Options == nil:
		return nil
	}
	local, remote := selector(c.Options.Local), selector(c.Options.Remote)
	for _, t := range c.Tunnels {
		if local.IsValid() && !local.Contains(t.Customer.Inside.Addr()) || remote.IsValid() && !remote.Contains(t.AWS.Inside.Addr()) {
			return fmt.Errorf("it exchanges routes by BGP between the inside addresses %v and %v, which LocalIpv4NetworkCidr %v and RemoteIpv4NetworkCidr %v keep out of its tunnels; "+
				"open both: aws ec2 modify-vpn-connection-options --vpn-connection-id %s --local-ipv4-network-cidr 0.0.0.0/0 --remote-ipv4-network-cidr 0.0.0.0/0, and ask AWS for the JSON again",
				t.Customer.Inside.Addr(), t.AWS.Inside.Addr(), c.Options.Local, c.Options.Remote, c.ID)
		}
	}
	return nil
}

// announced is how many networks AWS takes by BGP (vpn §4.5).
func announced(c awsconfig.Connection) int {
	if strings.HasPrefix(c.GatewayID, "vgw-") {
		return 100
	}
	return 1000
}
