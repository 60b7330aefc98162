package netapply

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// vethMTU is what the kernel gives a veth that asks for no MTU, in bytes.
const vethMTU = 1500

// mine reports whether Apply may delete l of s.
func (p *pass) mine(s *space, l kernelLink) bool {
	return l.removable() &&
		(s.owned || l.ours(p.host.opts.Owner) || slices.Contains(s.rec.Making, l.Attrs().Name))
}

// makes reports whether Apply creates links of this kind.
func makes(kind netspec.LinkKind) bool { return kind == netspec.Veth || kind == netspec.Bridge }

// makeLinks deletes links that stand where another is wanted, and creates
// those that are missing. New links are down.
func (p *pass) makeLinks(ctx context.Context) error {
	before := len(p.changes)
	if err := p.each(ctx, p.deleteWrong); err != nil {
		return err
	}
	if len(p.changes) > before {
		if err := p.readAll(ctx); err != nil {
			return err
		}
	}
	before = len(p.changes)
	if err := p.each(ctx, p.createMissing); err != nil {
		return err
	}
	if len(p.changes) > before {
		return p.readAll(ctx)
	}
	return nil
}

// readAll takes new snapshots of all namespaces.
func (p *pass) readAll(ctx context.Context) error {
	return p.each(ctx, func(ctx context.Context, s *space) error { return s.read(ctx) })
}

