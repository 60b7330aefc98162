package netapply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// ownRoute reports whether r of s is ours. In a namespace of ours only routes
// over a device that some process brought along may be that process's.
func (p *pass) ownRoute(s *space, r kernelRoute) bool {
	if ours, _ := p.host.protocol(); !s.owned || int(r.raw.Protocol) == ours {
		return int(r.raw.Protocol) == ours
	}
	k, exists := s.have.links[r.spec.Dev]
	if !exists || r.spec.Dev == "lo" {
		return true
	}
	_, wanted := p.wantedLink(s, r.spec.Dev)
	return wanted || k.removable()
}

// hasRoute reports whether s has exactly r, as ours.
func (p *pass) hasRoute(s *space, r netspec.Route) bool {
	return p.own(s).plain[r]
}

// waits reports whether r needs a link that does not exist.
func (p *pass) waits(s *space, r netspec.Route) bool {
	missing := func(l netspec.Link, wanted bool) bool {
		_, exists := s.have.links[l.Name]
		return wanted && !exists
	}
	wanted := p.lookup(s)
	for _, name := range r.Spread.Names() {
		if dev, named := wanted.links[name]; missing(dev, named) {
			return true
		}
	}
	dev, named := wanted.links[r.Dev]
	from, sourced := wanted.addrs[r.Src]
	return missing(dev, named) || missing(from, sourced)
}

// addRoutes adds the routes of s that are missing and replaces those that
// differ; those without a gateway first, for gateways are reached by them.
func (p *pass) addRoutes(ctx context.Context, s *space) error {
	for _, gateways := range []bool{false, true} {
		for _, r := range p.want[s.name].Routes {
			if r.Via.IsValid() != gateways || p.hasRoute(s, r) {
				continue
			}
			if p.waits(s, r) {
				p.wait(s, "route "+r.String())
				continue
			}
			if err := p.addRoute(ctx, s, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) addRoute(ctx context.Context, s *space, r netspec.Route) error {
	raw := toRoute(r)
	ours, _ := p.host.protocol()
	raw.Protocol = netlink.RouteProtocol(ours)
	if r.Dev != "" {
		raw.LinkIndex = s.have.links[r.Dev].Attrs().Index
	}
	for _, name := range r.Spread.Names() {
		hop := &netlink.NexthopInfo{LinkIndex: s.have.links[name].Attrs().Index}
		if r.Dst.Addr().Is6() {
			hop.Gw = otherEnd()
		}
		raw.MultiPath = append(raw.MultiPath, hop)
	}
	replace := s.owned || p.own(s).keyed[keyOf(r)]
	return p.do(ctx, s, "add route "+r.String(), func() error {
		if replace {
			return s.route.RouteReplace(raw)
		}
		err := s.route.RouteAdd(raw)
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("a route to it %w: give this one a metric", errForeign)
		}
		return err
	})
}

// otherEnd is the gateway of a link that shares flows of IPv6: the kernel refuses
// links alone there. A link without neighbours, such as a TUN, asks for nobody's
// hardware address, so that any will do.
func otherEnd() net.IP { return net.IP{0xfe, 0x80, 15: 1} }

// toRoute converts r, without its device and its protocol.
func toRoute(r netspec.Route) *netlink.Route {
	types := map[netspec.RouteType]int{
		netspec.Unicast:     unix.RTN_UNICAST,
		netspec.Blackhole:   unix.RTN_BLACKHOLE,
		netspec.Unreachable: unix.RTN_UNREACHABLE,
		netspec.Prohibit:    unix.RTN_PROHIBIT,
	}
	raw := &netlink.Route{
		Table:    r.Table,
		Type:     types[r.Type],
		Dst:      fromPrefix(r.Dst),
		Gw:       r.Via.AsSlice(),
		Src:      r.Src.AsSlice(),
		Priority: r.Metric,
	}
	if r.Type == netspec.Unicast && !r.Via.IsValid() && r.Dst.Addr().Is4() {
		// A gateway is accepted only where a route of link scope leads to it.
		raw.Scope = netlink.SCOPE_LINK
	}
	if r.OnLink {
		raw.Flags = int(netlink.FLAG_ONLINK)
	}
	return raw
}

// deleteRoutes deletes our routes that are not wanted. One that was replaced
// in this pass has gone already.
func (p *pass) deleteRoutes(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return nil
	}
	wanted := p.lookup(s)
	for _, k := range s.have.routes {
		if !p.ownRoute(s, k) || k.plain && wanted.want[k.spec] {
			continue
		}
		if r, replaced := wanted.keyed[keyOf(k.spec)]; replaced && !p.hasRoute(s, r) && !p.waits(s, r) {
			continue
		}
		err := p.do(ctx, s, "delete route "+k.spec.String(), func() error {
			err := s.route.RouteDel(&k.raw)
			if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
				return nil // went with its link or address
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ownRule reports whether r of s is ours.
func (p *pass) ownRule(s *space, r kernelRule) bool {
	ours, _ := p.host.protocol()
	return s.owned || int(r.raw.Protocol) == ours
}

// addRules adds the policy rules of s that are missing.
func (p *pass) addRules(ctx context.Context, s *space) error {
	for _, r := range p.want[s.name].Rules {
		has := slices.ContainsFunc(s.have.rules, func(k kernelRule) bool {
			return k.plain && k.spec == r && p.ownRule(s, k)
		})
		if has {
			continue
		}
		err := p.do(ctx, s, "add rule "+r.String(), func() error {
			raw := toRule(r)
			ours, _ := p.host.protocol()
			raw.Protocol = uint8(ours)
			err := s.route.RuleAdd(raw)
			if errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("the same rule %w: use another priority", errForeign)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// toRule converts r. A prefix of length 0 is left out: "all".
func toRule(r netspec.Rule) *netlink.Rule {
	raw := netlink.NewRule()
	raw.Family = unix.AF_INET
	if r.IsIPv6() {
		raw.Family = unix.AF_INET6
	}
	raw.Priority, raw.IifName, raw.Table, raw.Mark = r.Priority, r.IIF, r.Table, r.Mark
	if r.From.Bits() > 0 {
		raw.Src = fromPrefix(r.From)
	}
	if r.To.Bits() > 0 {
		raw.Dst = fromPrefix(r.To)
	}
	return raw
}

// deleteRules deletes our policy rules that are not wanted.
func (p *pass) deleteRules(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return nil
	}
	want := p.want[s.name].Rules
	for _, k := range s.have.rules {
		if !p.ownRule(s, k) || k.plain && slices.Contains(want, k.spec) {
			continue
		}
		err := p.do(ctx, s, "delete rule "+k.spec.String(), func() error {
			err := s.route.RuleDel(&k.raw)
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
