package netapply

import (
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// readNamespace returns our part of s; all are the open namespaces, each read
// just now.
func (h *Host) readNamespace(ctx context.Context, s *space, all []*space) (netspec.Namespace, error) {
	p := newPass(h)
	n := netspec.Namespace{Name: s.name}
	for _, link := range slices.Sorted(maps.Keys(s.have.links)) {
		if l, ours := p.readLink(s, s.have.links[link]); ours {
			n.Links = append(n.Links, l)
		}
	}
	if err := readPeers(s, all, n.Links); err != nil {
		return n, err
	}
	for _, r := range s.have.routes {
		if p.ownRoute(s, r) && r.plain {
			n.Routes = append(n.Routes, r.spec)
		}
	}
	for _, r := range s.have.rules {
		if p.ownRule(s, r) && r.plain {
			n.Rules = append(n.Rules, r.spec)
		}
	}
	texts, err := h.listTables(ctx, s, nil)
	if err != nil {
		return n, err
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		n.Tables = append(n.Tables, parseTable(texts[name]))
	}
	return n, readSysctls(s, &n)
}

// readLink returns k in our words, without its peer, if it is ours or has
// addresses of ours.
func (p *pass) readLink(s *space, k kernelLink) (netspec.Link, bool) {
	at := k.Attrs()
	l := netspec.Link{
		Name:   at.Name,
		Kind:   netspec.LinkKind(k.Type()),
		Master: s.have.names[at.MasterIndex],
		MTU:    at.MTU,
		MAC:    at.HardwareAddr.String(),
		Down:   at.RawFlags&unix.IFF_UP == 0,
	}
	l.Comment = strings.TrimSpace(strings.TrimPrefix(at.Alias, aliasMark(p.host.opts.Owner)))
	for _, a := range k.addrs {
		if p.myAddr(s, k, a) {
			l.Addrs = append(l.Addrs, a)
		}
	}
	if p.mine(s, k) {
		return l, true
	}
	l.Kind, l.Master, l.Comment = netspec.External, "", ""
	if at.Name == "lo" {
		l.Kind, l.MAC = netspec.Loopback, ""
	}
	return l, len(l.Addrs) > 0
}

// readPeers finds the other end of every veth among the links of s.
func readPeers(s *space, all []*space, links []netspec.Link) error {
	for i := range links {
		l := &links[i]
		if l.Kind != netspec.Veth {
			continue
		}
		k := s.have.links[l.Name]
		for _, t := range all {
			far, exists := t.have.links[t.have.names[k.Attrs().ParentIndex]]
			if !exists {
				continue
			}
			ok, err := joined(s, k, t, far)
			if err != nil {
				return err
			}
			if ok {
				l.Peer = netspec.Peer{Namespace: t.name, Link: far.Attrs().Name}
			}
		}
	}
	return nil
}
