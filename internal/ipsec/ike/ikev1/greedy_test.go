package ikev1

import (
	"math/rand/v2"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

func newRand(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// ask delivers to b message 1 of a new quick mode of a's.
func (d *duo) ask(t testing.TB) {
	t.Helper()
	m, turn := d.a, &turn{now: d.Now, out: &ike.Outputs{}}
	for _, q := range m.current.quicks {
		if q.state == quickAsked {
			m.endQuick(m.current, q)
		}
	}
	m.beginQuick(turn, &quick{groups: 1})
	if turn.err != nil || len(turn.out.Datagrams) != 1 {
		t.Fatalf("got %v, %d datagrams, want 1", turn.err, len(turn.out.Datagrams))
	}
	d.toB(turn.out.Datagrams[0].Data)
}

func TestPeerWithTheKeyCannotMakeUsKeepMuch(t *testing.T) {
	d := upDuo(t, nil)
	for range 3000 {
		d.ask(t)
		d.Queue = nil
	}
	s := d.b.current
	if got := s.answering(); got > maxAnswered {
		t.Errorf("got %d quick modes that wait, want at most %d", got, maxAnswered)
	}
	if got := len(s.quicks); got > maxAnswered+maxDone+1 {
		t.Errorf("got %d quick modes kept, want at most %d", got, maxAnswered+maxDone+1)
	}
	if got := len(d.b.children); got > maxChildren {
		t.Errorf("got %d CHILD SAs, want at most %d", got, maxChildren)
	}
	if got := len(s.ids.lasting); got > maxLastingIDs {
		t.Errorf("got %d message ids remembered, want at most %d", got, maxLastingIDs)
	}
	for range 3000 {
		d.say(t, &wire.Notify{Protocol: wire.ProtoISAKMP, Type: wire.ResponderLifetime})
	}
	if got := len(s.ids.recent); got > recentIDs {
		t.Errorf("got %d informational ids remembered, want at most %d", got, recentIDs)
	}
}

func TestPeerThatStartsOverAndOverIsBounded(t *testing.T) {
	d := upDuo(t, nil)
	for range 100 {
		d.Step(0, ike.RekeyIKE{})
		d.Run()
		d.Step(0, ike.RekeyChild{})
		d.Run()
	}
	if got := len(d.b.children); got > maxChildren {
		t.Errorf("got %d CHILD SAs, want at most %d", got, maxChildren)
	}
	if got := len(d.b.sas); got > maxSAs {
		t.Errorf("got %d ISAKMP SAs, want at most %d", got, maxSAs)
	}
	d.Wait(2 * time.Minute)
	if len(d.b.sas) != 1 || len(d.b.children) != 1 {
		t.Errorf("later: got %d ISAKMP and %d CHILD SAs, want one each", len(d.b.sas), len(d.b.children))
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestQuickModeThatIsNeverConfirmedIsReplacedByOurs(t *testing.T) {
	d := upDuo(t, nil)
	d.ask(t)
	d.Queue = nil
	d.Wait(40 * time.Second)
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	d.Wait(70 * time.Second)
	if got := len(d.b.children); got != 1 {
		t.Errorf("got %d CHILD SAs, want 1", got)
	}
}

func TestPeerThatLivesAndRefusesSilentlyIsNotDead(t *testing.T) {
	d := upDuo(t, nil)
	d.Step(0, ike.RekeyChild{})
	d.Queue = nil
	for range 40 {
		d.Now = d.Now.Add(time.Second)
		d.Step(0, ike.PeerAlive{At: d.Now})
		d.Step(0, ike.TimerFired{})
		d.Queue = nil
	}
	if got := d.a.State().Phase; got != ike.Established {
		t.Errorf("got %v, want established: the old CHILD SA is good", got)
	}
	d.Wait(40 * time.Second)
	if d.a.counts.rekeys == 0 {
		t.Error("the rekey was not tried again")
	}
}

func TestDeleteOfWhatIsInUseFallsBackToWhatIsLeft(t *testing.T) {
	d := upDuo(t, nil)
	d.ask(t) // b has made a second pair, whose message 3 will be lost
	d.Queue = nil
	first := d.a.used().SA
	d.say(t, wire.NewDelete(first.SPIIn))
	out := d.Ends[1].Outbound
	if out == nil || out.SPIOut == first.SPIIn {
		t.Fatalf("b sends on %v, want the pair that was not deleted", out)
	}
	if got := d.b.State().Phase; got != ike.Established {
		t.Errorf("got %v, want established", got)
	}
}
