package proposal

import (
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

func TestARefusalOfPhase1NamesTheOption(t *testing.T) {
	ours := []suite.IKE{cbc(128, suite.IntegSHA256, 14), cbc(256, suite.IntegSHA384, 20)}
	old := &wire.SA{Proposals: []wire.Proposal{{Protocol: wire.ProtoISAKMP, Transforms: []wire.Transform{
		{ID: transformKeyIKE, Attributes: []wire.Attribute{wire.Basic(attr1Encr, 5), wire.Basic(attr1Hash, 1), wire.Basic(attr1Group, 2), wire.Basic(attr1Method, 1)}},
	}}}}
	for _, c := range []struct {
		ours    []suite.IKE
		offered *wire.SA
		want    string
	}{
		{ours, old, "peer offers IKEv1 phase 1 3DES/MD5/DH2/pre-shared key; we allow AES128/SHA2-256/DH14/pre-shared key, AES256/SHA2-384/DH20/pre-shared key: no encryption algorithm in common; make the peer offer one of AES128, AES256 (Phase1EncryptionAlgorithms)"},
		{ours, offerIKE(t, PSK, cbc(128, suite.IntegSHA1, 14)), "peer offers IKEv1 phase 1 AES128/SHA1/DH14/pre-shared key; we allow AES128/SHA2-256/DH14/pre-shared key, AES256/SHA2-384/DH20/pre-shared key: no integrity algorithm in common; add SHA1 to Phase1IntegrityAlgorithms, or change the peer"},
		{ours, offerIKE(t, PSK, cbc(128, suite.IntegSHA256, 2)), "peer offers IKEv1 phase 1 AES128/SHA2-256/DH2/pre-shared key; we allow AES128/SHA2-256/DH14/pre-shared key, AES256/SHA2-384/DH20/pre-shared key: no DH group in common; add DH2 to Phase1DHGroupNumbers, or change the peer"},
		{ours, offerIKE(t, RSA, cbc(128, suite.IntegSHA256, 14)), "peer offers IKEv1 phase 1 AES128/SHA2-256/DH14/RSA signatures; we allow AES128/SHA2-256/DH14/pre-shared key, AES256/SHA2-384/DH20/pre-shared key: the peer wants to authenticate by RSA signatures, we by pre-shared key; make both ends use a pre-shared key, or certificates with the same kind of key"},
		{ours[:1], offerIKE(t, PSK, cbc(128, suite.IntegSHA384, 14), cbc(256, suite.IntegSHA256, 14)), "peer offers IKEv1 phase 1 AES128/SHA2-384/DH14/pre-shared key, AES256/SHA2-256/DH14/pre-shared key; we allow AES128/SHA2-256/DH14/pre-shared key: each algorithm is allowed, but not this combination; widen Phase1… here or at the peer"},
		{[]suite.IKE{gcm(20), ours[0]}, offerIKE(t, PSK, cbc(128, suite.IntegSHA256, 20)), "peer offers IKEv1 phase 1 AES128/SHA2-256/DH20/pre-shared key; we allow AES128/SHA2-256/DH14/pre-shared key (IKEv1 has no AES-GCM in phase 1, so that ours counts in IKEv2 only): no DH group in common; add DH20 to Phase1DHGroupNumbers, or change the peer"},
		{[]suite.IKE{gcm(20)}, offerIKE(t, PSK, ours[0]), "peer offers IKEv1 phase 1 AES128/SHA2-256/DH14/pre-shared key; we allow nothing in IKEv1: " + ErrNothing.Error()},
		{ours[:1], &wire.SA{}, "peer offers IKEv1 phase 1 nothing; we allow AES128/SHA2-256/DH14/pre-shared key: the peer offers no transform for this protocol"},
	} {
		if got := ExplainIKE(c.ours, PSK, c.offered); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestARefusalOfPhase2NamesTheOption(t *testing.T) {
	ours := []suite.ESP{esp(suite.AESGCM16, 256, 0, 20)}
	cbc := esp(suite.AESCBC, 256, suite.IntegSHA256, 20)
	transport := offerESP(t, ESPOffer{Group: 20}, ours...)
	transport.Proposals[0].Transforms[0].Attributes[2] = wire.Basic(attr2Mode, 2)
	null := offerESP(t, ESPOffer{Group: 20}, cbc)
	null.Proposals[0].Transforms[0] = wire.Transform{ID: 11, Attributes: []wire.Attribute{wire.Basic(attr2Integ, 9), wire.Basic(attr2Mode, 77)}}
	for _, c := range []struct {
		ours    []suite.ESP
		offered *wire.SA
		want    string
	}{
		{ours, offerESP(t, ESPOffer{Group: 20}, cbc), "peer offers IKEv1 phase 2 ESP AES256/SHA2-256/DH20/tunnel; we allow AES256-GCM-16/DH20/tunnel: no encryption algorithm in common; add AES256 to Phase2EncryptionAlgorithms, or change the peer"},
		{ours, offerESP(t, ESPOffer{}, esp(suite.AESGCM16, 256, 0, 0)), "peer offers IKEv1 phase 2 ESP AES256-GCM-16/tunnel; we allow AES256-GCM-16/DH20/tunnel: the peer offers no DH group, so no perfect forward secrecy; it must offer one of DH20 (Phase2DHGroupNumbers)"},
		{[]suite.ESP{esp(suite.AESGCM16, 256, 0, 0)}, offerESP(t, ESPOffer{Group: 20}, ours...), "peer offers IKEv1 phase 2 ESP AES256-GCM-16/DH20/tunnel; we allow AES256-GCM-16/tunnel: we allow no DH group; add one of DH20 to Phase2DHGroupNumbers, or change the peer"},
		{ours, offerESP(t, ESPOffer{Group: 20, Encap: true}, ours...), "peer offers IKEv1 phase 2 ESP AES256-GCM-16/DH20/tunnel in UDP; we allow AES256-GCM-16/DH20/tunnel: the peer wants tunnel in UDP, we tunnel: the ends disagree on whether there is a NAT between them, or the peer is set to transport mode"},
		{ours, transport, "peer offers IKEv1 phase 2 ESP AES256-GCM-16/DH20/transport; we allow AES256-GCM-16/DH20/tunnel: the peer wants transport, we tunnel: the ends disagree on whether there is a NAT between them, or the peer is set to transport mode"},
		{[]suite.ESP{cbc}, null, "peer offers IKEv1 phase 2 ESP NULL/HASH9/mode 77; we allow AES256/SHA2-256/DH20/tunnel: no encryption algorithm in common; make the peer offer one of AES256 (Phase2EncryptionAlgorithms)"},
	} {
		if got := ExplainESP(c.ours, false, c.offered); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestWhatIsOddInAnOfferOfIKEv1IsNamed(t *testing.T) {
	ours := []suite.IKE{cbc(128, suite.IntegSHA256, 14)}
	const plain, allowed = "AES128/SHA2-256/DH14/pre-shared key", "; we allow AES128/SHA2-256/DH14/pre-shared key: "
	for odd, change := range map[string]func(*wire.Transform){
		"attribute 14 (key length) twice":                  func(t *wire.Transform) { t.Attributes = append(t.Attributes, wire.Basic(attr1KeyBits, 128)) },
		"an unknown attribute 77":                          func(t *wire.Transform) { t.Attributes = append(t.Attributes, wire.Basic(77, 1)) },
		"an unknown transform id 9":                        func(t *wire.Transform) { t.ID = 9 },
		"an unknown value of attribute 11 (life type)":     func(t *wire.Transform) { t.Attributes[5] = wire.Basic(attr1LifeType, 7) },
		"an unknown value of attribute 12 (life duration)": func(t *wire.Transform) { t.Attributes[6].Value = make([]byte, 40) },
	} {
		sa := offerIKE(t, PSK, ours...)
		change(&sa.Proposals[0].Transforms[0])
		if _, ok := ChooseIKE(ours, PSK, sa); ok {
			t.Errorf("%s: got it chosen", odd)
		}
		want := "peer offers IKEv1 phase 1 " + plain + "/with " + odd + allowed + "what we allow is there, but with " + odd + ", so that it cannot be chosen; leave that out at the peer"
		if got := ExplainIKE(ours, PSK, sa); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	mine := []suite.ESP{esp(suite.AESGCM16, 256, 0, 20)}
	for odd, a := range map[string]wire.Attribute{
		"attribute 3 (group) twice":                                    wire.Basic(attr2Group, 20),
		"an unknown value of attribute 11 (extended sequence numbers)": wire.Basic(attr2ESN, 2),
		"an unknown attribute 10":                                      wire.Basic(10, 1),
	} {
		sa := offerESP(t, ESPOffer{Group: 20}, mine...)
		x := &sa.Proposals[0].Transforms[0]
		x.Attributes = append(x.Attributes, a)
		want := "what we allow is there, but with " + odd + ", so that it cannot be chosen; leave that out at the peer"
		if got := ExplainESP(mine, false, sa); !strings.HasSuffix(got, want) {
			t.Errorf("got  %s\nwant …%s", got, want)
		}
	}
}

func TestALongOfferIsCutShort(t *testing.T) {
	all := suite.Combine([]suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}}, []suite.Integ{suite.IntegSHA1}, []suite.Group{2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	words := WordsIKE(offerIKE(t, PSK, all...))
	if got := strings.Count(words, "AES128"); got != maxWords || !strings.HasSuffix(words, ", and 1 more") {
		t.Errorf("got %s, want %d and how many more", words, maxWords)
	}
}

// FuzzChoose gives every function that reads a peer's offer whatever parses.
func FuzzChoose(f *testing.F) {
	body := func(sa *wire.SA, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire.Body(sa))
	}
	ours := []suite.IKE{cbc(128, suite.IntegSHA256, 14), gcm(20)}
	mine := []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 256, Group: 20, ESN: true}, esp(suite.AESCBC, 128, suite.IntegSHA256, 0)}
	body(OfferIKE(ours, PSK, 1))
	body(OfferESP(mine, ESPOffer{SPI: 1, Group: 20}))
	body(OfferESP(mine, ESPOffer{SPI: 1, Encap: true}))
	f.Fuzz(func(t *testing.T, in []byte) {
		m := &wire.Message{Header: ike.Header{Version: wire.Version}, Chain: wire.Chain{Payloads: []wire.Payload{&wire.Raw{Type: wire.KindSA, Data: in}}}}
		got, err := wire.Parse(m.Append(nil))
		if err != nil {
			return
		}
		sa := got.Chain.Payloads[0].(*wire.SA)
		if p, ok := ChooseIKE(ours, PSK, sa); ok {
			if again, err := AcceptIKE(ours, PSK, p.Answer); err != nil || again.Suite != p.Suite {
				t.Fatalf("chose %v, which comes back as %v, %v", p.Suite, again.Suite, err)
			}
		}
		for _, encap := range []bool{false, true} {
			p, ok := ChooseESP(mine, encap, sa)
			if !ok {
				continue
			}
			o := ESPOffer{Group: p.Suite.Group, Encap: encap}
			if again, err := AcceptESP(mine, o, p.Answer(p.SPI)); err != nil || again.Suite != p.Suite {
				t.Fatalf("chose %v, which comes back as %v, %v", p.Suite, again.Suite, err)
			}
		}
		if n := len(ExplainIKE(ours, PSK, sa)) + len(ExplainESP(mine, false, sa)); n > 8192 {
			t.Fatalf("got %d octets of words", n)
		}
	})
}
