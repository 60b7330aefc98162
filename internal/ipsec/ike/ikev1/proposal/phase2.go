package proposal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// Attributes of phase 2 (RFC 2407 section 4.5; the key length RFC 3602 section
// 5.3, extended sequence numbers RFC 4304 section 4).
const (
	attr2LifeType = 1
	attr2Life     = 2
	attr2Group    = 3
	attr2Mode     = 4
	attr2Integ    = 5
	attr2KeyBits  = 6
	attr2ESN      = 11
)

// names2 are those attributes in words.
var names2 = map[uint16]string{
	attr2LifeType: "life type", attr2Life: "life duration", attr2Group: "group", attr2Mode: "encapsulation mode",
	attr2Integ: "authentication algorithm", attr2KeyBits: "key length", attr2ESN: "extended sequence numbers",
}

// Encapsulation modes. Mode 61443 is what drafts before RFC 3947 used, and
// some peers still do.
const (
	modeTunnel         = 1
	modeTunnelUDP      = 3 // RFC 3947 section 5.1
	modeTunnelUDPDraft = 61443
)

// esnUsed is the value of attr2ESN.
const esnUsed = 1

// errNoPhase2 is for lists that say nothing with the group asked for.
var errNoPhase2 = errors.New("no ESP suite that IKEv1 knows with this DH group")

// ESPOffer is what the ends of one quick mode want, beside their suites.
type ESPOffer struct {
	SPI   uint32      // where the offerer wants to receive
	Group suite.Group // of its KE payload, 0 without PFS: all transforms name the same
	Encap bool        // a NAT was found, so that ESP goes in UDP
	Life  time.Duration
}

// A Phase2 is what quick mode has agreed upon.
type Phase2 struct {
	Suite suite.ESP
	SPI   uint32        // where the peer wants to receive
	Life  time.Duration // that the peer asks for, or zero; see Phase1.Life

	proposal  wire.Proposal
	transform wire.Transform
}

// UsableESP is what of list IKEv1 can negotiate: AES only, no group above 24,
// no additional key exchanges.
func UsableESP(list []suite.ESP) []suite.ESP {
	var out []suite.ESP
	for _, s := range list {
		if sayableESP(s) {
			out = addNew(out, s)
		}
	}
	return out
}

func sayableESP(s suite.ESP) bool {
	return (s.Encr == suite.AESCBC || s.Encr == suite.AESGCM16) && s.Group <= lastGroup && s.AddKE == (suite.MoreKE{})
}

// GroupsESP are the groups in UsableESP(list), in order; 0 among them means
// without PFS. A quick mode is for one of them, since its KE payload is part
// of the offer (RFC 2409 section 5.5).
func GroupsESP(list []suite.ESP) []suite.Group {
	var out []suite.Group
	for _, s := range UsableESP(list) {
		out = addNew(out, s.Group)
	}
	return out
}

// OfferESP offers those suites of list that have the group o.Group. With ESN
// both kinds of sequence numbers are offered, extended ones first. It fails
// when there is no such suite.
func OfferESP(list []suite.ESP, o ESPOffer) (*wire.SA, error) {
	var variants []suite.ESP
	for _, s := range UsableESP(list) {
		if s.Group != o.Group {
			continue
		}
		variants = addNew(variants, s)
		s.ESN = false
		variants = addNew(variants, s)
	}
	if len(variants) == 0 {
		return nil, fmt.Errorf("%w: %v", errNoPhase2, o.Group)
	}
	p := wire.Proposal{Number: 1, Protocol: wire.ProtoESP, SPI: spiOctets(o.SPI)}
	for i, s := range variants {
		t := wire.Transform{Number: uint8(i + 1), ID: uint8(s.Encr), Attributes: []wire.Attribute{wire.Basic(attr2KeyBits, uint16(s.KeyBits))}}
		if s.Integ != suite.IntegNone {
			t.Attributes = append(t.Attributes, wire.Basic(attr2Integ, authOf(s.Integ)))
		}
		if s.Group != 0 {
			t.Attributes = append(t.Attributes, wire.Basic(attr2Group, uint16(s.Group)))
		}
		mode := uint16(modeTunnel)
		if o.Encap {
			mode = modeTunnelUDP
		}
		t.Attributes = append(t.Attributes, wire.Basic(attr2Mode, mode))
		if s.ESN {
			t.Attributes = append(t.Attributes, wire.Basic(attr2ESN, esnUsed))
		}
		t.Attributes = append(t.Attributes, lifetime(attr2LifeType, attr2Life, o.Life)...)
		p.Transforms = append(p.Transforms, t)
	}
	return &wire.SA{Proposals: []wire.Proposal{p}}, nil
}

