package ikev2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// A mobility is what one IKE SA needs to follow a change of addresses (RFC
// 4555).
type mobility struct {
	on bool // both ends have said that they can
	// lead says that we began the first of the IKE SAs that succeed each other:
	// we alone decide which addresses are used, and say UPDATE_SA_ADDRESSES.
	lead   bool
	others []netip.Addr // where else the peer says that it can be reached
	// mapped is the address at which the peer sees us, as it hashes it; not nil
	// once it was asked.
	mapped []byte
}

// maxOthers bounds the addresses that a peer may name.
const maxOthers = 16

// cookie2Len is the length of our COOKIE2 in octets; 8 to 64 are allowed (RFC
// 4555 section 4.2.5).
const cookie2Len = 16

// mobikeNotify is what IKE_AUTH says about it.
func (m *Machine) mobikeNotify() []wire.Payload {
	if m.cfg.Extensions.NoMOBIKE {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.MobikeSupported}}
}

// agreeMobike notes on s whether the peer, whose IKE_AUTH message is list, can
// move, and where else it is.
func (m *Machine) agreeMobike(s *sa, list []wire.Payload) {
	_, ok := wire.FindNotify(list, wire.MobikeSupported)
	s.ext.mobike = mobility{on: ok && !m.cfg.Extensions.NoMOBIKE, lead: s.initiator}
	s.ext.mobike.learn(list)
}

// learn takes over the other addresses that the peer names in list, if it
// names any or says that there are none; a new list replaces the one before
// (RFC 4555 section 3.6).
func (b *mobility) learn(list []wire.Payload) {
	var others []netip.Addr
	told := false
	for _, p := range list {
		n, ok := p.(*wire.Notify)
		if !ok {
			continue
		}
		switch n.Type {
		case wire.AdditionalIP4, wire.AdditionalIP6:
			a, ok := netip.AddrFromSlice(n.Data)
			if ok && a.Is4() == (n.Type == wire.AdditionalIP4) && len(others) < maxOthers {
				others, told = append(others, a), true
			}
		case wire.NoAdditional:
			told = true
		}
	}
	if b.on && told {
		b.others = others
	}
}

// localChanged takes a new address of ours. An SA that can move does, if it is
// for us to say so; of any other the peer is told that it ends, and a new one
// is begun.
func (m *Machine) localChanged(t *turn, local netip.AddrPort) {
	if local.Addr() == m.cfg.Local.Addr() || !local.IsValid() {
		return
	}
	m.cfg.Local = netip.AddrPortFrom(local.Addr(), m.cfg.Local.Port())
	for _, s := range slices.Clone(m.sas) {
		if s.initiator && (s.state == larval || s.state == keyed) {
			m.forget(s)
			if m.current == nil {
				m.connect(t)
			}
			continue
		}
		s.path.local = netip.AddrPortFrom(local.Addr(), s.path.local.Port())
	}
	s := m.current
	if s == nil {
		return
	}
	m.moveESP(t, s)
	switch {
	case s.ext.mobike.on && s.ext.mobike.lead:
		t.notice(levelInfo, "own address changed; the SAs move with it", "local", local.Addr())
		m.update(t, s)
	case s.ext.mobike.on:
		// The peer has to decide; that this comes from elsewhere tells it.
		t.notice(levelInfo, "own address changed; the peer is told", "local", local.Addr())
		s.tasks = append(s.tasks, &announce{})
	case m.initiates():
		m.fade(s, t.now)
		s.tasks = append(s.tasks, &deleteIKE{})
		m.down(t, fmt.Sprintf("own address changed to %v, and the peer does not speak MOBIKE", local.Addr()), again)
	}
}

// update tells the peer to take the addresses of s.path.
func (m *Machine) update(t *turn, s *sa) {
	// An IKE SA that moves goes to port 4500, where a NAT on the new path does
	// no harm (RFC 4555 section 3.8).
	if s.path.supported && s.path.local.Port() != portNAT {
		s.path.float()
	}
	if f := s.window.out; f != nil {
		m.transmit(t, s, f.data...) // what is under way must get there first
		if k, ok := f.task.(*updateAddresses); ok {
			k.stale = true
			return
		}
	}
	if !slices.ContainsFunc(s.tasks, isUpdate) {
		s.tasks = append([]task{&updateAddresses{}}, s.tasks...)
	}
}

// updateAddresses is our INFORMATIONAL exchange that moves the SAs.
type updateAddresses struct {
	stale bool // the addresses changed again since it was sent
}

