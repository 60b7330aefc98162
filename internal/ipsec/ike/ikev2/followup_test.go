package ikev2

import (
	"bytes"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// followedConfig gives both kinds of SA additional key exchanges on rekey.
func followedConfig(a, b *policy.Config) {
	hybrid(suite.MLKEM768)(a, b)
	for _, c := range []*policy.Config{a, b} {
		c.ESP[0].AddKE = suite.MoreKE{suite.MLKEM768, suite.MLKEM1024}
	}
}

// half is a duo of which a has sent its first IKE_FOLLOWUP_KE for the kind of
// rekey that ev asks for, and b has not seen it.
func half(t *testing.T, ev ike.Event) *duo {
	t.Helper()
	d := upDuo(t, followedConfig)
	d.Step(0, ev)
	d.DeliverNext()
	d.DeliverNext()
	if len(d.Queue) != 1 || d.b.current.ext.pending == nil {
		t.Fatalf("got %d datagrams and %v pending, want one IKE_FOLLOWUP_KE", len(d.Queue), d.b.current.ext.pending)
	}
	return d
}

// kinds are the two kinds of rekey.
var kinds = map[string]ike.Event{"CHILD SA": ike.RekeyChild{}, "IKE SA": ike.RekeyIKE{}}

func TestFollowUpOfWhatIsForgottenBeginsAnew(t *testing.T) {
	for name, ev := range kinds {
		d := half(t, ev)
		d.b.current.ext.forgetPending()
		before, child := d.a.current, d.a.used()
		d.Run()
		if d.a.current != before || d.a.used() != child {
			t.Fatalf("%s: got a new SA though the peer has forgotten it", name)
		}
		d.Wait(3 * retryTemporary)
		if d.a.current == before && d.a.used() == child {
			t.Errorf("%s: got the old SA still, want another try after STATE_NOT_FOUND", name)
		}
		if err := d.Traffic(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatThePeerDoesNotGoOnWithIsForgottenAndRekeyedByUs(t *testing.T) {
	for name, ev := range kinds {
		d := half(t, ev)
		d.Queue = nil
		// a has lost its mind: it neither goes on nor begins again.
		s := d.a.current
		s.window.out = nil
		before, child := d.b.current, d.b.used()
		before.soft, child.soft = time.Time{}, time.Time{}
		d.a.used().soft, s.soft = time.Time{}, time.Time{}
		d.Wait(d.b.cfg.Tuning.RetransmitTimeout + 3*retryTemporary)
		if d.b.current.ext.pending != nil {
			t.Errorf("%s: something is pending for ever", name)
		}
		if d.b.current == before && d.b.used() == child {
			t.Errorf("%s: got the old SA still, want it rekeyed by the end that still can", name)
		}
	}
}

func TestFollowUpWithTheWrongLinkOrKeyIsRefused(t *testing.T) {
	x, err := suite.NewExchange(suite.MLKEM768, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := &wire.KE{Group: uint16(suite.MLKEM768), Public: x.Public()}
	for name, ev := range kinds {
		for what, c := range map[string]struct {
			link bool
			ke   *wire.KE
			want wire.NotifyType
		}{
			"another link":  {false, good, wire.StateNotFound},
			"another group": {true, &wire.KE{Group: 31, Public: make([]byte, 32)}, wire.InvalidSyntax},
			"bad key":       {true, &wire.KE{Group: uint16(suite.MLKEM768), Public: make([]byte, 9)}, wire.InvalidSyntax},
		} {
			d := half(t, ev)
			d.Queue = nil
			d.a.current.window.next = d.b.current.window.expect
			link := []byte("nonsense")
			if c.link {
				link = d.b.current.ext.pending.link
			}
			sas, children := len(d.b.sas), len(d.b.children)
			got := d.say(t, wire.IKEFollowupKE, &wire.Notify{Type: wire.AdditionalKE, Data: link}, c.ke)
			if _, ok := wire.FindNotify(got, c.want); !ok || len(d.b.sas) != sas || len(d.b.children) != children {
				t.Errorf("%s, %s: got %v, want %v and no new SA", name, what, got, c.want)
			}
		}
	}
}

func TestPeerThatBeginsOverAndOverHasOnePending(t *testing.T) {
	d := half(t, ike.RekeyChild{})
	d.Queue = nil
	s := d.a.current
	before, inbound := len(d.b.children), len(d.Ends[1].Inbound)
	for range 50 {
		s.window.out, s.window.next = nil, d.b.current.window.expect
		k := &createChild{old: d.a.used()}
		list, ok := k.request(d.a, &turn{now: d.Now, out: &ike.Outputs{}}, s)
		if !ok {
			t.Fatal("no request")
		}
		if _, ok := wire.FindNotify(d.say(t, wire.CreateChildSA, list...), wire.AdditionalKE); !ok {
			t.Fatal("the request is refused")
		}
	}
	if len(d.b.children) != before || len(d.Ends[1].Inbound) != inbound {
		t.Errorf("got %d children, want %d: nothing is made before the last key exchange", len(d.b.children), before)
	}
}

func TestFollowUpGoesOnAfterARestart(t *testing.T) {
	for name, ev := range kinds {
		for end := range 2 {
			d := half(t, ev)
			before, child := d.a.current.spiI, d.a.used().SA.SPIIn
			m := []*Machine{d.a, d.b}[end]
			state, ok := m.Export()
			if !ok {
				t.Fatalf("%s: end %d exports nothing amid an IKE_FOLLOWUP_KE", name, end)
			}
			if again, err := recode(state.Reveal()); err != nil || !bytes.Equal(again, state.Reveal()) {
				t.Fatalf("%s: got another state, %v, when it is read and written", name, err)
			}
			r, err := Restore(m.cfg, nil, d.Now, state)
			if err != nil {
				t.Fatal(err)
			}
			if end == 0 {
				d.a = r
			}
			d.Ends[end].Machine, d.Ends[end].Inbound = r, map[uint32]*ike.ChildSA{}
			d.Step(end, ike.Resume{})
			d.Run()
			if err := d.Traffic(); err != nil {
				t.Errorf("%s: end %d restarted: %v", name, end, err)
			}
			if d.a.current.spiI == before && d.a.used().SA.SPIIn == child {
				t.Errorf("%s: end %d restarted: got the old SA still", name, end)
			}
		}
	}
}

func TestFollowUpWithoutALinkStops(t *testing.T) {
	for name, ev := range kinds {
		d := upDuo(t, followedConfig)
		d.Step(0, ev)
		d.DeliverNext()
		answer, _, err := wire.Open(parse(t, d.Queue[0].Data), d.a.current.open)
		if err != nil {
			t.Fatal(err)
		}
		before := d.a.current
		d.answerAs(t, wire.CreateChildSA, answer[:len(answer)-1]...)
		if d.a.current != before || len(d.Queue) != 0 || d.a.State().Phase != ike.Established {
			t.Errorf("%s: got %d datagrams and %v, want the rekey put off", name, len(d.Queue), d.a.State().Phase)
		}
	}
}

// parse reads a message.
func parse(t *testing.T, data []byte) *wire.Message {
	t.Helper()
	m, err := wire.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
