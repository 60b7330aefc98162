package dual

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// A puppet is a machine that does what a test says.
type puppet struct {
	version int
	number  int // of its make
	events  []string
	next    []ike.Action // what its next step gives
	sends   []ike.Datagram
	at      time.Time
	err     error
	keeps   bool
}

func (p *puppet) Step(_ time.Time, ev ike.Event, out *ike.Outputs) error {
	p.events = append(p.events, strings.TrimPrefix(fmt.Sprintf("%T", ev), "ike."))
	out.Actions, out.Datagrams = append(out.Actions, p.next...), append(out.Datagrams, p.sends...)
	p.next, p.sends = nil, nil
	if _, ok := ev.(ike.TimerFired); ok {
		p.at = time.Time{}
	}
	return p.err
}

func (p *puppet) Deadline() time.Time { return p.at }

func (p *puppet) State() *ike.Snapshot {
	return &ike.Snapshot{Version: p.version, Retransmits: 1, Rekeys: 10}
}

func (p *puppet) Export() (secret.Secret, bool) { return secret.FromString("state"), p.keeps }

// A stage is a machine with its puppets, the newest of each version.
type stage struct {
	t    *testing.T
	m    *Machine
	one  *puppet
	two  *puppet
	now  time.Time
	made [versions]int
}

func newStage(t *testing.T, cfg policy.Config) *stage {
	t.Helper()
	s := &stage{t: t, now: time.Unix(1000, 0)}
	make := func(version int, into **puppet) Make {
		return func() (ike.Machine, error) {
			s.made[version-1]++
			*into = &puppet{version: version, number: s.made[version-1]}
			return *into, nil
		}
	}
	m, err := New(cfg, make(1, &s.one), make(2, &s.two))
	if err != nil {
		t.Fatal(err)
	}
	s.m = m
	return s
}

// step feeds an event and returns what comes of it in words.
func (s *stage) step(ev ike.Event) string {
	s.t.Helper()
	var out ike.Outputs
	if err := s.m.Step(s.now, ev, &out); err != nil {
		s.t.Fatal(err)
	}
	var words []string
	for _, a := range out.Actions {
		switch a := a.(type) {
		case ike.InstallInbound:
			words = append(words, fmt.Sprintf("install %d", a.SA.SPIIn))
		case ike.UseOutbound:
			words = append(words, fmt.Sprintf("use %d", a.SA.SPIIn))
		case ike.RemoveChild:
			words = append(words, fmt.Sprintf("remove %d", a.SPIIn))
		case ike.MovePeer:
			words = append(words, "move")
		case ike.StateChanged:
			words = append(words, strings.TrimSuffix(fmt.Sprintf("%v %s", a.Phase, a.Reason), " "))
		case ike.Notice:
			words = append(words, fmt.Sprintf("notice %v", a.Attrs))
		}
	}
	return strings.Join(words, ", ")
}

// does makes p do something when it is next stepped, and steps it by its timer.
func (s *stage) does(p *puppet, actions ...ike.Action) string {
	s.t.Helper()
	p.next, p.at = actions, s.now
	return s.step(ike.TimerFired{})
}

