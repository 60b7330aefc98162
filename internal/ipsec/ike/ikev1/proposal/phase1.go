package proposal

import (
	"errors"
	"fmt"
	"time"

	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// A Method is an IKEv1 authentication method (RFC 2409 appendix A, RFC 4754
// section 4). It is part of the proposal: both ends prove themselves alike.
type Method uint16

// The methods that we speak.
const (
	PSK      Method = 1
	RSA      Method = 3
	ECDSA256 Method = 9
	ECDSA384 Method = 10
	ECDSA521 Method = 11
)

// methodNames say what a method needs at both ends.
var methodNames = map[Method]string{
	PSK: "pre-shared key", 2: "DSS signatures", RSA: "RSA signatures", 4: "RSA encryption", 5: "revised RSA encryption",
	ECDSA256: "ECDSA P-256 signatures", ECDSA384: "ECDSA P-384 signatures", ECDSA521: "ECDSA P-521 signatures",
	65001: "XAUTH with a pre-shared key", 65005: "XAUTH with RSA signatures", 64221: "hybrid authentication",
}

// String is what the method proves identity with.
func (m Method) String() string {
	if name, ok := methodNames[m]; ok {
		return name
	}
	return fmt.Sprintf("authentication method %d", uint16(m))
}

// Attributes of phase 1 (RFC 2409 appendix A).
const (
	attr1Encr     = 1
	attr1Hash     = 2
	attr1Method   = 3
	attr1Group    = 4
	attr1LifeType = 11
	attr1Life     = 12
	attr1KeyBits  = 14
)

// names1 are those attributes in words.
var names1 = map[uint16]string{
	attr1Encr: "encryption algorithm", attr1Hash: "hash algorithm", attr1Method: "authentication method", attr1Group: "group",
	attr1LifeType: "life type", attr1Life: "life duration", attr1KeyBits: "key length",
}

// transformKeyIKE is the only transform id of ISAKMP (RFC 2407 section 4.4.2),
// and phase1AES its encryption algorithm AES-CBC (RFC 3602 section 5.3).
const (
	transformKeyIKE = 1
	phase1AES       = 7
)

// lastGroup is the last of our groups that IKEv1 has a number for: 31 and
// ML-KEM are of IKEv2 only (RFC 8031, RFC 9370).
const lastGroup suite.Group = 24

// ErrNothing is for lists of which IKEv1 can say nothing.
var ErrNothing = errors.New("no suite that IKEv1 knows: its phase 1 has no AES-GCM, no ChaCha20-Poly1305, no DH group above 24 and one key exchange only; add AES128 or AES256 to Phase1EncryptionAlgorithms")

// ErrNotOffered is for an answer that is none of what we offered.
var ErrNotOffered = errors.New("the peer chose what was not offered")

// UsableIKE is what of list IKEv1 can negotiate: AEAD ciphers do not exist in
// its phase 1, nor do newer groups and additional key exchanges, and the PRF is
// always that of the integrity algorithm.
func UsableIKE(list []suite.IKE) []suite.IKE {
	var out []suite.IKE
	for _, s := range list {
		if sayableIKE(s) {
			out = addNew(out, s)
		}
	}
	return out
}

func sayableIKE(s suite.IKE) bool {
	return s.Encr == suite.AESCBC && s.Integ != suite.IntegNone && s.PRF == s.Integ.PRF() && s.Group <= lastGroup && s.AddKE == (suite.MoreKE{})
}

// A Phase1 is what main mode has agreed upon.
type Phase1 struct {
	Suite  suite.IKE
	Answer *wire.SA // the responder's SA payload
	// Life is the lifetime that the peer asks for, or zero. It is for
	// information: each end keeps its own (RFC 2407 section 4.5.4 allows that
	// for a shorter one of ours).
	Life time.Duration
}

// OfferIKE offers list to be authenticated by method, with the lifetime life.
// It fails when UsableIKE(list) is empty.
func OfferIKE(list []suite.IKE, method Method, life time.Duration) (*wire.SA, error) {
	usable := UsableIKE(list)
	if len(usable) == 0 {
		return nil, ErrNothing
	}
	p := wire.Proposal{Number: 1, Protocol: wire.ProtoISAKMP}
	for i, s := range usable {
		t := wire.Transform{Number: uint8(i + 1), ID: transformKeyIKE, Attributes: []wire.Attribute{
			wire.Basic(attr1Encr, phase1AES), wire.Basic(attr1KeyBits, uint16(s.KeyBits)),
			wire.Basic(attr1Hash, hashOf(s.Integ)), wire.Basic(attr1Group, uint16(s.Group)), wire.Basic(attr1Method, uint16(method)),
		}}
		t.Attributes = append(t.Attributes, lifetime(attr1LifeType, attr1Life, life)...)
		p.Transforms = append(p.Transforms, t)
	}
	return &wire.SA{Proposals: []wire.Proposal{p}}, nil
}

// hashOf is the hash algorithm number of an integrity algorithm.
func hashOf(i suite.Integ) uint16 {
	for _, h := range hashes {
		if h.integ == i {
			return h.phase1
		}
	}
	return 0
}

// terms1 is what a transform of phase 1 says, by IKEv1's numbers; 0 is not
// said. What is odd must not be chosen.
type terms1 struct {
	encr, keyBits, hash, group, method uint64
	life                               life
	odd                                oddity
}

func readPhase1(t wire.Transform) terms1 {
	var x terms1
	if t.ID != transformKeyIKE {
		x.odd.note(oddID, uint16(t.ID))
	}
	for _, a := range t.Attributes {
		n, ok := a.Number()
		switch a.Type {
		case attr1Encr:
			x.odd.once(&x.encr, attr1Encr, n, ok)
		case attr1KeyBits:
			x.odd.once(&x.keyBits, attr1KeyBits, n, ok)
		case attr1Hash:
			x.odd.once(&x.hash, attr1Hash, n, ok)
		case attr1Group:
			x.odd.once(&x.group, attr1Group, n, ok)
		case attr1Method:
			x.odd.once(&x.method, attr1Method, n, ok)
		case attr1LifeType:
			if !ok || !x.life.typed(n) {
				x.odd.note(oddValue, a.Type)
			}
		case attr1Life:
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

// says reports whether x is s by method.
func (x terms1) says(s suite.IKE, method Method) bool {
	return x.odd == (oddity{}) && x.encr == phase1AES && x.keyBits == uint64(s.KeyBits) && x.hash == uint64(hashOf(s.Integ)) &&
		x.group == uint64(s.Group) && x.method == uint64(method)
}

// ChooseIKE takes the first suite of ours that the peer offers too, to be
// authenticated by method (vpn §2.2). ExplainIKE says why there is none.
func ChooseIKE(ours []suite.IKE, method Method, offered *wire.SA) (Phase1, bool) {
	// Anybody can make us do this, so each transform is read once only.
	list := candidates(offered, readPhase1, func(p wire.Proposal) bool { return p.Protocol == wire.ProtoISAKMP })
	for _, s := range ours {
		if !sayableIKE(s) {
			continue
		}
		for _, c := range list {
			if c.terms.says(s, method) {
				return Phase1{Suite: s, Answer: answer(c.proposal, c.transform, c.proposal.SPI), Life: c.terms.life.duration()}, true
			}
		}
	}
	return Phase1{}, false
}

// AcceptIKE is what the peer chose out of ours. The error is ErrNotOffered.
func AcceptIKE(ours []suite.IKE, method Method, chosen *wire.SA) (Phase1, error) {
	if _, _, ok := single(chosen); ok {
		if p, ok := ChooseIKE(ours, method, chosen); ok {
			return p, nil
		}
	}
	offer, err := OfferIKE(ours, method, time.Hour)
	if err != nil {
		return Phase1{}, err
	}
	return Phase1{}, fmt.Errorf("phase 1: %w: %s; we offered %s: see its log, for no option of ours allows that", ErrNotOffered, WordsIKE(chosen), WordsIKE(offer))
}