func spiOctets(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

// usableSPI reports whether the peer can be sent ESP under spi. Zero is none
// (RFC 4303 section 2.1), and in UDP would look like IKE (RFC 3948 section
// 2.2).
func usableSPI(spi []byte) bool { return len(spi) == 4 && binary.BigEndian.Uint32(spi) != 0 }

// authOf is the authentication algorithm number of an integrity algorithm, 0
// for IntegNone.
func authOf(i suite.Integ) uint16 {
	for _, h := range hashes {
		if h.integ == i {
			return h.phase2
		}
	}
	return 0
}

// terms2 is terms1 for phase 2.
type terms2 struct {
	encr                             uint8
	keyBits, integ, group, mode, esn uint64
	life                             life
	odd                              oddity
}

func readPhase2(t wire.Transform) terms2 {
	x := terms2{encr: t.ID}
	for _, a := range t.Attributes {
		n, ok := a.Number()
		switch a.Type {
		case attr2KeyBits:
			x.odd.once(&x.keyBits, attr2KeyBits, n, ok)
		case attr2Integ:
			x.odd.once(&x.integ, attr2Integ, n, ok)
		case attr2Group:
			x.odd.once(&x.group, attr2Group, n, ok)
		case attr2Mode:
			x.odd.once(&x.mode, attr2Mode, n, ok)
		case attr2ESN:
			x.odd.once(&x.esn, attr2ESN, n, ok && n == esnUsed)
		case attr2LifeType:
			if !ok || !x.life.typed(n) {
				x.odd.note(oddValue, a.Type)
			}
		case attr2Life:
			if !ok {
				x.odd.note(oddValue, a.Type)
			}
			x.life.lasts(n)
		default:
			x.odd.note(oddAttribute, a.Type)
		}
	}
	return x
}

// inTunnel reports whether x is for tunnel mode, in UDP or not. RFC 2407
// section 4.5 leaves to us what a missing mode means: whichever is right.
func (x terms2) inTunnel(encap bool) bool {
	switch x.mode {
	case 0:
		return true
	case modeTunnel:
		return !encap
	case modeTunnelUDP, modeTunnelUDPDraft:
		return encap
	}
	return false
}

// says reports whether x is s, ESN aside.
func (x terms2) says(s suite.ESP, encap bool) bool {
	return x.odd == (oddity{}) && uint64(x.encr) == uint64(s.Encr) && x.keyBits == uint64(s.KeyBits) && x.integ == uint64(authOf(s.Integ)) &&
		x.group == uint64(s.Group) && x.inTunnel(encap)
}

// ChooseESP takes the first suite of ours that the peer offers too (vpn §2.2),
// in UDP if encap. A suite of ours with ESN also matches an offer without.
// ExplainESP says why there is none.
func ChooseESP(ours []suite.ESP, encap bool, offered *wire.SA) (Phase2, bool) {
	list := candidates(offered, readPhase2, func(p wire.Proposal) bool { return p.Protocol == wire.ProtoESP && usableSPI(p.SPI) })
	for _, s := range ours {
		if !sayableESP(s) {
			continue
		}
		kinds := []bool{false}
		if s.ESN {
			kinds = []bool{true, false}
		}
		for _, s.ESN = range kinds {
			for _, c := range list {
				if c.terms.says(s, encap) && (c.terms.esn == esnUsed) == s.ESN {
					return Phase2{
						Suite: s, SPI: binary.BigEndian.Uint32(c.proposal.SPI), Life: c.terms.life.duration(),
						proposal: c.proposal, transform: c.transform,
					}, true
				}
			}
		}
	}
	return Phase2{}, false
}

// Answer is the responder's SA payload: what was chosen, as it was offered,
// under the responder's own SPI.
func (p Phase2) Answer(spi uint32) *wire.SA {
	return answer(p.proposal, p.transform, spiOctets(spi))
}

// AcceptESP is what the peer chose out of those of ours that have the group
// that we offered. The error is ErrNotOffered.
func AcceptESP(ours []suite.ESP, o ESPOffer, chosen *wire.SA) (Phase2, error) {
	if _, _, ok := single(chosen); ok {
		if p, ok := ChooseESP(ours, o.Encap, chosen); ok && p.Suite.Group == o.Group {
			return p, nil
		}
	}
	offer, err := OfferESP(ours, o)
	if err != nil {
		return Phase2{}, err
	}
	return Phase2{}, fmt.Errorf("phase 2: %w: %s; we offered %s: see its log, for no option of ours allows that", ErrNotOffered, WordsESP(chosen), WordsESP(offer))
}
