package proposal

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// cbc is a suite of phase 1.
func cbc(bits int, integ suite.Integ, group suite.Group) suite.IKE {
	return suite.IKE{Encr: suite.AESCBC, KeyBits: bits, PRF: integ.PRF(), Integ: integ, Group: group}
}

// gcm is one that IKEv1 has no phase 1 for.
func gcm(group suite.Group) suite.IKE {
	return suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: group}
}

func esp(encr suite.Encr, bits int, integ suite.Integ, group suite.Group) suite.ESP {
	return suite.ESP{Encr: encr, KeyBits: bits, Integ: integ, Group: group}
}

// sent is sa as the other end reads it.
func sent(t *testing.T, sa *wire.SA) *wire.SA {
	t.Helper()
	m := &wire.Message{Header: ike.Header{Version: wire.Version}, Chain: wire.Chain{Payloads: []wire.Payload{sa}}}
	got, err := wire.Parse(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	return got.Chain.Payloads[0].(*wire.SA)
}

func offerIKE(t *testing.T, method Method, list ...suite.IKE) *wire.SA {
	t.Helper()
	sa, err := OfferIKE(list, method, 8*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return sent(t, sa)
}

func offerESP(t *testing.T, o ESPOffer, list ...suite.ESP) *wire.SA {
	t.Helper()
	if o.SPI == 0 {
		o.SPI = 0xc0010203
	}
	sa, err := OfferESP(list, o)
	if err != nil {
		t.Fatal(err)
	}
	return sent(t, sa)
}

func TestEverySuiteOfAWSIsNegotiatedInPhase1(t *testing.T) {
	ciphers := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}}
	integs := []suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512}
	groups := []suite.Group{2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
	all := suite.Combine(ciphers, integs, groups)
	offered := offerIKE(t, PSK, all...)
	for _, s := range all {
		for _, method := range []Method{PSK, RSA, ECDSA256, ECDSA384, ECDSA521} {
			chosen, ok := ChooseIKE([]suite.IKE{s}, method, offered)
			if ok != (method == PSK) {
				t.Errorf("%v by %v: got %v", s, method, ok)
			}
			if !ok {
				continue
			}
			got, err := AcceptIKE(all, PSK, sent(t, chosen.Answer))
			if err != nil || got.Suite != s || got.Life != 8*time.Hour {
				t.Errorf("%v: got %v for %v, %v", s, got.Suite, got.Life, err)
			}
		}
	}
}

func TestEverySuiteOfAWSIsNegotiatedInPhase2(t *testing.T) {
	ciphers := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}, {Encr: suite.AESGCM16, KeyBits: 128}, {Encr: suite.AESGCM16, KeyBits: 256}}
	integs := []suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512}
	groups := []suite.Group{2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
	all := append(suite.CombineESP(ciphers, integs, groups), suite.CombineESP(ciphers, integs, nil)...)
	for _, g := range GroupsESP(all) {
		for _, encap := range []bool{false, true} {
			o := ESPOffer{SPI: 0xc0010203, Group: g, Encap: encap, Life: time.Hour}
			offered := offerESP(t, o, all...)
			for _, s := range all {
				chosen, ok := ChooseESP([]suite.ESP{s}, encap, offered)
				if ok != (s.Group == g) {
					t.Errorf("%v out of group %v: got %v", s, g, ok)
				}
				if !ok {
					continue
				}
				got, err := AcceptESP(all, o, sent(t, chosen.Answer(0xd0010203)))
				if err != nil || got.Suite != s || got.SPI != 0xd0010203 || got.Life != time.Hour || chosen.SPI != o.SPI {
					t.Errorf("%v: got %v from %08x to %08x for %v, %v", s, got.Suite, chosen.SPI, got.SPI, got.Life, err)
				}
			}
		}
	}
}

