package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// A script is a machine that does what a test says and writes down what it was
// told.
type script struct {
	journal  *[]string
	steps    atomic.Int32 // for who looks while the tunnel runs
	deadline time.Time
	phase    ike.Phase
	state    ike.Snapshot // but for the phase
	answer   func(ev ike.Event, out *ike.Outputs) error
}

func (s *script) Step(_ time.Time, ev ike.Event, out *ike.Outputs) error {
	s.steps.Add(1)
	*s.journal = append(*s.journal, fmt.Sprintf("step %T", ev))
	if _, ok := ev.(ike.TimerFired); ok {
		s.deadline = time.Time{}
	}
	if s.answer == nil {
		return nil
	}
	return s.answer(ev, out)
}

func (s *script) Deadline() time.Time { return s.deadline }
func (s *script) State() *ike.Snapshot {
	state := s.state
	state.Phase = s.phase
	return &state
}

// A recorder is a data plane that writes down what it is asked.
type recorder struct {
	journal *[]string
	last    time.Time
	inbound error // what InstallInbound says
	use     error // what UseOutbound says
	seq     uint64
}

func (r *recorder) note(format string, args ...any) {
	*r.journal = append(*r.journal, fmt.Sprintf(format, args...))
}
func (r *recorder) InstallInbound(sa *ike.ChildSA) error {
	r.note("install %d", sa.SPIIn)
	return r.inbound
}
func (r *recorder) UseOutbound(sa *ike.ChildSA) error { r.note("use %d", sa.SPIOut); return r.use }
func (r *recorder) Remove(spi uint32)                 { r.note("remove %d", spi) }
func (r *recorder) MovePeer(_, to netip.AddrPort)     { r.note("move %v", to) }
func (r *recorder) LastInbound() time.Time            { return r.last }