func (s *stage) want(got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func phase(p ike.Phase, reason string) ike.Action { return ike.StateChanged{Phase: p, Reason: reason} }

// child is what a version says when its CHILD SA is up.
func child(spi uint32) []ike.Action {
	sa := &ike.ChildSA{SPIIn: spi}
	return []ike.Action{ike.InstallInbound{SA: sa}, ike.UseOutbound{SA: sa}, phase(ike.Established, "")}
}

// message is a header with nothing behind it.
func message(version, exchange, flags uint8, spiI, spiR uint64) ike.Datagram {
	h := ike.Header{SPIi: spiI, SPIr: spiR, Version: version << 4, Exchange: exchange, Flags: flags}
	return ike.Datagram{Data: h.Append(nil, ike.HeaderLen)}
}

func initiator() policy.Config { return policy.Config{Initiator: true, Restart: true} }

func TestDatagramsGoToTheirVersion(t *testing.T) {
	s := newStage(t, policy.Config{})
	for _, d := range []ike.Datagram{message(1, 2, 0, 1, 0), message(2, 34, 8, 1, 0), message(3, 34, 8, 1, 0), {Data: []byte{0xff}}} {
		s.step(d)
	}
	if len(s.one.events) != 1 || len(s.two.events) != 3 {
		t.Errorf("got %v for IKEv1, %v for IKEv2, want 1 and 3 datagrams", s.one.events, s.two.events)
	}
}

func TestTheLaterVersionHasTheTunnel(t *testing.T) {
	s := newStage(t, policy.Config{})
	s.want(s.does(s.two, child(2)...), "install 2, use 2, established")
	old := s.two
	old.sends = nil
	s.want(s.does(s.one, phase(ike.Authed, "")), "") // not before it has a CHILD SA
	if v := s.m.State().Version; v != 2 {
		t.Errorf("got IKEv%d, want IKEv2 until IKEv1 has a CHILD SA", v)
	}
	// Where ESP would go is not where it goes.
	s.want(s.does(s.one, ike.MovePeer{}), "")
	old.next = []ike.Action{ike.RemoveChild{SPIIn: 2}, phase(ike.Idle, "closed")}
	s.want(s.does(s.one, child(1)...), "install 1, move, use 1, remove 2")
	if !slices.Contains(old.events, "Close") || s.two.number < 2 {
		t.Errorf("got %v of machine %d, want it closed and a new one", old.events, s.two.number)
	}
	if snap := s.m.State(); snap.Version != 1 || snap.Phase != ike.Established {
		t.Errorf("got IKEv%d %v, want IKEv1 established", snap.Version, snap.Phase)
	}
	s.step(ike.RekeyChild{})
	s.step(ike.RekeyIKE{})
	s.step(ike.PeerAlive{})
	s.step(ike.Initiate{})
	if got := strings.Join(s.one.events[len(s.one.events)-4:], " "); got != "RekeyChild RekeyIKE PeerAlive Initiate" || len(s.two.events) != 0 {
		t.Errorf("got %q and %v, want all of it for IKEv1", got, s.two.events)
	}
}

func TestAnSPIOfBothVersionsIsTheLaterOnes(t *testing.T) {
	s := newStage(t, policy.Config{})
	s.does(s.two, child(7)...)
	s.two.next = []ike.Action{ike.RemoveChild{SPIIn: 7}}
	s.want(s.does(s.one, child(7)...), "install 7, use 7")
	s.want(s.does(s.one, ike.RemoveChild{SPIIn: 7}, phase(ike.Authed, "gone")), "remove 7, ike-up gone")
}

func TestAnAnswerInTheOtherVersionEndsTheAttempt(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply ike.Datagram
		after *ike.Datagram
		want  bool
	}{
		{"IKEv1 notify", message(1, 5, 0, 7, 0), nil, true},
		{"of another attempt", message(1, 5, 0, 8, 0), nil, false},
		{"of the same version", message(2, 34, 0x20, 7, 0), nil, false},
		{"IKE_AUTH after it", message(1, 5, 0, 7, 0), new(message(2, 35, 0x20, 7, 9)), false},
	} {
		s := newStage(t, initiator())
		s.two.next = []ike.Action{phase(ike.Connecting, "")}
		s.two.sends = []ike.Datagram{message(2, 34, 8, 7, 0)}
		s.step(ike.Initiate{})
		s.step(c.reply)
		if c.after != nil {
			s.step(*c.after)
		}
		s.now = s.now.Add(answerPause)
		s.one.next = []ike.Action{phase(ike.Connecting, "")}
		got := s.step(ike.TimerFired{})
		if c.want {
			s.want(got, "connecting IKEv2: the peer answers in IKEv1")
		}
		if begun := slices.Contains(s.one.events, "Initiate"); begun != c.want {
			t.Errorf("%s: got IKEv1 begun %v, want %v", c.name, begun, c.want)
		}
	}
}