func TestTheResponderWalksItsOwnList(t *testing.T) {
	weak, strong := cbc(128, suite.IntegSHA1, 2), cbc(256, suite.IntegSHA384, 20)
	for _, offered := range [][]suite.IKE{{weak, strong}, {strong, weak}} {
		for _, ours := range [][]suite.IKE{{weak, strong}, {gcm(20), strong, weak}} {
			want := ours[len(ours)-2]
			if got, ok := ChooseIKE(ours, PSK, offerIKE(t, PSK, offered...)); !ok || got.Suite != want {
				t.Errorf("offered %v to %v: got %v, want %v", offered, ours, got.Suite, want)
			}
		}
	}
	a, b := esp(suite.AESCBC, 128, suite.IntegSHA1, 14), esp(suite.AESGCM16, 256, 0, 14)
	for _, ours := range [][]suite.ESP{{a, b}, {b, a}} {
		if got, ok := ChooseESP(ours, false, offerESP(t, ESPOffer{Group: 14}, a, b)); !ok || got.Suite != ours[0] {
			t.Errorf("offered %v and %v to %v: got %v", a, b, ours, got.Suite)
		}
	}
}

func TestTheAnswerEchoesTheTransform(t *testing.T) {
	// An odd encoding: a lifetime of 3 octets, one in kilobytes, numbers from 7.
	odd := wire.Transform{Number: 7, ID: transformKeyIKE, Attributes: []wire.Attribute{
		wire.Basic(attr1LifeType, lifeKilobytes), wire.Basic(attr1Life, 1000),
		wire.Basic(attr1LifeType, lifeSeconds), {Type: attr1Life, Value: []byte{1, 0, 0}},
		wire.Basic(attr1Method, 1), wire.Basic(attr1Group, 14), wire.Basic(attr1Hash, 4), {Type: attr1Encr, Value: []byte{7}}, wire.Basic(attr1KeyBits, 128),
	}}
	offered := &wire.SA{Proposals: []wire.Proposal{{Number: 3, Protocol: wire.ProtoISAKMP, SPI: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Transforms: []wire.Transform{
		{Number: 6, ID: transformKeyIKE}, odd,
	}}}}
	got, ok := ChooseIKE([]suite.IKE{cbc(128, suite.IntegSHA256, 14)}, PSK, sent(t, offered))
	want := &wire.SA{Proposals: []wire.Proposal{{Number: 3, Protocol: wire.ProtoISAKMP, SPI: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Transforms: []wire.Transform{odd}}}}
	if !ok || !reflect.DeepEqual(got.Answer, want) || got.Life != 65536*time.Second {
		t.Errorf("got %+v for %v, want %+v for 65536s", got.Answer, got.Life, want)
	}
}

// A transform with what is wrong with it, for tests of both phases.
type spoiled struct {
	name string
	how  func(*wire.Proposal, *wire.Transform)
}

func attribute(a wire.Attribute) func(*wire.Proposal, *wire.Transform) {
	return func(_ *wire.Proposal, t *wire.Transform) { t.Attributes = append(t.Attributes, a) }
}

