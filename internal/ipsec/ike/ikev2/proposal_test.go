package ikev2

import (
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

func TestProposalsSayTheSameAsTheSuites(t *testing.T) {
	all := suite.Combine(
		[]suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}, {Encr: suite.AESGCM16, KeyBits: 128}, {Encr: suite.AESGCM16, KeyBits: 256}},
		[]suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512},
		[]suite.Group{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	offered := ikeProposals(all, nil)
	if got := len(offered); got != 2 {
		t.Errorf("got %d proposals for AWS's whole list, want 2", got)
	}
	if got := len((&wire.Message{Payloads: []wire.Payload{&wire.SA{Proposals: offered}}}).Append(nil)); got > 400 {
		t.Errorf("got %d octets, want at most 400, so that the message with its key stays below a usual MTU", got)
	}
	mixed := suite.IKE{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA512, Integ: suite.IntegSHA1, Group: 14}
	if got, ok := acceptIKE(all, ikeProposals([]suite.IKE{mixed}, nil)[0]); !ok || got != mixed {
		t.Errorf("a mixture that the proposals allow: got %v, %v, want it accepted", got, ok)
	}
	mixed.KeyBits, mixed.Group = 128, 31
	if got, ok := acceptIKE(all, ikeProposals([]suite.IKE{mixed}, nil)[0]); ok {
		t.Errorf("a group that was not offered: got %v accepted", got)
	}
	for _, s := range all {
		if got, _, ok := chooseIKE([]suite.IKE{s}, offered); !ok || got != s {
			t.Errorf("%v is not in the proposals", s)
		}
	}
	few := []suite.IKE{all[0], all[len(all)-1], {Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 14}}
	offered = ikeProposals(few, nil)
	for _, s := range all {
		_, _, ok := chooseIKE([]suite.IKE{s}, offered)
		want := s == few[0] || s == few[1] || s == few[2]
		if ok != want {
			t.Errorf("%v: got offered %v, want %v", s, ok, want)
		}
	}
}

func TestStrangeTransformsAreNotChosen(t *testing.T) {
	s := testConfig(0).IKE
	offered := ikeProposals(s, nil)
	offered[0].Transforms[0].Strange = true
	if _, _, ok := chooseIKE(s, offered); ok {
		t.Error("a transform with an unknown attribute was chosen")
	}
	offered = ikeProposals(s, nil)
	offered[0].Transforms = append(offered[0].Transforms, wire.Transform{Type: 6, ID: 1})
	if _, _, ok := chooseIKE(s, offered); ok {
		t.Error("a proposal with an unknown transform type was chosen")
	}
}

func TestRekeyOfTheIKESAKeepsThePRF(t *testing.T) {
	weak := suite.IKE{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA1, Group: 31}
	strong := weak
	strong.PRF = suite.PRFSHA512
	d := upDuo(t, func(a, b *Config) {
		a.IKE, b.IKE = []suite.IKE{strong, weak}, []suite.IKE{weak, strong}
	})
	for _, end := range []int{0, 1} {
		d.Step(end, ike.RekeyIKE{})
		d.Run()
		if got := d.a.current.suite.PRF; got != suite.PRFSHA1 {
			t.Errorf("after the rekey of end %d: got %v, want the PRF of before", end, got)
		}
	}
	// A peer that offers only another one gets it.
	d.a.cfg.IKE = []suite.IKE{strong}
	d.a.current.suite.PRF = suite.PRFSHA512
	k := &rekeyIKE{}
	list, _ := k.request(d.a, &turn{now: d.Now, out: &ike.Outputs{}}, d.a.current)
	d.a.current.suite.PRF = suite.PRFSHA1
	answer := d.say(t, wire.CreateChildSA, list...)
	sap, ok := wire.Find[*wire.SA](answer)
	if !ok || !offers(sap.Proposals[0], wire.TypePRF, uint16(suite.PRFSHA512), 0) {
		t.Errorf("got %v, want the only PRF that was offered", answer)
	}
}
