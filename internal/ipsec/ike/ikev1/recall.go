package ikev1

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/secret"
)

// Bounds of what is remembered of message 1 while there is a flood of them.
const (
	maxRecalled      = 8       // offers that differ
	maxRecalledOffer = 4 << 10 // octets of one
	recallKeyLife    = 30 * time.Second
)

// A recall lets main mode go on from a message 1 of which nothing was kept,
// because maxOffered attempts are held already: our cookie is a MAC of what
// there would be to keep, which message 3 brings back (RFC 2408 section 2.5.3
// has cookies made so). Only the offer it cannot bring back, which HASH_I and
// HASH_R cover. But a flood says much the same over and over, and so does the
// peer, which is configured once: the last few offers that differ are kept, and
// for good the one with which the peer last came up.
type recall struct {
	key, old secret.Secret // of the MAC; old is accepted still
	since    time.Time
	offers   []recalled // the latest last
	proven   recalled
}

// A recalled is what message 1 says beside its cookie.
type recalled struct {
	offer               []byte // the body of the SA payload
	natt, dpd, inPieces bool   // what the peer announced
}

func (r recalled) is(o recalled) bool {
	return r.natt == o.natt && r.dpd == o.dpd && r.inPieces == o.inPieces && bytes.Equal(r.offer, o.offer)
}

// recalledOf is what there is to remember of s.
func recalledOf(s *sa) recalled {
	return recalled{offer: s.shake.offer, natt: s.path.supported, dpd: s.dpd.supported, inPieces: s.fragments.on}
}

// remember keeps o and forgets the oldest that is too much.
func (r *recall) remember(o recalled) {
	if i := slices.IndexFunc(r.offers, o.is); i >= 0 {
		o = r.offers[i]
		r.offers = slices.Delete(r.offers, i, i+1)
	} else if len(r.offers) == maxRecalled {
		r.offers = slices.Delete(r.offers, 0, 1)
	}
	r.offers = append(r.offers, o)
}

// rotate makes a new key when the one there is is old.
func (r *recall) rotate(m *Machine, t *turn) {
	age := t.now.Sub(r.since)
	if !r.key.IsZero() && age < recallKeyLife {
		return
	}
	r.old, r.key, r.since = r.key, secret.New(m.random(t, sha256.Size)), t.now
	if age >= 2*recallKeyLife {
		r.old = secret.Secret{}
	}
}

// cookie is ours for an attempt from remote with the cookie spiI that says o.
func (r *recall) cookie(key secret.Secret, remote netip.Addr, spiI uint64, o recalled) uint64 {
	mac := hmac.New(sha256.New, key.Reveal())
	said := byte(0)
	for i, b := range []bool{o.natt, o.dpd, o.inPieces} {
		if b {
			said |= 1 << i
		}
	}
	at := remote.As16()
	mac.Write(binary.BigEndian.AppendUint64(append(at[:], said), spiI))
	mac.Write(o.offer)
	return max(1, binary.BigEndian.Uint64(mac.Sum(nil)))
}

// crowded reports whether no further attempt may be held.
func (m *Machine) crowded() bool {
	n := 0
	for _, s := range m.sas {
		if !s.initiator && s.state == keying {
			n++
		}
	}
	return n >= maxOffered
}

// answerCrowded answers message 1 of s, of which nothing but the offer is kept.
func (m *Machine) answerCrowded(t *turn, s *sa, d ike.Datagram, msg *wire.Message, list []wire.Payload) {
	if len(s.shake.offer) > maxRecalledOffer {
		return
	}
	r, o := &m.recall, recalledOf(s)
	r.rotate(m, t)
	r.remember(o)
	s.spiR = r.cookie(r.key, d.Remote.Addr(), s.spiI, o)
	m.answer(t, s, d, msg, list)
}

// recalled takes message 3 of an attempt that was not held, and holds it; nil
// if our cookie in it is none that we made for its sender.
func (m *Machine) recalled(t *turn, d ike.Datagram, msg *wire.Message) *sa {
	r, h := &m.recall, msg.Header
	if r.key.IsZero() || t.now.Sub(r.since) >= 2*recallKeyLife || msg.Encrypted() {
		return nil
	}
	if _, _, ok := exchanged(msg); !ok {
		return nil
	}
	for _, key := range []secret.Secret{r.key, r.old} {
		for _, o := range append(slices.Clone(r.offers), r.proven) {
			if key.IsZero() || o.offer == nil || r.cookie(key, d.Remote.Addr(), h.SPIi, o) != h.SPIr {
				continue
			}
			return m.hold(t, d, h, o)
		}
	}
	return nil
}

// hold makes the attempt with header h what it would be had message 1, which
// said o, been kept.
func (m *Machine) hold(t *turn, d ike.Datagram, h ike.Header, o recalled) *sa {
	sap, err := wire.ParseSA(o.offer)
	if err != nil {
		return nil
	}
	chosen, ok := proposal.ChooseIKE(m.cfg.IKE, m.method, sap)
	if !ok {
		return nil
	}
	m.makeRoom(t, keying, maxOffered)
	s := m.offeredBy(t, d, h, chosen.Suite, o.offer)
	s.spiR = h.SPIr
	s.path.supported, s.dpd.supported, s.fragments.on = o.natt, o.dpd, o.inPieces
	m.sas = append(m.sas, s)
	return s
}
