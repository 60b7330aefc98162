package bfd

import (
	"math"
	"testing"
	"time"
)

// A pair is two ends and the clock. What one sends the other gets at once,
// unless the path is cut.
type pair struct {
	t    *testing.T
	now  time.Time
	ends [2]*Machine
	cut  [2]bool // what the end sends is lost
	sent [2]int
}

func newPair(t *testing.T, a, b Config) *pair {
	p := &pair{t: t, now: time.Unix(1000, 0)}
	for i, cfg := range []Config{a, b} {
		cfg.Discriminator = uint32(i + 1)
		if cfg.Random == nil {
			cfg.Random = func() float64 { return 0.5 }
		}
		p.ends[i] = New(cfg, p.now)
	}
	return p
}

// feed gives end i a packet and carries what follows from it.
func (p *pair) feed(i int, in *Packet) {
	for _, out := range p.ends[i].Step(p.now, in, nil) {
		p.sent[i]++
		if p.cut[i] {
			continue
		}
		parsed, err := Parse(out.Append(nil))
		if err != nil || parsed != out {
			p.t.Fatalf("%+v: got %+v, %v", out, parsed, err)
		}
		p.feed(1-i, &parsed)
	}
}

// run lets time pass.
func (p *pair) run(d time.Duration) {
	end := p.now.Add(d)
	for {
		next, who := end, -1
		for i, m := range p.ends {
			if at := m.Deadline(); at.Before(next) {
				next, who = at, i
			}
		}
		if next.After(p.now) {
			p.now = next
		}
		if who < 0 {
			return
		}
		p.feed(who, nil)
	}
}

// until lets time pass until end i is in a state, and says how long it took.
func (p *pair) until(i int, s State, limit time.Duration) time.Duration {
	p.t.Helper()
	began := p.now
	for p.ends[i].state != s {
		if p.now.Sub(began) > limit {
			p.t.Fatalf("end %d is %v, want %v within %v", i, p.ends[i].state, s, limit)
		}
		p.run(time.Millisecond)
	}
	return p.now.Sub(began)
}

var quick = Config{Interval: 300 * time.Millisecond, Multiplier: 3}

func TestSessionComesUpAndFindsTheCut(t *testing.T) {
	p := newPair(t, quick, quick)
	p.until(0, Up, 3*time.Second)
	p.until(1, Up, 3*time.Second)
	p.run(5 * time.Second)
	if s := p.ends[0].Status(); s.Transmit != 300*time.Millisecond || s.Detect != 900*time.Millisecond || s.RemoteState != Up || s.Peer != 2 || !s.Failed.IsZero() {
		t.Errorf("got %+v, want 300 ms and 900 ms", s)
	}
	if p.ends[0].polling || p.ends[1].polling {
		t.Error("the poll of the new interval has no end")
	}
	before := p.sent
	p.run(30 * time.Second)
	for i := range before { // 100 a 30 s, and up to a third more for the variation
		if n := p.sent[i] - before[i]; n < 100 || n > 134 {
			t.Errorf("end %d sent %d packets in 30 s, want 100 to 134", i, n)
		}
	}
	p.cut = [2]bool{true, true}
	for i := range p.ends {
		if took := p.until(i, Down, time.Second); took > 900*time.Millisecond || p.ends[i].diag != Expired || p.ends[i].failed.IsZero() {
			t.Errorf("end %d: down after %v, %v", i, took, p.ends[i].diag)
		}
	}
	p.cut = [2]bool{}
	p.until(0, Up, 4*time.Second)
}

// TestOneWayIsNoWay has the end that still hears told by the other.
func TestOneWayIsNoWay(t *testing.T) {
	p := newPair(t, quick, quick)
	p.until(0, Up, 3*time.Second)
	p.until(1, Up, 3*time.Second)
	p.run(time.Second)
	p.cut[0] = true
	p.until(0, Down, 1100*time.Millisecond)
	if p.ends[1].diag != Expired || p.ends[0].diag != NeighborDown || p.ends[0].failed.IsZero() {
		t.Errorf("got %v and %v, want that it expired and that the neighbour said so", p.ends[1].diag, p.ends[0].diag)
	}
}

