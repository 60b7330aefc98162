package ikev2

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

func TestRekeyOfTheIKESAKeepsThePRF(t *testing.T) {
	weak := suite.IKE{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA1, Group: 31}
	strong := weak
	strong.PRF = suite.PRFSHA512
	d := upDuo(t, func(a, b *policy.Config) {
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
	if !ok || proposal.Words(sap.Proposals) != "AES128-GCM-16/PRF-SHA2-512/DH31" {
		t.Errorf("got %v, want the only PRF that was offered", answer)
	}
}

// TestRekeysInQuickSuccessionAreAllDone renews both SAs far more often than
// their predecessors can be kept.
func TestRekeysInQuickSuccessionAreAllDone(t *testing.T) {
	d := upDuo(t, nil)
	for i := range 4 * maxChildren {
		spi := d.a.current.spiI
		d.Step(i%2, ike.RekeyIKE{})
		d.Run()
		if d.a.current.spiI == spi {
			t.Fatalf("rekey %d: the IKE SA is not replaced", i)
		}
		before := d.a.used().SA.SPIIn
		d.Step(i%2, ike.RekeyChild{})
		d.Run()
		d.Wait(10 * time.Millisecond)
		if d.a.used() == nil || d.a.used().SA.SPIIn == before {
			t.Fatalf("rekey %d: the CHILD SA is not replaced", i)
		}
		for _, m := range []*Machine{d.a, d.b} {
			if len(m.sas) > maxSAs || len(m.children) > maxChildren {
				t.Fatalf("rekey %d: got %d IKE and %d CHILD SAs kept, want at most %d and %d", i, len(m.sas), len(m.children), maxSAs, maxChildren)
			}
		}
		if err := d.Traffic(); err != nil {
			t.Fatalf("rekey %d: %v", i, err)
		}
	}
	d.Wait(2 * lingerFor)
	if a, b := len(d.a.children), len(d.b.children); a != 1 || b != 1 {
		t.Errorf("at rest: got %d and %d CHILD SAs, want one each", a, b)
	}
}
