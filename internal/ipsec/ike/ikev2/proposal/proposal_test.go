package proposal

import (
	"slices"
	"testing"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

func TestProposalsSayTheSameAsTheSuites(t *testing.T) {
	all := suite.Combine(
		[]suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}, {Encr: suite.AESGCM16, KeyBits: 128}, {Encr: suite.AESGCM16, KeyBits: 256}},
		[]suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512},
		[]suite.Group{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	offered := IKE(all, nil)
	if got := len(offered); got != 2 {
		t.Errorf("got %d proposals for AWS's whole list, want 2", got)
	}
	if got := len((&wire.Message{Payloads: []wire.Payload{&wire.SA{Proposals: offered}}}).Append(nil)); got > 400 {
		t.Errorf("got %d octets, want at most 400, so that the message with its key stays below a usual MTU", got)
	}
	mixed := suite.IKE{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA512, Integ: suite.IntegSHA1, Group: 14}
	if got, ok := AcceptIKE(all, IKE([]suite.IKE{mixed}, nil)[0]); !ok || got != mixed {
		t.Errorf("a mixture that the proposals allow: got %v, %v, want it accepted", got, ok)
	}
	mixed.KeyBits, mixed.Group = 128, 31
	if got, ok := AcceptIKE(all, IKE([]suite.IKE{mixed}, nil)[0]); ok {
		t.Errorf("a group that was not offered: got %v accepted", got)
	}
	for _, s := range all {
		if got, _, ok := ChooseIKE([]suite.IKE{s}, offered); !ok || got != s {
			t.Errorf("%v is not in the proposals", s)
		}
	}
	few := []suite.IKE{all[0], all[len(all)-1], {Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 14}}
	offered = IKE(few, nil)
	for _, s := range all {
		_, _, ok := ChooseIKE([]suite.IKE{s}, offered)
		want := s == few[0] || s == few[1] || s == few[2]
		if ok != want {
			t.Errorf("%v: got offered %v, want %v", s, ok, want)
		}
	}
}

func TestPeersWithoutAdditionalKeyExchangesGetAProposalWithout(t *testing.T) {
	plain := suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: 20}
	with := plain
	with.AddKE = suite.MoreKE{suite.MLKEM768, 0, suite.MLKEM1024}
	offered := IKE([]suite.IKE{with, plain}, nil)
	if len(offered) != 2 || len(offered[0].Transforms) != len(offered[1].Transforms)+2 {
		t.Fatalf("got %+v, want one proposal with two additional key exchanges, and one without", offered)
	}
	for _, tt := range []struct {
		ours []suite.IKE
		want suite.IKE
	}{{[]suite.IKE{with, plain}, with}, {[]suite.IKE{plain, with}, plain}, {[]suite.IKE{plain}, plain}} {
		if got, _, ok := ChooseIKE(tt.ours, offered); !ok || got != tt.want {
			t.Errorf("of %v: got %v, %v, want %v", tt.ours, got, ok, tt.want)
		}
	}
	// A peer may leave the choice open, and is told NONE then (RFC 9370 section 2.2.1).
	offered[0].Transforms = append(offered[0].Transforms, wire.Transform{Type: wire.TypeAddKE1}, wire.Transform{Type: wire.TypeAddKE3})
	chosen, p, ok := ChooseIKE([]suite.IKE{plain}, offered[:1])
	if !ok || chosen != plain {
		t.Fatalf("with NONE among them: got %v, %v, want %v", chosen, ok, plain)
	}
	answer := AnswerIKE(chosen, p, nil)
	if got := words(answer.Proposals, wire.TypeAddKE1); !Single(answer) || len(got) != 1 || got[0] != "NONE" {
		t.Errorf("got %v as additional key exchange 1 of the answer, want NONE", got)
	}
	if got, ok := AcceptIKE([]suite.IKE{plain}, answer.Proposals[0]); !ok || got != plain {
		t.Errorf("the answer read back: got %v, %v, want %v", got, ok, plain)
	}
}