// TestEndOnPurposeIsNoFailure: routes stay when an operator ends a session.
func TestEndOnPurposeIsNoFailure(t *testing.T) {
	p := newPair(t, quick, quick)
	p.until(0, Up, 3*time.Second)
	p.until(1, Up, 3*time.Second)
	bye := p.ends[0].Close(p.now)
	p.feed(1, &bye)
	if s := p.ends[1].Status(); s.State != Down || s.RemoteState != AdminDown || !s.Failed.IsZero() {
		t.Errorf("got %+v, want it down and not failed", s)
	}
	p.run(5 * time.Second)
	if p.ends[0].state != AdminDown {
		t.Errorf("got %v, want it to stay closed", p.ends[0].state)
	}
}

func TestTheSlowerEndDecides(t *testing.T) {
	slower := Config{Interval: 2 * time.Second, Multiplier: 5}
	p := newPair(t, quick, slower)
	p.until(0, Up, 10*time.Second)
	p.until(1, Up, 10*time.Second)
	p.run(20 * time.Second)
	if s := p.ends[0].Status(); s.Transmit != 2*time.Second || s.Detect != 10*time.Second {
		t.Errorf("the quick end: got %+v, want it to send every 2 s and to wait for five of 2 s", s)
	}
	if s := p.ends[1].Status(); s.Transmit != 2*time.Second || s.Detect != 6*time.Second {
		t.Errorf("the slow end: got %+v, want it to wait for three of 2 s", s)
	}
}

func TestAPollIsAnsweredAtOnce(t *testing.T) {
	m := New(Config{Interval: quick.Interval, Multiplier: 3, Discriminator: 7, Random: func() float64 { return 0 }}, time.Unix(0, 0))
	now := time.Unix(10, 0)
	m.Step(now, nil, nil)
	in := Packet{State: Down, Poll: true, DetectMult: 3, MyDisc: 9, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
	out := m.Step(now, &in, nil)
	if len(out) == 0 || !out[0].Final || out[0].Poll || out[0].YourDisc != 9 {
		t.Errorf("got %+v, want an answer with F first", out)
	}
}

func TestWhatIsNotForTheSessionIsPassedOver(t *testing.T) {
	p := newPair(t, quick, quick)
	p.until(0, Up, 3*time.Second)
	p.until(1, Up, 3*time.Second)
	for _, in := range []Packet{
		{State: Down, DetectMult: 3, MyDisc: 2, YourDisc: 99},
		{State: Up, DetectMult: 3, MyDisc: 2},
		{State: Init, DetectMult: 3, MyDisc: 2},
	} {
		p.ends[0].Step(p.now, &in, nil)
		if p.ends[0].state != Up {
			t.Fatalf("%+v: got %v, want it to be passed over", in, p.ends[0].state)
		}
	}
}

// TestSilenceIsKeptWhenAsked: a peer that requires a minimum of 0 wants nothing.
func TestSilenceIsKeptWhenAsked(t *testing.T) {
	m := New(Config{Interval: quick.Interval, Multiplier: 3, Discriminator: 7, Random: func() float64 { return 0 }}, time.Unix(0, 0))
	now := time.Unix(10, 0)
	in := Packet{State: Down, DetectMult: 50, MyDisc: 9, DesiredMinTx: time.Minute}
	m.Step(now, &in, nil)
	if d := m.Deadline(); !d.Equal(now.Add(50 * time.Minute)) {
		t.Fatalf("got the deadline %v, want that of the peer's silence", d)
	}
	for range 100 {
		now = now.Add(time.Second)
		if out := m.Step(now, nil, nil); len(out) > 0 {
			t.Fatalf("got %+v, want nothing sent", out)
		}
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	for _, c := range []Config{{Interval: 10 * time.Millisecond, Multiplier: 3}, {Interval: time.Hour, Multiplier: 3}, {Interval: time.Second, Multiplier: 1}, {Interval: time.Second, Multiplier: math.MaxUint8}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := quick.Validate(); err != nil {
		t.Error(err)
	}
}