func isUpdate(k task) bool { _, ok := k.(*updateAddresses); return ok }

func (*updateAddresses) exchange() uint8 { return wire.Informational }

func (k *updateAddresses) request(m *Machine, _ *turn, s *sa) ([]wire.Payload, bool) {
	list := []wire.Payload{&wire.Notify{Type: wire.UpdateSAAddresses}}
	return append(list, natPayloads(s.spiI, s.spiR, s.path, m.cfg.ForceEncap)...), true
}

func (k *updateAddresses) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	if s != m.current {
		return
	}
	if k.stale {
		m.update(t, s)
		return
	}
	if n, ok := wire.FindError(list); ok {
		m.fade(s, t.now)
		s.tasks = append(s.tasks, &deleteIKE{})
		m.down(t, fmt.Sprintf("peer does not take our new address %v (%v), so that a new tunnel is begun", s.path.local.Addr(), n.Type), again)
		return
	}
	if _, present := natMatch(list, wire.NATDetectionDest, nil); present {
		s.path.detect(s.header(wire.Informational, 0, false), list, m.cfg.ForceEncap)
		s.ext.mobike.mapped = ownHash(list)
	}
	m.moveESP(t, s)
}

// moveESP sends the packets of the CHILD SAs of s along its path, in UDP or
// not.
func (m *Machine) moveESP(t *turn, s *sa) {
	for _, c := range m.children {
		if c.ike != s {
			continue
		}
		encap := c.SA.Encap != s.path.encap()
		c.SA.Local, c.SA.Remote, c.SA.Encap = s.path.local, s.path.remote, s.path.encap()
		if c.used && encap {
			t.act(ike.UseOutbound{SA: c.SA})
		}
	}
	if s == m.current {
		t.act(ike.MovePeer{Local: s.path.local, Remote: s.path.remote})
	}
}

// announce is the INFORMATIONAL exchange of an end that may not move the SAs
// and has a new address, for which its source speaks (RFC 4555 section 3.6).
type announce struct{}

func (*announce) exchange() uint8 { return wire.Informational }

func (*announce) request(*Machine, *turn, *sa) ([]wire.Payload, bool) {
	return []wire.Payload{&wire.Notify{Type: wire.NoAdditional}}, true
}

func (*announce) response(*Machine, *turn, *sa, []wire.Payload) {}

// mobikeRequest takes what an INFORMATIONAL request says about addresses and
// returns what belongs in its answer.
func (m *Machine) mobikeRequest(t *turn, s *sa, r received) (answer []wire.Payload) {
	if !s.ext.mobike.on {
		return nil
	}
	// COOKIE2 goes back as it came (RFC 4555 section 4.2.5).
	if n, ok := wire.FindNotify(r.list, wire.Cookie2); ok {
		answer = append(answer, &wire.Notify{Type: wire.Cookie2, Data: n.Data})
	}
	if !natUnchanged(r) {
		return append(answer, &wire.Notify{Type: wire.UnexpectedNAT})
	}
	s.ext.mobike.learn(r.list)
	at := path{local: r.from.Local, remote: r.from.Remote}
	_, asked := natMatch(r.list, wire.NATDetectionSource, nil)
	_, update := wire.FindNotify(r.list, wire.UpdateSAAddresses)
	switch {
	case update && !s.ext.mobike.lead:
		if at.remote.Addr().Is4() != s.path.remote.Addr().Is4() {
			return append(answer, &wire.Notify{Type: wire.UnacceptableAddresses})
		}
		m.peerMoved(t, s, r)
	case s.ext.mobike.lead && s == m.current && told(r.list) && at.remote.Addr() != s.path.remote.Addr():
		s.path.remote = at.remote
		m.update(t, s)
	}
	if asked {
		answer = append(answer, natPayloads(s.spiI, s.spiR, at, m.cfg.ForceEncap)...)
	}
	return answer
}

// told reports whether list says something about other addresses.
func told(list []wire.Payload) bool {
	b := mobility{on: true, others: []netip.Addr{{}}}
	b.learn(list)
	return len(b.others) != 1 || b.others[0].IsValid()
}