// deleteWrong deletes the links of s whose name is wanted for another.
func (p *pass) deleteWrong(ctx context.Context, s *space) error {
	for _, l := range p.want[s.name].Links {
		k, exists := s.have.links[l.Name]
		if !exists || !makes(l.Kind) {
			continue
		}
		right, err := p.right(s, l, k)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.Name, err)
		}
		switch {
		case !p.mine(s, k):
			return fmt.Errorf("add link %s: a %s of this name %w: rename one", l.Name, k.Type(), errForeign)
		case right:
		default:
			if err := p.deleteLink(ctx, s, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// right reports whether k is of the kind of l and, as a veth, ends where l says.
func (p *pass) right(s *space, l netspec.Link, k kernelLink) (bool, error) {
	if k.Type() != string(l.Kind) {
		return false, nil
	}
	if l.Kind != netspec.Veth {
		return true, nil
	}
	far := p.space(l.Peer.Namespace)
	if far == nil {
		return true, nil // unknown; it stays until it can be seen
	}
	other, exists := far.have.links[l.Peer.Link]
	if !exists {
		return false, nil
	}
	return joined(s, k, far, other)
}

// joined reports whether the links a of s and b of t are the two ends of one
// veth. The indices alone do not say: they are alike in many namespaces.
func joined(s *space, a kernelLink, t *space, b kernelLink) (bool, error) {
	if a.Attrs().ParentIndex != b.Attrs().Index || b.Attrs().ParentIndex != a.Attrs().Index {
		return false, nil
	}
	id := -1 // what the kernel says of a peer in the same namespace
	if s != t {
		var err error
		if id, err = s.route.GetNetNsIdByFd(int(t.file.Fd())); err != nil {
			return false, fmt.Errorf("ask for the id of namespace %s: %w", t.label(), err)
		}
		if id < 0 {
			return false, nil
		}
	}
	return a.Attrs().NetNsID == id, nil
}

// space returns the open namespace name; nil when something failed in it.
func (p *pass) space(name string) *space {
	i := slices.IndexFunc(p.spaces, func(s *space) bool { return s.name == name })
	if i < 0 || p.failed[name] {
		return nil
	}
	return p.spaces[i]
}

// deleteLink deletes k. The far end of a veth may have gone with the near one.
func (p *pass) deleteLink(ctx context.Context, s *space, k kernelLink) error {
	gone := false
	before := len(p.changes)
	err := p.do(ctx, s, "delete link "+k.Attrs().Name, func() error {
		err := s.route.LinkDel(k)
		gone = errors.Is(err, unix.ENODEV)
		if gone {
			return nil
		}
		return err
	})
	if gone {
		p.changes = p.changes[:before]
	}
	return err
}

// createMissing creates the links of s that do not exist.
func (p *pass) createMissing(ctx context.Context, s *space) error {
	for _, l := range p.want[s.name].Links {
		if _, exists := s.have.links[l.Name]; exists || !makes(l.Kind) {
			continue
		}
		var err error
		if l.Kind == netspec.Bridge {
			err = p.createBridge(ctx, s, l)
		} else {
			err = p.createVeth(ctx, s, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// announce records that links are about to be made in namespaces not ours.
func (p *pass) announce(s *space, name string) error {
	if s.owned {
		return nil
	}
	s.rec.Making = append(s.rec.Making, name)
	return p.host.saveRecord(s.name, s.rec)
}

func (p *pass) createBridge(ctx context.Context, s *space, l netspec.Link) error {
	if err := p.announce(s, l.Name); err != nil {
		return err
	}
	return p.do(ctx, s, "add link "+l.String(), func() error {
		return s.route.LinkAdd(&netlink.Bridge{LinkAttrs: linkAttrs(l)})
	})
}

// createVeth creates both ends, each in its namespace. The end that comes
// first by namespace and name does it for both.
func (p *pass) createVeth(ctx context.Context, s *space, l netspec.Link) error {
	if l.Peer.Namespace < s.name || l.Peer.Namespace == s.name && l.Peer.Link < l.Name {
		return nil
	}
	far := p.space(l.Peer.Namespace)
	if far == nil {
		return nil
	}
	if err := p.announce(s, l.Name); err != nil {
		return err
	}
	if err := p.announce(far, l.Peer.Link); err != nil {
		return err
	}
	return p.do(ctx, s, "add link "+l.String(), func() error {
		veth := netlink.NewVeth(linkAttrs(l))
		veth.PeerName = l.Peer.Link
		veth.PeerNamespace = netlink.NsFd(far.file.Fd())
		return s.route.LinkAdd(veth)
	})
}

// linkAttrs are the attributes that a link is created with.
func linkAttrs(l netspec.Link) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.Name
	return attrs
}

// setLinks gives the links of s their sysctls, names, sizes and states.
func (p *pass) setLinks(ctx context.Context, s *space) error {
	n, wanted := p.want[s.name]
	if !wanted {
		return nil
	}
	if err := p.setLinkSysctls(ctx, s, n.Links); err != nil {
		return err
	}
	loopback := false
	for _, l := range n.Links {
		loopback = loopback || l.Kind == netspec.Loopback
		k, exists := s.have.links[l.Name]
		if !exists {
			// External, or a veth whose other namespace failed.
			p.wait(s, "link "+l.Name)
			continue
		}
		if err := p.setLink(ctx, s, l, k); err != nil {
			return err
		}
	}
	s.rec.Making = nil
	if s.owned && !loopback {
		return p.setState(ctx, s, netspec.Link{Name: "lo"}, s.have.links["lo"])
	}
	return nil
}

func (p *pass) setLink(ctx context.Context, s *space, l netspec.Link, k kernelLink) error {
	at := k.Attrs()
	if text := alias(p.host.opts.Owner, l.Comment); makes(l.Kind) && at.Alias != text {
		err := p.do(ctx, s, fmt.Sprintf("set link %s alias %q", l.Name, text), func() error { return s.route.LinkSetAlias(k, text) })
		if err != nil {
			return err
		}
	}
	mtu := l.MTU
	if mtu == 0 && l.Kind == netspec.Veth {
		mtu = vethMTU
	}
	if mtu != 0 && at.MTU != mtu {
		err := p.do(ctx, s, fmt.Sprintf("set link %s mtu %d", l.Name, mtu), func() error { return s.route.LinkSetMTU(k, mtu) })
		if err != nil {
			return err
		}
	}
	if l.MAC != "" && at.HardwareAddr.String() != l.MAC {
		err := p.do(ctx, s, fmt.Sprintf("set link %s address %s", l.Name, l.MAC), func() error {
			mac, err := net.ParseMAC(l.MAC)
			if err != nil {
				return err
			}
			return s.route.LinkSetHardwareAddr(k, mac)
		})
		if err != nil {
			return err
		}
	}
	if err := p.setMaster(ctx, s, l, k); err != nil {
		return err
	}
	return p.setState(ctx, s, l, k)
}

// setMaster puts a link into its bridge. Whether an External link without a
// master here has one is not ours to say.
func (p *pass) setMaster(ctx context.Context, s *space, l netspec.Link, k kernelLink) error {
	if l.Master == "" && l.Kind != netspec.Veth {
		return nil
	}
	index := 0
	if l.Master != "" {
		index = s.have.links[l.Master].Attrs().Index
	}
	if k.Attrs().MasterIndex == index {
		return nil
	}
	if index == 0 {
		return p.do(ctx, s, "set link "+l.Name+" nomaster", func() error { return s.route.LinkSetNoMaster(k) })
	}
	return p.do(ctx, s, "set link "+l.Name+" master "+l.Master, func() error { return s.route.LinkSetMasterByIndex(k, index) })
}

func (p *pass) setState(ctx context.Context, s *space, l netspec.Link, k kernelLink) error {
	up := k.Attrs().RawFlags&unix.IFF_UP != 0
	if up != l.Down {
		return nil
	}
	if l.Down {
		return p.do(ctx, s, "set link "+l.Name+" down", func() error { return s.route.LinkSetDown(k) })
	}
	return p.do(ctx, s, "set link "+l.Name+" up", func() error { return s.route.LinkSetUp(k) })
}

// deleteLinks deletes our links that are not wanted.
func (p *pass) deleteLinks(ctx context.Context, s *space) error {
	for _, name := range slices.Sorted(maps.Keys(s.have.links)) {
		k := s.have.links[name]
		if _, wanted := p.wantedLink(s, name); wanted || !p.mine(s, k) {
			continue
		}
		if err := p.deleteLink(ctx, s, k); err != nil {
			return err
		}
	}
	return nil
}

// wantedLink returns what is wanted of the link name of s.
func (p *pass) wantedLink(s *space, name string) (netspec.Link, bool) {
	l, wanted := p.lookup(s).links[name]
	return l, wanted
}