func TestLifetimeOfZeroSaysNothing(t *testing.T) {
	ours := []suite.IKE{{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 14}}
	sa, err := OfferIKE(ours, PSK, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	x := &sa.Proposals[0].Transforms[0]
	x.Attributes[len(x.Attributes)-1].Value = []byte{0, 0, 0, 0} // as strongSwan with rekey_time = 0
	chosen, ok := ChooseIKE(ours, PSK, sa)
	if !ok || chosen.Life != 0 {
		t.Errorf("got %v, lifetime %v, want the suite and no lifetime", ok, chosen.Life)
	}
}

func TestPhase1IsNotChosenUnlessAllOfItIsUnderstood(t *testing.T) {
	ours := cbc(128, suite.IntegSHA256, 14)
	for _, c := range []spoiled{
		{"another protocol", func(p *wire.Proposal, _ *wire.Transform) { p.Protocol = wire.ProtoESP }},
		{"another transform id", func(_ *wire.Proposal, x *wire.Transform) { x.ID = 2 }},
		{"an attribute that nobody knows", attribute(wire.Basic(99, 1))},
		{"a cipher twice", attribute(wire.Basic(attr1Encr, 7))},
		{"a lifetime of no unit", attribute(wire.Basic(attr1LifeType, 3))},
		{"a number of 9 octets", attribute(wire.Attribute{Type: attr1Life, Value: make([]byte, 9)})},
		{"no key length", func(_ *wire.Proposal, x *wire.Transform) {
			x.Attributes = append(x.Attributes[:1:1], x.Attributes[2:]...)
		}},
	} {
		sa := offerIKE(t, PSK, ours)
		p := &sa.Proposals[0]
		c.how(p, &p.Transforms[0])
		if got, ok := ChooseIKE([]suite.IKE{ours}, PSK, sent(t, sa)); ok {
			t.Errorf("%s: got %v, want nothing", c.name, got.Suite)
		}
	}
}

func TestPhase2IsNotChosenUnlessAllOfItIsUnderstood(t *testing.T) {
	ours := esp(suite.AESCBC, 128, suite.IntegSHA256, 14)
	for _, c := range []spoiled{
		{"another protocol", func(p *wire.Proposal, _ *wire.Transform) { p.Protocol = wire.ProtoAH }},
		{"another cipher", func(_ *wire.Proposal, x *wire.Transform) { x.ID = 3 }},
		{"SPI 0", func(p *wire.Proposal, _ *wire.Transform) { p.SPI = make([]byte, 4) }},
		{"an SPI of 8 octets", func(p *wire.Proposal, _ *wire.Transform) { p.SPI = make([]byte, 8) }},
		{"an attribute that nobody knows", attribute(wire.Basic(99, 1))},
		{"ESN of another value", attribute(wire.Basic(attr2ESN, 2))},
		{"a group twice", attribute(wire.Basic(attr2Group, 14))},
		{"a lifetime of no unit", attribute(wire.Basic(attr2LifeType, 3))},
	} {
		sa := offerESP(t, ESPOffer{Group: 14}, ours)
		p := &sa.Proposals[0]
		c.how(p, &p.Transforms[0])
		if got, ok := ChooseESP([]suite.ESP{ours}, false, sent(t, sa)); ok {
			t.Errorf("%s: got %v, want nothing", c.name, got.Suite)
		}
	}
	bundle := offerESP(t, ESPOffer{Group: 14}, ours)
	bundle.Proposals = append(bundle.Proposals, wire.Proposal{Number: 1, Protocol: wire.ProtoAH, SPI: []byte{1, 2, 3, 4}})
	if got, ok := ChooseESP([]suite.ESP{ours}, false, sent(t, bundle)); ok {
		t.Errorf("ESP together with AH: got %v, want nothing", got.Suite)
	}
}

func TestTheModeFollowsTheNAT(t *testing.T) {
	ours := esp(suite.AESCBC, 128, suite.IntegSHA256, 0)
	for _, c := range []struct {
		mode       uint16 // 0: none
		plain, udp bool
	}{
		{0, true, true}, {modeTunnel, true, false}, {2, false, false}, {modeTunnelUDP, false, true}, {4, false, false},
		{modeTunnelUDPDraft, false, true}, {61444, false, false},
	} {
		sa := offerESP(t, ESPOffer{}, ours)
		list := sa.Proposals[0].Transforms[0].Attributes
		for i := range list {
			if list[i].Type == attr2Mode {
				list[i] = wire.Basic(attr2Mode, c.mode)
				if c.mode == 0 {
					list = append(list[:i:i], list[i+1:]...)
					break
				}
			}
		}
		sa.Proposals[0].Transforms[0].Attributes = list
		_, plain := ChooseESP([]suite.ESP{ours}, false, sent(t, sa))
		_, udp := ChooseESP([]suite.ESP{ours}, true, sent(t, sa))
		if plain != c.plain || udp != c.udp {
			t.Errorf("mode %d: got %v without a NAT and %v with one, want %v and %v", c.mode, plain, udp, c.plain, c.udp)
		}
	}
}

func TestExtendedSequenceNumbersAreOptional(t *testing.T) {
	short := esp(suite.AESGCM16, 128, 0, 0)
	long := short
	long.ESN = true
	for _, c := range []struct {
		name          string
		ours, offered suite.ESP
		want          suite.ESP
	}{
		{"both have it", long, long, long},
		{"only the peer", short, long, short},
		{"only we", long, short, short},
		{"nobody", short, short, short},
	} {
		o := ESPOffer{SPI: 0x100}
		got, ok := ChooseESP([]suite.ESP{c.ours}, false, offerESP(t, o, c.offered))
		if !ok || got.Suite != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.name, got.Suite, ok, c.want)
			continue
		}
		back, err := AcceptESP([]suite.ESP{c.offered}, o, sent(t, got.Answer(0x200)))
		if err != nil || back.Suite != c.want {
			t.Errorf("%s, answered: got %v, %v, want %v", c.name, back.Suite, err, c.want)
		}
	}
}

