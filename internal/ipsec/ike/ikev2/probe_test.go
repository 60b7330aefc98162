package ikev2

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// probing is two machines whose tunnel is idle for ever.
type probing struct {
	*duo
	a, b ike.Outputs
}

// round has a silence of an interval pass, a probe go to the peer, and its
// answer come back, and looks at the states as the owners do.
func (p *probing) round(t testing.TB) {
	p.Now = p.duo.a.Deadline()
	p.step(t, p.duo.a, ike.TimerFired{}, &p.a)
	if len(p.a.Datagrams) != 1 {
		t.Fatalf("got %d datagrams, want a probe", len(p.a.Datagrams))
	}
	p.step(t, p.duo.b, p.arrived(p.a.Datagrams[0]), &p.b)
	if len(p.b.Datagrams) != 1 {
		t.Fatalf("got %d datagrams, want an answer", len(p.b.Datagrams))
	}
	p.step(t, p.duo.a, p.arrived(p.b.Datagrams[0]), &p.a)
}

func (p *probing) step(t testing.TB, m *Machine, ev ike.Event, out *ike.Outputs) {
	out.Reset()
	if err := m.Step(p.Now, ev, out); err != nil {
		t.Fatal(err)
	}
	m.State()
}

// arrived is d as its receiver sees it.
func (p *probing) arrived(d ike.Datagram) ike.Datagram {
	return ike.Datagram{Local: d.Remote, Remote: d.Local, Data: d.Data}
}

// idle is a pair that probes and never renews a key.
func idle(t testing.TB) *probing {
	p := &probing{duo: upDuo(t, nil)}
	for _, m := range []*Machine{p.duo.a, p.duo.b} {
		m.current.soft, m.current.hard = time.Time{}, time.Time{}
		for _, c := range m.children {
			c.soft, c.hard = time.Time{}, time.Time{}
		}
	}
	return p
}

// BenchmarkProbe is a probe and its answer, at both ends.
func BenchmarkProbe(b *testing.B) {
	p := idle(b)
	b.ReportAllocs()
	for b.Loop() {
		p.round(b)
	}
}

// maxProbeAllocs is how many allocations a probe and its answer may cost both
// ends together, at each of which 10,000 tunnels pay the collector of garbage:
// for a request and for an answer its datagram and the list that holds it, what
// arrives as an event, the message, its one payload and the list that holds
// that, and one for what is sealed in it; and a request's flight.
const maxProbeAllocs = 15

func TestProbesAllocateLittleAndChangeNothingThatIsShown(t *testing.T) {
	p := idle(t)
	p.round(t)
	a, b := p.duo.a.State(), p.duo.b.State()
	if got := testing.AllocsPerRun(100, func() { p.round(t) }); got > maxProbeAllocs {
		t.Errorf("got %v allocations for a probe and its answer, want at most %d", got, maxProbeAllocs)
	}
	if p.duo.a.State() != a || p.duo.b.State() != b {
		t.Error("probes have made a snapshot anew, want the same one while it has nothing new to say")
	}
}
