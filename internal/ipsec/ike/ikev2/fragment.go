package ikev2

import (
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/fragment"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// A fragmentation is what one IKE SA needs for messages in pieces (RFC 7383).
type fragmentation struct {
	on bool // both ends have said that they can
	// One message of each direction can be on its way, since the window is 1.
	requests, responses fragment.Buffer
}

// What stands before an IKE message in its IP packet, in octets: the headers
// of IP and UDP and the non-ESP marker, which is counted on port 500 too, since
// a message may be repeated on port 4500.
const (
	overIPv4 = 20 + 8 + 4
	overIPv6 = 40 + 8 + 4
)

// offersFragments reports whether we speak RFC 7383 at all.
func (m *Machine) offersFragments() bool { return m.cfg.Extensions.FragmentSize > 0 }

// fragmentNotify is what IKE_SA_INIT says about it.
func (m *Machine) fragmentNotify() []wire.Payload {
	if !m.offersFragments() {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.FragmentationSupp}}
}

// fragmentsAgreed reports whether the peer, whose IKE_SA_INIT holds list, and
// we both speak RFC 7383.
func (m *Machine) fragmentsAgreed(list []wire.Payload) bool {
	_, ok := wire.FindNotify(list, wire.FragmentationSupp)
	return ok && m.offersFragments()
}

// seal makes the datagrams of one message of s: one, or its fragments if it is
// too long and the peer can put them together.
func (m *Machine) seal(s *sa, h ike.Header, list []wire.Payload) ([][]byte, error) {
	m.export.stale = true // by an IV at least
	if !s.ext.fragments.on {
		data, err := wire.Seal(h, list, s.seal)
		if err != nil {
			return nil, err
		}
		return [][]byte{data}, nil
	}
	return wire.SealFragments(h, list, s.seal, m.cfg.Extensions.FragmentSize-overhead(s.path.remote.Addr()))
}

// overhead is what an IP packet to the given address has before the message.
func overhead(remote netip.Addr) int {
	if remote.Unmap().Is4() {
		return overIPv4
	}
	return overIPv6
}

// receiveFragment takes a fragment of a message of s, and the message when it
// is whole. Only what is authentic, of the message that is awaited and not here
// yet is kept.
func (m *Machine) receiveFragment(t *turn, s *sa, d ike.Datagram, msg *wire.Message, f *wire.SKF) {
	if !s.ext.fragments.on {
		return
	}
	h := msg.Header
	p := fragment.Piece{Message: h.MessageID, Exchange: h.Exchange, Number: f.Number, Total: f.Total, First: uint8(f.First)}
	response := h.Flags&ike.FlagResponse != 0
	into, again, ok := m.awaited(s, h, response)
	if !ok || (again && f.Number != 1) || (!again && !into.Wants(p)) {
		return
	}
	plain, authentic, err := wire.OpenFragment(msg, f, s.opener(h))
	if !authentic {
		return
	}
	r := received{from: d, h: h, err: err}
	if err == nil && !again {
		p.Plain = plain
		first, whole, done := into.Add(t.now, p)
		if !done {
			return
		}
		r.list, r.err = wire.ParseInner(wire.Kind(first), whole)
		r.covered = wire.Covered(h, wire.Kind(first), whole)
	}
	if response {
		m.receiveResponse(t, s, r)
		return
	}
	m.receiveRequest(t, s, r)
}

// awaited is where the fragments of a message with header h belong; ok is false
// if it is not one that we wait for. again says that it is the request answered
// last: its first fragment, and no other, makes us repeat the response (RFC 7383
// section 2.6.1).
func (m *Machine) awaited(s *sa, h ike.Header, response bool) (into *fragment.Buffer, again, ok bool) {
	fragments := &s.ext.fragments
	if response {
		f := s.window.out
		return &fragments.responses, false, f != nil && f.id == h.MessageID && s.state != gone
	}
	switch s.window.admit(h.MessageID) {
	case repeat:
		return nil, true, true
	case fresh:
		return &fragments.requests, false, s.answers(h.Exchange)
	case ignore:
	}
	return nil, false, false
}

// deadline is when a message that is not whole is given up.
func (f *fragmentation) deadline() time.Time {
	return earliest(f.requests.Deadline(), f.responses.Deadline())
}

// expire gives up messages that are not whole in time.
func (f *fragmentation) expire(now time.Time) {
	f.requests.Expire(now)
	f.responses.Expire(now)
}