// peerMoved follows the peer, which leads, to where its request r came from.
// The IKE SA follows at once, since each of its messages is answered. ESP waits
// until the peer has shown that it is there: whoever holds the key must not
// make us flood somebody else (RFC 4555 section 3.7).
func (m *Machine) peerMoved(t *turn, s *sa, r received) {
	was := s.path.remote
	s.path.local, s.path.remote = r.from.Local, r.from.Remote
	if _, present := natMatch(r.list, wire.NATDetectionSource, nil); present {
		s.path.detect(r.h, r.list, m.cfg.ForceEncap)
	}
	if s != m.current {
		return
	}
	t.notice(levelInfo, "peer moves", "from", was, "to", s.path.remote, "nat_local", s.path.natLocal, "nat_remote", s.path.natRemote)
	if was.Addr() == s.path.remote.Addr() {
		m.moveESP(t, s)
		return
	}
	s.tasks = append(slices.DeleteFunc(s.tasks, isRouteCheck), &routeCheck{to: s.path.remote})
}

// natUnchanged reports whether r came along the addresses that it says it must,
// if it forbids NATs (RFC 4555 section 3.9): source, destination and their
// ports.
func natUnchanged(r received) bool {
	n, ok := wire.FindNotify(r.list, wire.NoNATsAllowed)
	if !ok {
		return true
	}
	want := append(r.from.Remote.Addr().Unmap().AsSlice(), r.from.Local.Addr().Unmap().AsSlice()...)
	want = binary.BigEndian.AppendUint16(want, r.from.Remote.Port())
	want = binary.BigEndian.AppendUint16(want, r.from.Local.Port())
	return bytes.Equal(n.Data, want)
}

// A routeCheck is our INFORMATIONAL exchange that shows that the peer is where
// it says (RFC 4555 section 3.7).
type routeCheck struct {
	to     netip.AddrPort
	cookie []byte
}

func isRouteCheck(k task) bool { _, ok := k.(*routeCheck); return ok }

func (*routeCheck) exchange() uint8 { return wire.Informational }

func (k *routeCheck) request(m *Machine, t *turn, _ *sa) ([]wire.Payload, bool) {
	k.cookie = m.random(t, cookie2Len)
	return []wire.Payload{&wire.Notify{Type: wire.Cookie2, Data: k.cookie}}, true
}

func (k *routeCheck) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	n, ok := wire.FindNotify(list, wire.Cookie2)
	// Another cookie than ours ends the IKE SA (RFC 4555 section 3.7).
	if !ok || !bytes.Equal(n.Data, k.cookie) {
		m.broken(t, s, fmt.Sprintf("peer does not show that it is at %v: its answer lacks our COOKIE2", k.to))
		return
	}
	if s == m.current && s.path.remote == k.to {
		m.moveESP(t, s)
	}
}

// ownHash is the address at which the peer sees us, as its message hashes it.
func ownHash(list []wire.Payload) []byte {
	if n, ok := wire.FindNotify(list, wire.NATDetectionDest); ok {
		return bytes.Clone(n.Data)
	}
	return []byte{}
}

// watchesMapping reports whether our probes on s ask how the peer sees us: with
// MOBIKE it does not follow a NAT that moved before we say so (RFC 4555 section
// 3.8).
func (s *sa) watchesMapping() bool {
	return s.ext.mobike.on && s.ext.mobike.lead && s.path.natLocal
}

// learnMapping asks once how the peer sees us, to know later when that changes.
func (m *Machine) learnMapping() {
	s := m.current
	if s == nil || s.state != up || !s.watchesMapping() || s.ext.mobike.mapped != nil {
		return
	}
	if !s.begun(func(k task) bool { _, ok := k.(*probe); return ok || isUpdate(k) }) {
		s.tasks = append(s.tasks, &probe{})
	}
}

// mappingSeen takes the answer to a probe that asked.
func (m *Machine) mappingSeen(t *turn, s *sa, list []wire.Payload) {
	if !s.watchesMapping() || s != m.current {
		return
	}
	was := s.ext.mobike.mapped
	s.ext.mobike.mapped = ownHash(list)
	if len(was) > 0 && len(s.ext.mobike.mapped) > 0 && !bytes.Equal(was, s.ext.mobike.mapped) {
		t.notice(levelInfo, "the NAT before us has moved")
		m.update(t, s)
	}
}

// passOn gives next the exchanges about addresses that have not come to an end
// on s, which it succeeds.
func (s *sa) passOn(next *sa) {
	for _, k := range s.tasks {
		switch k.(type) {
		case *updateAddresses, *routeCheck, *announce:
			next.tasks = append(next.tasks, k)
		}
	}
	if s.window.out == nil {
		return
	}
	switch k := s.window.out.task.(type) {
	case *updateAddresses:
		next.tasks = append(next.tasks, &updateAddresses{})
	case *routeCheck:
		next.tasks = append(next.tasks, &routeCheck{to: k.to})
	case *announce:
		next.tasks = append(next.tasks, k)
	}
}
