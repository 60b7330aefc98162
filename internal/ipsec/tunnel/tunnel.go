// Package tunnel runs one tunnel: it owns an IKE machine, its timer and its
// inbox, sends what the machine wants sent, and installs the SAs that it
// negotiates in the data plane.
//
// One goroutine, started by Run's caller, owns the machine; nothing else
// touches it. The package opens no socket and no TUN, and chooses no routes.
// Package gateway is its only caller.
package tunnel

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"seikan/internal/ipsec/ike"
)

const (
	// renewAt is the ESP sequence number at which new keys are asked for, of
	// an SA without ESN: three quarters of the 2^32 that it may use (RFC 4303
	// section 3.3.3). At a million packets a second 18 minutes remain.
	renewAt = 3 << 30
	// renewEvery is how soon that is looked at on a new SA, and asked for again
	// until another SA is in use.
	renewEvery = 30 * time.Second
	// fastest is more packets a second than a tunnel ever sends: until a look
	// could find anything at that rate, none is taken.
	fastest = 4_000_000
)

// dataPlane is what a tunnel needs of the data plane, for its own TUN.
type dataPlane interface {
	InstallInbound(*ike.ChildSA) error
	UseOutbound(*ike.ChildSA) error
	Remove(spiIn uint32)
	// MovePeer changes where ESP goes to and comes from.
	MovePeer(local, remote netip.AddrPort)
	// LastInbound is when the last authenticated packet came in; the zero
	// time means never.
	LastInbound() time.Time
}

// A Config is what New needs. Every field is required but Words and Keep.
type Config struct {
	Log       *slog.Logger
	Machine   ike.Machine
	DataPlane dataPlane
	Send      func(ike.Datagram) error // one IKE message or keepalive to the wire
	// Sequence is the last ESP sequence number used on the outbound SA.
	Sequence func() uint64
	Initiate bool // start the negotiation at once
	// Keep is where the machine's state is kept; nil: nowhere. Resume says that
	// Machine was restored from there.
	Keep   keeper
	Resume bool
	// Changed is called after the state changed. It must not block.
	Changed func()
	// Words, unless nil, puts what the machine says into the words of whoever
	// reads the log and the status.
	Words func(string) string
}

// A Tunnel is one running tunnel.
type Tunnel struct {
	cfg     Config
	inbox   *inbox
	control chan ike.Event
	state   atomic.Pointer[ike.Snapshot]
	reason  atomic.Pointer[string] // why it was last not established; nil since it is

	// Owned by Run.
	out  ike.Outputs
	seen time.Time // the LastInbound that the machine was last told
	look time.Time // when sequence numbers are looked at
	// finite says that the outbound SA in use has no ESN.
	finite bool
	// refused is the first SA that the data plane did not take: the machine
	// believes in it and the peer uses it, so the tunnel cannot go on.
	refused error
	kept    keptState
	said    *ike.Snapshot // what the machine last said; state has it in Words
}

// New returns a tunnel that does nothing until Run.
func New(cfg Config) *Tunnel {
	t := &Tunnel{cfg: cfg, inbox: newInbox(), control: make(chan ike.Event, 8)}
	t.said = cfg.Machine.State()
	t.state.Store(t.said)
	return t
}

// Deliver hands the tunnel a copy of an IKE message from the wire. It never
// blocks; when too many of its kind wait the message is dropped and counted.
func (t *Tunnel) Deliver(d ike.Datagram) { t.inbox.put(d, t.state.Load()) }