func TestTheVersionsComeInTurnWithGrowingPauses(t *testing.T) {
	s := newStage(t, initiator())
	s.two.next = []ike.Action{phase(ike.Connecting, "")}
	s.want(s.step(ike.Initiate{}), "connecting")
	s.want(s.step(ike.Initiate{}), "") // once is enough
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		s.one.next = []ike.Action{phase(ike.Connecting, "")}
		s.does(s.two, phase(ike.Failed, "no"))
		s.want(s.does(s.one, phase(ike.Failed, "nor this")), "failed IKEv2: no; IKEv1: nor this")
		if at := s.m.Deadline(); at.Sub(s.now) != pause*time.Second {
			t.Fatalf("got %v until the next round, want %v", at.Sub(s.now), pause*time.Second)
		}
		s.now = s.m.Deadline()
		s.two.next = []ike.Action{phase(ike.Connecting, "")}
		s.want(s.step(ike.TimerFired{}), "connecting IKEv2: no; IKEv1: nor this")
	}
	s.want(s.does(s.two, child(3)...), "install 3, use 3, established")
	if s.m.attempt.pause != 0 {
		t.Errorf("got a pause of %v after success, want none", s.m.attempt.pause)
	}
}

func TestWithoutRestartEachVersionIsTriedOnce(t *testing.T) {
	s := newStage(t, policy.Config{Initiator: true})
	s.two.next = []ike.Action{phase(ike.Connecting, "")}
	s.step(ike.Initiate{})
	s.one.next = []ike.Action{phase(ike.Failed, "nothing to offer")} // at once
	s.want(s.does(s.two, phase(ike.Failed, "no")), "failed IKEv2: no; IKEv1: nothing to offer")
	if at := s.m.Deadline(); !at.IsZero() {
		t.Errorf("got a deadline at %v, want none", at)
	}
	s.two.next = []ike.Action{phase(ike.Connecting, "")}
	s.want(s.step(ike.Initiate{}), "connecting IKEv2: no; IKEv1: nothing to offer")
}

func TestAVersionThatFailsBesideTheTunnelIsSilenced(t *testing.T) {
	s := newStage(t, initiator())
	s.does(s.one, child(1)...)
	old := s.two
	s.want(s.does(s.two, phase(ike.Failed, "no"), phase(ike.Idle, "no")), "")
	if !slices.Contains(old.events, "Close") {
		t.Errorf("got %v, want it closed, so that it does not start again", old.events)
	}
	s.want(s.does(s.two, phase(ike.Connecting, "")), "")
	s.want(s.does(s.two, phase(ike.Idle, "a stranger")), "")
}

func TestAnIKESAOfTheOtherVersionTakesOverFromWhatFailed(t *testing.T) {
	s := newStage(t, initiator())
	s.does(s.two, child(2)...)
	s.does(s.one, phase(ike.Authed, ""))
	s.want(s.does(s.two, ike.RemoveChild{SPIIn: 2}, phase(ike.Failed, "dead")), "remove 2, ike-up")
	if v := s.m.State().Version; v != 1 || s.two.number < 2 {
		t.Errorf("got IKEv%d and machine %d of IKEv2, want IKEv1 and a new machine", v, s.two.number)
	}
}

func TestAnAttemptGoesOnBesideAnIKESAOfTheOtherVersion(t *testing.T) {
	s := newStage(t, initiator())
	s.two.next = []ike.Action{phase(ike.Connecting, "")}
	s.step(ike.Initiate{})
	s.want(s.does(s.one, phase(ike.Authed, "no child")), "ike-up no child")
	s.want(s.does(s.two, phase(ike.Failed, "no")), "ike-up") // and IKEv1 is not begun
	if slices.Contains(s.one.events, "Initiate") || s.m.attempt.version != none {
		t.Errorf("got %v and an attempt in %v, want none: IKEv1 is up", s.one.events, s.m.attempt.version)
	}
}

func TestWhoWaitsDoesNotBegin(t *testing.T) {
	s := newStage(t, policy.Config{})
	s.step(ike.Initiate{})
	s.want(s.does(s.one, phase(ike.Idle, "peer offers 3DES")), "idle IKEv1: peer offers 3DES")
	s.does(s.two, child(2)...)
	s.want(s.does(s.two, phase(ike.Failed, "gone"), phase(ike.Idle, "gone")), "failed IKEv2: gone, idle IKEv2: gone")
	// DPDTimeoutAction restart makes even this end begin, in the version it had.
	s.want(s.does(s.two, phase(ike.Connecting, "")), "connecting IKEv2: gone")
	s.want(s.does(s.two, phase(ike.Failed, "no answer")), "failed IKEv2: no answer")
	if slices.Contains(s.one.events, "Initiate") {
		t.Errorf("got %v, want IKEv1 left alone", s.one.events)
	}
}