// run starts a tunnel over m and d in a bubble, lets act work on it, ends it
// and returns the journal.
func run(t *testing.T, m *script, d *recorder, initiate bool, act func(*Tunnel)) (journal []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m.journal, d.journal = &journal, &journal
		tun := New(Config{
			Log: slog.New(slog.DiscardHandler), Machine: m, DataPlane: d, Initiate: initiate,
			Sequence: func() uint64 { return d.seq },
			Send:     func(dg ike.Datagram) error { journal = append(journal, fmt.Sprintf("send %s", dg.Data)); return nil },
			Changed:  func() { journal = append(journal, "changed") },
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tun.Run(ctx) }()
		synctest.Wait()
		act(tun)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return journal
}

func TestInboundIsInstalledBeforeThePeerCanUseIt(t *testing.T) {
	m := &script{answer: func(ev ike.Event, out *ike.Outputs) error {
		if _, ok := ev.(ike.Datagram); ok {
			sa := &ike.ChildSA{SPIIn: 1, SPIOut: 2}
			out.Datagrams = append(out.Datagrams, ike.Datagram{Data: []byte("response")})
			out.Actions = append(out.Actions, ike.InstallInbound{SA: sa}, ike.UseOutbound{SA: sa})
		}
		return nil
	}}
	got := run(t, m, &recorder{}, false, func(tun *Tunnel) { tun.Deliver(ike.Datagram{}) })
	want := []string{"step ike.Datagram", "install 1", "send response", "use 2", "changed", "step ike.Close"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimerFiresAtTheMachinesDeadline(t *testing.T) {
	m := &script{}
	got := run(t, m, &recorder{}, true, func(tun *Tunnel) {
		m.deadline = time.Now().Add(3 * time.Second)
		tun.Deliver(ike.Datagram{}) // any step makes the tunnel look at the deadline
		synctest.Wait()
		<-time.After(2 * time.Second) // of the bubble
		if n := m.steps.Load(); n != 2 {
			t.Errorf("got %d steps before the deadline, want 2", n)
		}
		<-time.After(time.Second + grid)
	})
	want := []string{"step ike.Initiate", "step ike.Datagram", "step ike.TimerFired", "step ike.Close"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMachineIsToldOnceOfEachSignOfLife(t *testing.T) {
	d := &recorder{}
	m := &script{}
	got := run(t, m, d, false, func(tun *Tunnel) {
		d.last = time.Now()
		tun.Deliver(ike.Datagram{})
		tun.Deliver(ike.Datagram{})
	})
	want := []string{"step ike.PeerAlive", "step ike.Datagram", "step ike.Datagram", "step ike.Close"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFullInboxDropsTheNewestAndCounts(t *testing.T) {
	tun := New(Config{Machine: &script{journal: new([]string)}})
	for range inboxSize + 3 {
		tun.Deliver(ike.Datagram{})
	}
	if got := tun.Dropped(); got != 3 {
		t.Errorf("dropped: got %d, want 3", got)
	}
}

func TestFloodOfFirstMessagesDrivesOutNothingElse(t *testing.T) {
	of := func(spiI, spiR uint64) []byte { return ike.Header{SPIi: spiI, SPIr: spiR}.Append(nil, ike.HeaderLen) }
	tun := New(Config{Machine: &script{journal: new([]string), state: ike.Snapshot{SPIi: 1, SPIr: 2}}})
	for i := range uint64(3 * inboxSize) {
		tun.Deliver(ike.Datagram{Data: of(i, 0)})
		tun.Deliver(ike.Datagram{Data: []byte{byte(i)}})
		tun.Deliver(ike.Datagram{Data: of(1, i+3)})
	}
	before, data := tun.Dropped(), of(1, 2)
	tun.Deliver(ike.Datagram{Data: data})
	data[0] = 9 // whoever read it from the socket reads on
	kept := tun.inbox.rooms[known]
	if got := tun.Dropped(); got != before || len(kept) != 1 || kept[0].(ike.Datagram).Data[0] != 0 {
		t.Errorf("a message of the SA that is up: got %d dropped, want it to wait as it was", got-before)
	}
	noise := []byte{1}
	if got := testing.AllocsPerRun(100, func() { tun.Deliver(ike.Datagram{Data: noise}) }); got > 0 {
		t.Errorf("got %v allocations for each message that is dropped, want none", got)
	}
	if got, want := len(tun.inbox.rooms[first])+len(tun.inbox.rooms[begun]), 2*inboxSize; got != want {
		t.Errorf("of the flood: got %d kept, want %d", got, want)
	}
}

func TestInboxIsTakenFromAllRoomsInTurn(t *testing.T) {
	b, state := newInbox(), &ike.Snapshot{SPIi: 1, SPIr: 2}
	for i := range uint32(3) {
		for _, h := range []ike.Header{{SPIi: 1, SPIr: 2, MessageID: i}, {SPIi: 1, MessageID: i}} {
			b.put(ike.Datagram{Data: h.Append(nil, ike.HeaderLen)}, state)
		}
	}
	var got []string
	for len(b.waits) > 0 { // a token is all that Run waits for
		<-b.waits
		ev, ok := b.take()
		if !ok {
			t.Fatal("a token, and nothing waits")
		}
		h, _, _ := ike.ParseHeader(ev.(ike.Datagram).Data)
		got = append(got, fmt.Sprint(h.SPIr, " ", h.MessageID))
	}
	if want := []string{"0 0", "2 0", "0 1", "2 1", "0 2", "2 2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, ok := b.take(); ok {
		t.Error("got something from an empty inbox")
	}
}

func TestBugInTheMachineEndsTheTunnel(t *testing.T) {
	bug := errors.New("impossible")
	journal := []string{}
	m := &script{journal: &journal, answer: func(ike.Event, *ike.Outputs) error { return bug }}
	tun := New(Config{Log: slog.New(slog.DiscardHandler), Machine: m, DataPlane: &recorder{journal: &journal}, Initiate: true})
	if err := tun.Run(t.Context()); !errors.Is(err, bug) {
		t.Errorf("got %v, want %v", err, bug)
	}
}

// negotiated is a script that makes one SA of s out of each datagram.
func negotiated(s suite.ESP) *script {
	return &script{answer: func(ev ike.Event, out *ike.Outputs) error {
		if _, ok := ev.(ike.Datagram); ok {
			sa := &ike.ChildSA{SPIIn: 1, SPIOut: 2, Suite: s}
			out.Actions = append(out.Actions, ike.InstallInbound{SA: sa}, ike.UseOutbound{SA: sa})
		}
		return nil
	}}
}

func TestNewKeysAreAskedForBeforeSequenceNumbersRunOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		seq  uint64
		esn  bool
		want int // rekeys asked for within two looks
	}{
		{"far from the end", renewAt - 1, false, 0},
		{"at three quarters, until it is done", renewAt, false, 2},
		{"extended sequence numbers do not run out", 1 << 40, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &recorder{seq: tt.seq}
			got := run(t, negotiated(suite.ESP{ESN: tt.esn}), d, false, func(tun *Tunnel) {
				tun.Deliver(ike.Datagram{})
				<-time.After(2*renewEvery + time.Second) // of the bubble
			})
			asked := 0
			for _, line := range got {
				if line == "step ike.RekeyChild" {
					asked++
				}
			}
			if asked != tt.want {
				t.Errorf("rekeys asked for: got %d, want %d, in %q", asked, tt.want, got)
			}
		})
	}
}

// TestTunnelEndsWhenItsSAIsRefused has the data plane refuse one direction: the
// tunnel says why, and tells the peer, so that its owner may begin another.
func TestTunnelEndsWhenItsSAIsRefused(t *testing.T) {
	refused := errors.New("the SPI is in use")
	for name, d := range map[string]*recorder{"inbound": {inbound: refused}, "outbound": {use: refused}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				journal := []string{}
				m := negotiated(suite.ESP{})
				m.journal, d.journal = &journal, &journal
				tun := New(Config{
					Log: slog.New(slog.DiscardHandler), Machine: m, DataPlane: d,
					Sequence: func() uint64 { return 0 }, Changed: func() {},
				})
				tun.Deliver(ike.Datagram{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of the bubble: a tunnel that goes on has failed
				defer cancel()
				if err := tun.Run(ctx); !errors.Is(err, refused) {
					t.Errorf("got %v, want %v", err, refused)
				}
				if want := []string{"step ike.Datagram", "install 1", "use 2", "step ike.Close"}; !reflect.DeepEqual(journal, want) {
					t.Errorf("got %q, want %q: the peer is told", journal, want)
				}
			})
		})
	}
}

func TestOwnerHearsOfNewKeysOfTheIKESA(t *testing.T) {
	m := &script{}
	m.answer = func(ev ike.Event, _ *ike.Outputs) error {
		if d, ok := ev.(ike.Datagram); ok {
			m.state.SPIi = uint64(d.Data[0])
			m.state.Established = time.Unix(int64(d.Data[1]), 0)
			if d.Data[1] == 0 {
				m.state.Established = time.Time{}
			}
		}
		return nil
	}
	got := run(t, m, &recorder{}, false, func(tun *Tunnel) {
		// Those of an attempt, which anybody can make, are of no interest.
		for _, spi := range [][]byte{{7, 0}, {8, 0}, {1, 1}, {1, 1}, {2, 2}} {
			tun.Deliver(ike.Datagram{Data: spi})
		}
	})
	want := []string{
		"step ike.Datagram", "step ike.Datagram", "step ike.Datagram", "changed", "step ike.Datagram", "step ike.Datagram", "changed", "step ike.Close",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSequenceNumbersAreLookedAtBeforeTheyCanRunLow(t *testing.T) {
	for used, want := range map[uint64]time.Duration{
		0: renewAt / fastest * time.Second, renewAt - 1: renewEvery, renewAt: renewEvery, 1 << 40: renewEvery,
	} {
		if got := nextLook(used); got.Truncate(time.Second) != want {
			t.Errorf("%d used: got %v, want %v", used, got, want)
		}
	}
}

func TestLongWaitsOfManyEndTogether(t *testing.T) {
	now := time.Unix(1_000_000, 123)
	for _, wait := range []time.Duration{long, long + 1, 10*time.Second + 7*time.Millisecond} {
		got := gathered(now, wait)
		if at := now.Add(got).UnixNano(); got < wait || got > wait+grid || at%int64(grid) != 0 {
			t.Errorf("%v: got %v, which ends %v past the grid", wait, got, time.Duration(at%int64(grid)))
		}
	}
	for _, wait := range []time.Duration{0, time.Millisecond, long - 1} {
		if got := gathered(now, wait); got != wait {
			t.Errorf("%v: got %v, want it as it is", wait, got)
		}
	}
}