func TestAnAnswerThatWasNotOfferedIsRefused(t *testing.T) {
	a, b := cbc(128, suite.IntegSHA256, 14), cbc(256, suite.IntegSHA256, 14)
	two := offerIKE(t, PSK, a, b)
	for name, sa := range map[string]*wire.SA{"two transforms": two, "another": offerIKE(t, PSK, cbc(128, suite.IntegSHA1, 2)), "another method": offerIKE(t, RSA, a), "no proposal": {}} {
		if got, err := AcceptIKE([]suite.IKE{a, b}, PSK, sa); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%s: got %v, %v, want %v", name, got.Suite, err, ErrNotOffered)
		}
	}
	x, y := esp(suite.AESCBC, 128, suite.IntegSHA256, 14), esp(suite.AESCBC, 128, suite.IntegSHA256, 19)
	o := ESPOffer{SPI: 0x100, Group: 14}
	double := offerESP(t, o, x)
	double.Proposals = append(double.Proposals, double.Proposals[0])
	for name, sa := range map[string]*wire.SA{"another group": offerESP(t, ESPOffer{Group: 19}, y), "a NAT": offerESP(t, ESPOffer{Group: 14, Encap: true}, x), "two proposals": double} {
		if got, err := AcceptESP([]suite.ESP{x, y}, o, sa); !errors.Is(err, ErrNotOffered) {
			t.Errorf("%s: got %v, %v, want %v", name, got.Suite, err, ErrNotOffered)
		}
	}
}

func TestWhatOnlyIKEv2HasIsLeftOut(t *testing.T) {
	mixed := cbc(128, suite.IntegSHA256, 14)
	mixed.PRF = suite.PRFSHA512
	more := cbc(128, suite.IntegSHA256, 14)
	more.AddKE[0] = suite.MLKEM768
	good := cbc(128, suite.IntegSHA256, 14)
	list := []suite.IKE{gcm(20), mixed, more, cbc(128, suite.IntegSHA256, 31), good, good}
	if got := UsableIKE(list); !reflect.DeepEqual(got, []suite.IKE{good}) {
		t.Errorf("got %v, want %v", got, good)
	}
	if sa, err := OfferIKE(list[:4], PSK, time.Hour); !errors.Is(err, ErrNothing) {
		t.Errorf("got %v, %v, want %v", sa, err, ErrNothing)
	}
	keep := esp(suite.AESGCM16, 256, 0, 20)
	pq := keep
	pq.AddKE[0] = suite.MLKEM768
	all := []suite.ESP{esp(suite.ChaCha20Poly1305, 256, 0, 20), esp(suite.AESCBC, 128, suite.IntegSHA1, 31), pq, keep}
	if got := GroupsESP(all); !reflect.DeepEqual(got, []suite.Group{20}) {
		t.Errorf("got %v, want group 20", got)
	}
	if got := UsableESP(all); !reflect.DeepEqual(got, []suite.ESP{keep}) {
		t.Errorf("got %v, want %v", got, keep)
	}
	if sa, err := OfferESP(all, ESPOffer{Group: 31}); err == nil {
		t.Errorf("group 31: got %v, want an error", sa)
	}
}

func TestLifetimesAreSecondsWithinFourOctets(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: time.Second, time.Hour: time.Hour, 1<<63 - 1: (1<<32 - 1) * time.Second} {
		sa, err := OfferIKE([]suite.IKE{cbc(128, suite.IntegSHA1, 2)}, PSK, d)
		if err != nil {
			t.Fatal(err)
		}
		if got := readPhase1(sent(t, sa).Proposals[0].Transforms[0]).life.duration(); got != want {
			t.Errorf("%v: got %v, want %v", d, got, want)
		}
	}
}