func TestCloseEndsBothVersions(t *testing.T) {
	s := newStage(t, initiator())
	s.does(s.two, child(2)...)
	s.two.next = []ike.Action{ike.RemoveChild{SPIIn: 2}, ike.Notice{Attrs: []any{"a", 1}}, phase(ike.Idle, "closed")}
	s.two.at = s.now.Add(time.Hour)
	s.want(s.step(ike.Close{}), "remove 2, notice [a 1 version 2], idle closed")
	s.want(s.step(ike.Initiate{}), "")
	if at := s.m.Deadline(); !at.IsZero() {
		t.Errorf("got a deadline at %v, want none", at)
	}
	// Each machine counts 1 and 10: two are closed, one was retired before, and
	// two can still be asked.
	if snap := s.m.State(); snap.Phase != ike.Idle || snap.Retransmits != 5 || snap.Rekeys != 50 {
		t.Errorf("got %v with %d and %d, want idle with 5 and 50", snap.Phase, snap.Retransmits, snap.Rekeys)
	}
}

func TestAnAttemptInIKEv1BeginsAnewFromAnotherAddress(t *testing.T) {
	s := newStage(t, initiator())
	s.step(ike.Initiate{})
	s.two.next = []ike.Action{phase(ike.Connecting, "")}
	s.does(s.two, phase(ike.Failed, "no"))
	old := s.one
	s.step(ike.LocalChanged{})
	if s.one == old || !slices.Contains(s.one.events, "Initiate") || !slices.Contains(s.two.events, "LocalChanged") {
		t.Errorf("got %v for IKEv1 and %v for IKEv2, want a new attempt", s.one.events, s.two.events)
	}
	s.does(s.one, child(1)...)
	old = s.one
	s.step(ike.LocalChanged{})
	if s.one != old {
		t.Error("got a new machine of IKEv1, want the one that has the tunnel")
	}
}

func TestOnlyIKEv2CanBeKept(t *testing.T) {
	s := newStage(t, policy.Config{})
	check := func(what string, want bool) {
		t.Helper()
		s.one.keeps, s.two.keeps = true, true
		if _, ok := s.m.Export(); ok != want {
			t.Errorf("%s has the tunnel: got %v, want %v", what, ok, want)
		}
	}
	check("nobody", false)
	s.does(s.two, child(2)...)
	check("IKEv2", true)
	s.does(s.one, child(1)...)
	check("IKEv1", false)
	s = newStage(t, policy.Config{})
	s.two.next = child(2)
	s.want(s.step(ike.Resume{}), "install 2, use 2, established")
}

func TestErrorsOfMachinesAreReported(t *testing.T) {
	bad := errors.New("bad")
	fine := func() (ike.Machine, error) { return &puppet{version: 2}, nil }
	if m, err := New(policy.Config{}, func() (ike.Machine, error) { return nil, bad }, fine); !errors.Is(err, bad) {
		t.Errorf("got %v, %v, want %v", m, err, bad)
	}
	s := newStage(t, policy.Config{})
	s.two.err = bad
	var out ike.Outputs
	if err := s.m.Step(s.now, message(2, 34, 8, 1, 0), &out); !errors.Is(err, bad) {
		t.Errorf("got %v, want %v", err, bad)
	}
	if err := s.m.Step(s.now, nil, &out); err == nil {
		t.Error("got no error for an event that nobody knows")
	}
	s.m.sides[v1].make = func() (ike.Machine, error) { return nil, bad }
	s.two.err, s.two.next = nil, child(2)
	if err := s.m.Step(s.now, message(2, 34, 8, 1, 0), &out); !errors.Is(err, bad) {
		t.Errorf("got %v, want %v", err, bad)
	}
}