// Ask feeds the machine an event of the operator: Initiate, RekeyIKE,
// RekeyChild. It waits until the machine takes it or ctx ends.
func (t *Tunnel) Ask(ctx context.Context, ev ike.Event) error {
	select {
	case t.control <- ev:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// State is the latest snapshot. Any goroutine may call it.
func (t *Tunnel) State() ike.Snapshot { return *t.state.Load() }

// Dropped counts the IKE messages lost to a full inbox.
func (t *Tunnel) Dropped() uint64 { return t.inbox.dropped.Load() }

// Run drives the machine until ctx ends, then deletes the SAs at the peer,
// without waiting for its answer, and in the data plane. An error is a bug in
// the machine, or an SA that the data plane refused; the peer has been told
// goodbye then too, and the owner may start another tunnel.
func (t *Tunnel) Run(ctx context.Context) error {
	if err := t.drive(ctx); err != nil {
		_ = t.step(ike.Close{}) // err tells more
		return err
	}
	return t.step(ike.Close{})
}

// Reason is why the tunnel is not established, or the last time was not before
// it began anew; empty while it is. State forgets that when a new attempt begins.
func (t *Tunnel) Reason() string {
	if r := t.reason.Load(); r != nil {
		return *r
	}
	return ""
}

// drive feeds the machine until ctx ends or something is broken. It waits for
// as few things as can be, since each costs a tunnel that wakes.
func (t *Tunnel) drive(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer context.AfterFunc(ctx, t.inbox.wake)()
	t.look = time.Now().Add(renewEvery)
	if t.cfg.Resume {
		if err := t.step(ike.Resume{}); err != nil {
			return err
		}
	}
	if t.cfg.Initiate {
		if err := t.step(ike.Initiate{}); err != nil {
			return err
		}
	}
	for {
		if err := t.renew(); err != nil {
			return err
		}
		t.arm(timer)
		var ev ike.Event
		select {
		case <-t.inbox.waits:
			if ctx.Err() != nil {
				return nil
			}
			d, ok := t.inbox.take()
			if !ok {
				continue
			}
			ev = d
		case ev = <-t.control:
		case <-timer.C:
			if d := t.cfg.Machine.Deadline(); d.IsZero() || time.Now().Before(d) {
				continue
			}
			ev = ike.TimerFired{}
		}
		if err := t.step(ev); err != nil {
			return err
		}
	}
}

// renew asks for new keys when the sequence numbers, looked at when it is time,
// run low.
func (t *Tunnel) renew() error {
	now := time.Now()
	if now.Before(t.look) {
		return nil
	}
	used := t.cfg.Sequence()
	t.look = now.Add(nextLook(used))
	if !t.finite || used < renewAt {
		return nil
	}
	t.cfg.Log.Info("sequence numbers run low; asking for new keys", "last", used)
	return t.step(ike.RekeyChild{})
}

// nextLook is when sequence numbers, of which used were used, are looked at
// again.
func nextLook(used uint64) time.Duration {
	if used >= renewAt {
		return renewEvery
	}
	return max(renewEvery, time.Duration(renewAt-used)*time.Second/fastest)
}

const (
	// grid is what long waits are rounded up to, so that of thousands of tunnels
	// many wake together: waking up costs more than most of what is done then.
	grid = 50 * time.Millisecond
	// long is a wait for which that is nothing.
	long = time.Second
)

// gathered is wait from now on, if it is long until the next instant at which
// all the others wake, too.
func gathered(now time.Time, wait time.Duration) time.Duration {
	if wait < long {
		return wait
	}
	return wait + grid - time.Duration(now.Add(wait).UnixNano()%int64(grid))
}

// arm sets the timer to the machine's deadline, or to the next look at sequence
// numbers if that is sooner.
func (t *Tunnel) arm(timer *time.Timer) {
	now := time.Now()
	wait := t.look.Sub(now)
	if d := t.cfg.Machine.Deadline(); !d.IsZero() {
		wait = min(wait, d.Sub(now))
	}
	timer.Reset(gathered(now, max(0, wait)))
}

// step tells the machine of traffic since last time, feeds it ev and carries
// out what it wants.
func (t *Tunnel) step(ev ike.Event) error {
	now := time.Now()
	t.out.Reset()
	if last := t.cfg.DataPlane.LastInbound(); last.After(t.seen) {
		t.seen = last
		if err := t.cfg.Machine.Step(now, ike.PeerAlive{At: last}, &t.out); err != nil {
			return fmt.Errorf("tunnel: %w", err)
		}
	}
	if err := t.cfg.Machine.Step(now, ev, &t.out); err != nil {
		return fmt.Errorf("tunnel: %w", err)
	}
	t.carryOut()
	return t.refused
}

// carryOut performs the machine's outputs. Inbound SAs go in before anything
// is sent: the peer may use them the moment it has our answer.
func (t *Tunnel) carryOut() {
	for _, a := range t.out.Actions {
		if in, ok := a.(ike.InstallInbound); ok {
			t.install(in)
		}
	}
	t.keep()
	for _, d := range t.out.Datagrams {
		if err := t.cfg.Send(d); err != nil {
			t.cfg.Log.Debug("sending IKE message", "remote", d.Remote, "err", err)
		}
	}
	changed := false
	for _, a := range t.out.Actions {
		changed = t.act(a) || changed
	}
	if t.show() || changed {
		t.cfg.Changed()
	}
}

// show makes what the machine says of itself now the state. It reports whether
// that is of another IKE SA: new keys of one are no action, but the owner finds
// the tunnel of a peer that moved by these SPIs. Those of an attempt, which any
// stranger can make, must not make it look.
func (t *Tunnel) show() (rekeyed bool) {
	said := t.cfg.Machine.State()
	if said == t.said {
		return false
	}
	t.said = said
	state := *said
	state.Reason = t.words(state.Reason)
	before := t.state.Swap(&state)
	return !state.Established.IsZero() && (state.SPIi != before.SPIi || state.SPIr != before.SPIr)
}

func (t *Tunnel) install(in ike.InstallInbound) {
	if err := t.cfg.DataPlane.InstallInbound(in.SA); err != nil {
		t.refuse(err)
	}
}

// refuse keeps the first SA that the data plane did not take.
func (t *Tunnel) refuse(err error) {
	if t.refused == nil {
		t.refused = fmt.Errorf("tunnel: %w", err)
	}
}

// act performs one action and reports whether it changed the tunnel's state.
func (t *Tunnel) act(a ike.Action) (changed bool) {
	switch a := a.(type) {
	case ike.InstallInbound: // done before sending
	case ike.UseOutbound:
		if err := t.cfg.DataPlane.UseOutbound(a.SA); err != nil {
			t.refuse(err)
			return false
		}
		t.finite = !a.SA.Suite.ESN
		t.look = time.Now().Add(renewEvery)
		t.cfg.Log.Info("child SA in use", "spi_in", spi(a.SA.SPIIn), "spi_out", spi(a.SA.SPIOut), "suite", a.SA.Suite.String(), "encap", a.SA.Encap)
		return true
	case ike.RemoveChild:
		t.cfg.DataPlane.Remove(a.SPIIn)
		return true
	case ike.MovePeer:
		t.cfg.DataPlane.MovePeer(a.Local, a.Remote)
		t.cfg.Log.Info("peer address", "local", a.Local, "remote", a.Remote)
		return true
	case ike.StateChanged:
		reason := t.words(a.Reason)
		switch {
		case a.Phase == ike.Established:
			t.reason.Store(nil)
		case reason != "":
			t.reason.Store(&reason)
		}
		t.cfg.Log.Info("tunnel "+a.Phase.String(), "reason", reason)
		return true
	case ike.Notice:
		t.note(a)
	}
	return false
}

// note logs what the machine has to say.
func (t *Tunnel) note(n ike.Notice) {
	attrs := slices.Clone(n.Attrs)
	for i, a := range attrs {
		if text, ok := a.(string); ok && i%2 == 1 {
			attrs[i] = t.words(text)
		}
	}
	t.cfg.Log.Log(context.Background(), slog.Level(n.Level), t.words(n.Text), attrs...)
}

// words is how text reads here.
func (t *Tunnel) words(text string) string {
	if t.cfg.Words == nil {
		return text
	}
	return t.cfg.Words(text)
}

// spi prints an SPI as every other tool does.
func spi(v uint32) string { return fmt.Sprintf("%08x", v) }
