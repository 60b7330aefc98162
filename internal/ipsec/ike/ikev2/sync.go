package ikev2

import (
	"encoding/binary"
	"slices"
	"time"

	"seikan/internal/ipsec/ike/ikev2/wire"
)

// A synchronization is what one IKE SA needs to agree on message ids anew after
// one end was restarted (RFC 6311). Ours are exact after a restart, so we ask
// for it only when the peer does not answer what it should; a peer that is a
// cluster may know less than we do.
type synchronization struct {
	on bool // both ends have said that they can
	// ours and theirs are the highest ids proposed so far, plus one: a proposal
	// counts only if it is higher.
	ours, theirs uint32
}

// syncLen is the length of the data of IKEV2_MESSAGE_ID_SYNC (RFC 6311 section
// 4.3): nonce, next id that the sender uses, next id that it expects.
const (
	syncLen      = 12
	syncNonceLen = 4
)

// maxSyncJump bounds how far a peer may move its message ids at once: who needs
// more has not lost count but its mind.
const maxSyncJump = 1 << 16

// syncNotify is what IKE_AUTH says about it.
func (m *Machine) syncNotify() []wire.Payload {
	if m.cfg.Extensions.NoMessageIDSync {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.MessageIDSyncSupp}}
}

// agreeSync notes on s whether the peer, whose IKE_AUTH message is list, can
// agree on message ids anew.
func (m *Machine) agreeSync(s *sa, list []wire.Payload) {
	_, ok := wire.FindNotify(list, wire.MessageIDSyncSupp)
	s.ext.sync = synchronization{on: ok && !m.cfg.Extensions.NoMessageIDSync}
}

// syncData is the data of the notify.
func syncData(nonce []byte, send, recv uint32) []byte {
	b := append([]byte(nil), nonce...)
	b = binary.BigEndian.AppendUint32(b, send)
	return binary.BigEndian.AppendUint32(b, recv)
}

// findSync is the notify in list, taken apart; ok is false without a sound one.
func findSync(list []wire.Payload) (nonce []byte, send, recv uint32, ok bool) {
	n, ok := wire.FindNotify(list, wire.MessageIDSync)
	if !ok || len(n.Data) != syncLen {
		return nil, 0, 0, false
	}
	return n.Data[:syncNonceLen], binary.BigEndian.Uint32(n.Data[syncNonceLen:]), binary.BigEndian.Uint32(n.Data[syncNonceLen+4:]), true
}

// respondSync takes r if it is the peer's wish to agree on message ids, and
// reports whether it is. Such a request has id 0, whatever the window says; what
// keeps an old one from being repeated is that each must propose a higher id
// than any before.
func (m *Machine) respondSync(t *turn, s *sa, r received) bool {
	if r.h.MessageID != 0 || r.h.Exchange != wire.Informational || !s.ext.sync.on || s.state != up || r.err != nil {
		return false
	}
	if _, is := wire.FindNotify(r.list, wire.MessageIDSync); !is {
		return false
	}
	nonce, send, recv, ok := findSync(r.list)
	w := &s.window
	// "The peer MUST silently drop any received synchronization message if M1
	// is lower than or equal to the highest value it has seen from the cluster."
	// https://www.rfc-editor.org/rfc/rfc6311#section-5.1
	if !ok || send < max(w.expect, s.ext.sync.theirs) || send-w.expect > maxSyncJump || recv > w.next && recv-w.next > maxSyncJump {
		return true
	}
	m.fresh(t, s, r.from)
	s.ext.sync.theirs = send + 1
	if send != w.expect {
		w.expect, w.cached = send, nil
	}
	// A request under way that the peer has not seen is asked anew: its id is
	// spent, since we propose the one after it (RFC 6311 section 5.1). One that
	// the peer has answered is repeated until the answer comes.
	if f := w.out; f != nil && recv != w.next {
		if _, syncing := f.task.(*syncIDs); !syncing {
			w.out = nil
			s.tasks = slices.Insert(s.tasks, 0, f.task)
		}
	}
	w.next = max(w.next, recv)
	t.notice(levelInfo, "peer was restarted; message ids are agreed anew", "ours", w.next, "peers", w.expect)
	answer := &wire.Notify{Type: wire.MessageIDSync, Data: syncData(nonce, w.next, w.expect)}
	data, err := m.seal(s, s.header(wire.Informational, 0, true), []wire.Payload{answer})
	if err != nil {
		t.bug(err)
		return true
	}
	t.send(r.from.Local, r.from.Remote, data...)
	s.path.sent = t.now
	return true
}

// syncIDs is our exchange of that kind. It is never sent twice: each try
// proposes a higher id.
type syncIDs struct {
	nonce      []byte
	send, recv uint32
	until      time.Time // when the peer has had its chance
}

func (*syncIDs) exchange() uint8 { return wire.Informational }

// request is not called: the message id is 0, so pump cannot begin it.
func (*syncIDs) request(*Machine, *turn, *sa) ([]wire.Payload, bool) { return nil, false }

// sync begins k on s, where nothing is under way.
func (m *Machine) sync(t *turn, s *sa, k *syncIDs) {
	k.nonce = m.random(t, syncNonceLen)
	k.send, k.recv = max(s.window.next+syncSkip, s.ext.sync.ours), s.window.expect
	s.ext.sync.ours = k.send + 1
	n := &wire.Notify{Type: wire.MessageIDSync, Data: syncData(k.nonce, k.send, k.recv)}
	data, err := m.seal(s, s.header(wire.Informational, 0, false), []wire.Payload{n})
	if err != nil {
		t.bug(err)
		return
	}
	at := t.now.Add(provePause)
	s.window.out = &flight{data: data, task: k, again: at, giveUp: at, proof: true}
	m.transmit(t, s, data...)
}

const (
	// syncAt is how long after a restart the peer has not shown a sign of life
	// when we ask for it, and syncWithin how long it may take.
	syncAt     = 2 * time.Second
	syncWithin = proveWithin - syncAt
	// syncSkip is by how many ids we may be behind what the peer has seen. Only
	// an id that it has not seen counts, and there are enough.
	syncSkip = 64
)

// syncAfter goes on after f, the sign of life that was asked for after a
// restart, was not given: perhaps the peer counts otherwise than we do. It
// reports whether it did.
func (m *Machine) syncAfter(t *turn, s *sa, f *flight) bool {
	if s != m.current || !s.ext.sync.on || !f.proof {
		return false
	}
	k := &syncIDs{until: t.now.Add(syncWithin)}
	switch task := f.task.(type) {
	case *probe:
	case *syncIDs:
		k = task
	default:
		return false // what it asks is not known to be undone
	}
	if !t.now.Before(k.until) {
		return false
	}
	m.sync(t, s, k)
	return true
}

// answeredBy reports whether r is the answer to k and to no other wish: its
// nonce says so (RFC 6311 section 5.1).
func (k *syncIDs) answeredBy(r received) bool {
	nonce, _, _, ok := findSync(r.list)
	return ok && r.err == nil && slices.Equal(nonce, k.nonce)
}

func (k *syncIDs) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	_, send, recv, ok := findSync(list)
	if !ok || recv < k.send || send < k.recv || send-k.recv > maxSyncJump || recv-k.send > maxSyncJump {
		m.broken(t, s, "peer's answer about message ids makes no sense")
		return
	}
	s.window.next = max(s.window.next, recv)
	if send != s.window.expect {
		s.window.expect, s.window.cached = max(s.window.expect, send), nil
	}
}
