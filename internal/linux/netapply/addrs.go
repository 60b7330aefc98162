package netapply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// addAddrs adds the addresses of s that are missing.
func (p *pass) addAddrs(ctx context.Context, s *space) error {
	if err := p.recordAddrs(s); err != nil {
		return err
	}
	for _, l := range p.want[s.name].Links {
		k, exists := s.have.links[l.Name]
		if !exists {
			continue
		}
		for _, a := range l.Addrs {
			if slices.Contains(k.addrs, a) {
				continue
			}
			if err := p.addAddr(ctx, s, l, k, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// recordAddrs writes down which addresses are about to be added to links that
// are not ours.
func (p *pass) recordAddrs(s *space) error {
	fresh := false
	for _, l := range p.want[s.name].Links {
		k, exists := s.have.links[l.Name]
		if !exists || p.mine(s, k) {
			continue
		}
		for _, a := range l.Addrs {
			if slices.Contains(k.addrs, a) || slices.Contains(s.rec.Addrs[l.Name], a.String()) {
				continue
			}
			if s.rec.Addrs == nil {
				s.rec.Addrs = map[string][]string{}
			}
			s.rec.Addrs[l.Name] = append(s.rec.Addrs[l.Name], a.String())
			fresh = true
		}
	}
	if !fresh {
		return nil
	}
	return p.host.saveRecord(s.name, s.rec)
}

// addAddr adds a to k. The kernel refuses the same IPv6 address with another
// length: the old one goes first.
func (p *pass) addAddr(ctx context.Context, s *space, l netspec.Link, k kernelLink, a netip.Prefix) error {
	for _, old := range k.addrs {
		if old.Addr() == a.Addr() && !slices.Contains(l.Addrs, old) && p.myAddr(s, k, old) {
			if err := p.deleteAddr(ctx, s, k, old); err != nil {
				return err
			}
		}
	}
	return p.do(ctx, s, fmt.Sprintf("add address %v dev %s", a, l.Name), func() error {
		addr := &netlink.Addr{IPNet: fromPrefix(a)}
		if a.Addr().Is6() {
			// Nobody else on these links can have it, and an address still in
			// detection is of no use as the source of a route.
			addr.Flags = unix.IFA_F_NODAD
		}
		err := s.route.AddrAdd(k, addr)
		if errors.Is(err, unix.EEXIST) {
			return nil // whoever made the link has just added it as well
		}
		return err
	})
}

// whole reports whether all addresses of k are ours to add and delete.
func (p *pass) whole(s *space, k kernelLink) bool {
	if p.mine(s, k) {
		return true
	}
	_, wanted := p.wantedLink(s, k.Attrs().Name)
	return s.owned && (wanted || k.Attrs().Name == "lo")
}

// myAddr reports whether Apply may delete the address a of k.
func (p *pass) myAddr(s *space, k kernelLink, a netip.Prefix) bool {
	if automatic(a) {
		return false
	}
	return p.whole(s, k) || slices.Contains(s.rec.Addrs[k.Attrs().Name], a.String())
}

func (p *pass) deleteAddr(ctx context.Context, s *space, k kernelLink, a netip.Prefix) error {
	return p.do(ctx, s, fmt.Sprintf("delete address %v dev %s", a, k.Attrs().Name), func() error {
		err := s.route.AddrDel(k, &netlink.Addr{IPNet: fromPrefix(a)})
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
			return nil // went with another that was deleted
		}
		return err
	})
}

// deleteAddrs deletes our addresses that are not wanted. Links that will be
// deleted take theirs along.
func (p *pass) deleteAddrs(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.have.links)) {
		k := s.have.links[name]
		l, wanted := p.wantedLink(s, name)
		if !wanted && p.mine(s, k) {
			continue
		}
		for _, a := range k.addrs {
			if slices.Contains(l.Addrs, a) || !p.myAddr(s, k, a) {
				continue
			}
			if err := p.deleteAddr(ctx, s, k, a); err != nil {
				return err
			}
		}
	}
	p.forgetAddrs(s)
	return nil
}

// forgetAddrs drops from the record what is not wanted any more: it has gone.
func (p *pass) forgetAddrs(s *space) {
	for name, addrs := range s.rec.Addrs {
		l, _ := p.wantedLink(s, name)
		kept := slices.DeleteFunc(addrs, func(a string) bool {
			return !slices.ContainsFunc(l.Addrs, func(w netip.Prefix) bool { return w.String() == a })
		})
		slices.Sort(kept)
		s.rec.Addrs[name] = slices.Compact(kept)
		if len(kept) == 0 {
			delete(s.rec.Addrs, name)
		}
	}
}
