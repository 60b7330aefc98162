package proposal

import (
	"testing"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// changed is the offer of list after change.
func changed(list []suite.IKE, change func(p *wire.Proposal)) []wire.Proposal {
	out := IKE(list, nil)
	for i := range out {
		change(&out[i])
	}
	return out
}

func TestWhatNobodyKnowsInAnOfferIsNamed(t *testing.T) {
	ours := []suite.IKE{{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 14}}
	chacha := []suite.IKE{{Encr: suite.ChaCha20Poly1305, KeyBits: 256, PRF: suite.PRFSHA256, Group: 14}}
	other := []suite.IKE{ours[0], {Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA384, Integ: suite.IntegSHA384, Group: 20}}
	set := func(t wire.TransformType, change func(*wire.Transform)) func(*wire.Proposal) {
		return func(p *wire.Proposal) {
			for i := range p.Transforms {
				if p.Transforms[i].Type == t {
					change(&p.Transforms[i])
				}
			}
		}
	}
	const allowed = "; we allow AES128/SHA2-256/PRF-SHA2-256/DH14: "
	for _, c := range []struct {
		name    string
		ours    []suite.IKE
		offered []wire.Proposal
		want    string
	}{
		{"type", ours, changed(ours, func(p *wire.Proposal) {
			p.Transforms = append(p.Transforms, wire.Transform{Type: 13, ID: 1}, wire.Transform{Type: 13, ID: 2})
		}), "peer offers IKE AES128/SHA2-256/PRF-SHA2-256/DH14/transform 13/1+transform 13/2" + allowed +
			"all that we allow is there, but with what we do not know (transform 13/1, transform 13/2), so that it cannot be chosen; leave that out at the peer"},
		{"attribute", ours, changed(ours, set(wire.TypeInteg, func(t *wire.Transform) { t.Strange = true })),
			"peer offers IKE AES128/SHA2-256 with an unknown attribute/PRF-SHA2-256/DH14" + allowed +
				"all that we allow is there, but with what we do not know (SHA2-256 with an unknown attribute), so that it cannot be chosen; leave that out at the peer"},
		{"key length of a hash", ours, changed(ours, set(wire.TypeInteg, func(t *wire.Transform) { t.KeyBits = 160 })),
			"peer offers IKE AES128/SHA2-256 with a key length (160)/PRF-SHA2-256/DH14" + allowed +
				"all that we allow is there, but with what we do not know (SHA2-256 with a key length (160)), so that it cannot be chosen; leave that out at the peer"},
		{"key length of ChaCha20", chacha, changed(chacha, set(wire.TypeEncr, func(t *wire.Transform) { t.KeyBits = 256 })),
			"peer offers IKE CHACHA20-POLY1305 with a key length (256)/PRF-SHA2-256/DH14; we allow CHACHA20-POLY1305/PRF-SHA2-256/DH14: " +
				"all that we allow is there, but with what we do not know (CHACHA20-POLY1305 with a key length (256)), so that it cannot be chosen; leave that out at the peer"},
		{"no key length", ours, changed(ours, set(wire.TypeEncr, func(t *wire.Transform) { t.KeyBits = 0 })),
			"peer offers IKE AES-CBC without a key length/SHA2-256/PRF-SHA2-256/DH14" + allowed +
				"no encryption algorithm in common; make the peer offer one of AES128 (Phase1EncryptionAlgorithms)"},
		{"odd key length", ours, changed(ours, set(wire.TypeEncr, func(t *wire.Transform) { t.KeyBits = 99 })),
			"peer offers IKE AES-CBC(99 bits)/SHA2-256/PRF-SHA2-256/DH14" + allowed +
				"no encryption algorithm in common; make the peer offer one of AES128 (Phase1EncryptionAlgorithms)"},
		{"of two the one that can be added", ours, changed(chacha, func(p *wire.Proposal) {
			p.Transforms = append([]wire.Transform{{Type: wire.TypeEncr, ID: 3}}, p.Transforms...)
		}), "peer offers IKE ENCR3+CHACHA20-POLY1305/PRF-SHA2-256/DH14" + allowed +
			"no encryption algorithm in common; add CHACHA20-POLY1305 to Phase1EncryptionAlgorithms, or change the peer"},
		{"a group that nobody has", ours, changed(ours, set(wire.TypeDH, func(t *wire.Transform) { t.ID = 999 })),
			"peer offers IKE AES128/SHA2-256/PRF-SHA2-256/DH999" + allowed +
				"no DH group in common; make the peer offer one of DH14 (Phase1DHGroupNumbers)"},
		{"nothing", ours, []wire.Proposal{{Protocol: wire.ProtoIKE}},
			"peer offers IKE nothing" + allowed + "the peer offers no encryption algorithm; it must offer one of AES128 (Phase1EncryptionAlgorithms)"},
		{"a combination, though something is unknown", other[:1], changed([]suite.IKE{
			{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 20},
			{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA384, Integ: suite.IntegSHA384, Group: 14},
		}, set(wire.TypePRF, func(t *wire.Transform) { t.Strange = true })),
			"peer offers IKE AES128/SHA2-256/PRF-SHA2-256 with an unknown attribute/DH20, AES256/SHA2-384/PRF-SHA2-384 with an unknown attribute/DH14" + allowed +
				"each algorithm is allowed, but not this combination; widen Phase1… here or at the peer"},
	} {
		if got := ExplainIKE(c.ours, c.offered); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestAnOfferOfESPThatCannotBeSentToIsNamed(t *testing.T) {
	ours := []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128}}
	offered := ESP(ours, 0, true)
	want := "peer offers ESP AES128-GCM-16; we allow AES128-GCM-16: all that we allow is there, but under an SPI that is 0 or not of 4 octets; change the peer"
	if got := ExplainESP(ours, offered, true); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	offered = ESP(ours, 1, true)
	offered[0].Transforms[0].Strange = true
	want = "peer offers ESP AES128-GCM-16 with an unknown attribute; we allow AES128-GCM-16: all that we allow is there, but with what we do not know (AES128-GCM-16 with an unknown attribute), so that it cannot be chosen; leave that out at the peer"
	if got := ExplainESP(ours, offered, true); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
