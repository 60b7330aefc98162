package bgp

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"seikan/internal/nettest"
)

// gracefulRestart is the capability of an OPEN.
func gracefulRestart(t *testing.T, o *wire.BGPOpen) *wire.CapGracefulRestart {
	t.Helper()
	for _, p := range o.OptParams {
		c, ok := p.(*wire.OptionParameterCapability)
		if !ok {
			continue
		}
		for _, one := range c.Capability {
			if gr, ok := one.(*wire.CapGracefulRestart); ok {
				return gr
			}
		}
	}
	t.Fatalf("no graceful restart in %+v", o)
	return nil
}

// announces waits for an UPDATE that says something, and is how long that took.
func (r raw) announces() (prefixes []string, after time.Duration) {
	r.t.Helper()
	began := time.Now()
	for {
		m, err := r.read()
		if err != nil {
			r.t.Fatal(err)
		}
		u, ok := m.Body.(*wire.BGPUpdate)
		if !ok || len(u.NLRI) == 0 {
			continue
		}
		for _, p := range u.NLRI {
			prefixes = append(prefixes, p.NLRI.String())
		}
		return prefixes, time.Since(began)
	}
}

// endOfRIB says that all has been announced.
func (r raw) endOfRIB() { r.send(wire.NewBGPUpdateMessage(nil, nil, nil)) }

// A speaker in the place of one that was killed says so, with its forwarding
// state kept, and announces when its peer has told all, or after seconds (RFC 4724
// sections 3 and 4.1); one that begins anew says neither, and announces at once.
func TestARestartIsToldToPeers(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		for _, ends := range []bool{true, false} {
			cgw, _ := pair()
			log := &nettest.Buffer{}
			s, err := New(cgw, Options{Log: slog.New(slog.NewTextHandler(log, nil)), Restarted: restarted})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			us := &runner{Speaker: s, log: log}
			peer := dial(t, 30)
			gr := gracefulRestart(t, peer.opened)
			if state, forwards := gr.Flags&0x08 != 0, len(gr.Tuples) == 1 && gr.Tuples[0].Flags&0x80 != 0; state != restarted || forwards != restarted {
				t.Errorf("restarted %v: OPEN says restarted %v, forwarding state kept %v, want both as it is", restarted, state, forwards)
			}
			peer.update("10.0.0.0/16", "127.0.0.2", 64512)
			us.until(t, "aws", "its route", func(p PeerStatus) bool { return p.Accepted == 1 && !p.Complete })
			if ends {
				peer.endOfRIB()
				us.until(t, "aws", "its last route", func(p PeerStatus) bool { return p.Complete })
			}
			prefixes, after := peer.announces()
			if !slices.Equal(prefixes, []string{"192.168.1.0/24"}) || restarted && !ends && after < deferralTime*time.Second/2 || (!restarted || ends) && after > deferralTime*time.Second/2 {
				t.Errorf("restarted %v, End-of-RIB %v: announces %v after %v, want 192.168.1.0/24, late only after a restart without an End-of-RIB", restarted, ends, prefixes, after)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}