func TestChaChaIsNamedWithoutAKeyLength(t *testing.T) {
	ours := []suite.ESP{{Encr: suite.ChaCha20Poly1305, KeyBits: 256, Group: 31}}
	offered := ESP(ours, 7, true)
	if got := offered[0].Transforms[0]; got.ID != 28 || got.KeyBits != 0 {
		t.Errorf("got %+v, want transform 28 without a key length (RFC 7634 section 4)", got)
	}
	if _, _, ok := ChooseESP(ours, offered, true); !ok {
		t.Error("our own offer is not chosen")
	}
	offered[0].Transforms[0].KeyBits = 256
	if _, _, ok := ChooseESP(ours, offered, true); ok {
		t.Error("a key length was accepted")
	}
}

func TestStrangeTransformsAreNotChosen(t *testing.T) {
	s := []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 31}}
	offered := IKE(s, nil)
	offered[0].Transforms[0].Strange = true
	if _, _, ok := ChooseIKE(s, offered); ok {
		t.Error("a transform with an unknown attribute was chosen")
	}
	offered = IKE(s, nil)
	offered[0].Transforms = append(offered[0].Transforms, wire.Transform{Type: 13, ID: 1})
	if _, _, ok := ChooseIKE(s, offered); ok {
		t.Error("a proposal with an unknown transform type was chosen")
	}
}

func TestProposalsThatLackATypeAreNotChosen(t *testing.T) {
	ike := []suite.IKE{{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 31}}
	esp := []suite.ESP{{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256, Group: 31}}
	without := func(p wire.Proposal, lacks wire.TransformType) []wire.Proposal {
		p.Transforms = slices.DeleteFunc(slices.Clone(p.Transforms), func(t wire.Transform) bool { return t.Type == lacks })
		return []wire.Proposal{p}
	}
	for _, lacks := range []wire.TransformType{wire.TypeEncr, wire.TypePRF, wire.TypeInteg, wire.TypeDH} {
		if _, _, ok := ChooseIKE(ike, without(IKE(ike, nil)[0], lacks)); ok {
			t.Errorf("IKE without type %d: got chosen, want refused (RFC 7296 section 3.3.6)", lacks)
		}
		if lacks == wire.TypePRF {
			continue
		}
		if _, _, ok := ChooseESP(esp, without(ESP(esp, 7, true)[0], lacks), true); ok {
			t.Errorf("ESP without type %d: got chosen, want refused", lacks)
		}
	}
	// Peers of RFC 4306's days leave this type out; what they mean is plain.
	if got, _, ok := ChooseESP(esp, without(ESP(esp, 7, true)[0], wire.TypeESN), true); !ok || got.ESN {
		t.Errorf("ESP without a word about ESN: got %v, %v, want %v", got, ok, esp[0])
	}
}

func TestPeersSPIMustNotBeZero(t *testing.T) {
	ours := []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 31}}
	for spi, want := range map[uint32]bool{0: false, 1: true, 0xffffffff: true} {
		if _, _, ok := ChooseESP(ours, ESP(ours, spi, true), true); ok != want {
			t.Errorf("SPI %08x: got chosen %v, want %v", spi, ok, want)
		}
	}
}

func TestAnswersAreSingle(t *testing.T) {
	ours := []suite.ESP{
		{Encr: suite.AESGCM16, KeyBits: 128, Group: 31, ESN: true},
		{Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA256, Group: 14},
	}
	offered := ESP(ours, 7, true)
	if Single(&wire.SA{Proposals: offered}) {
		t.Error("an offer counts as an answer")
	}
	for _, s := range ours {
		chosen, p, ok := ChooseESP([]suite.ESP{s}, offered, true)
		answer := AnswerESP(chosen, p, 9)
		if !ok || !Single(answer) || answer.Proposals[0].Number != p.Number {
			t.Errorf("%v: got %+v for %+v, want one transform of each type under the same number", s, answer, p)
		}
		if again, _, ok := ChooseESP(ours, answer.Proposals, true); !ok || again != s {
			t.Errorf("%v: got %v, %v read back", s, again, ok)
		}
	}
}
