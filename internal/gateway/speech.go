package gateway

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"seikan/internal/routing/bgp"
)

// A speech is the BGP speaker of a gateway that runs.
type speech struct {
	*bgp.Speaker
	cfg    bgp.Config
	began  time.Time
	cancel context.CancelFunc
	loop   sync.WaitGroup

	mu  sync.Mutex
	err error // why it ended by itself
}

// speak starts a speaker, restarted when we forward on with what another process
// had learned; changed is called after each change of its status and
// when it ends by itself.
func speak(ctx context.Context, cfg bgp.Config, o bgp.Options, changed func()) (*speech, error) {
	speaker, err := bgp.New(cfg, o)
	if err != nil {
		return nil, err
	}
	s := &speech{Speaker: speaker, cfg: cfg, began: time.Now()}
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.loop.Go(func() {
		if err := speaker.Run(ctx); err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			changed()
		}
	})
	s.loop.Go(func() {
		for {
			select {
			case <-speaker.Changed():
				changed()
			case <-ctx.Done():
				return
			}
		}
	})
	return s, nil
}

// broken is why s ended by itself; nil when it did not.
func (s *speech) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// stop tells the peers goodbye and returns when nothing of s runs. A nil speech
// says nothing.
func (s *speech) stop() {
	if s == nil {
		return
	}
	s.cancel()
	s.loop.Wait()
}

// convergeBGPLocked makes the speaker what is wanted, or none. The caller holds
// g.mu.
func (g *Gateway) convergeBGPLocked(ctx context.Context) error {
	r := &g.routing
	want := g.leavesSpeakingLocked(g.have.speaker(r.routerID, r.relayed))
	if r.speech != nil && len(want.Peers) == 0 {
		r.speech.stop()
		r.speech = nil
	}
	if len(want.Peers) == 0 {
		return nil
	}
	r.routerID = want.RouterID
	if r.speech != nil {
		if err := r.speech.broken(); err != nil {
			if time.Since(r.speech.began) < retryAfter {
				return fmt.Errorf("BGP: %w", err)
			}
			r.speech.stop()
			r.speech = nil
			g.log.Error("BGP broke; it is started again", "err", err)
		}
	}
	if r.speech == nil {
		var err error
		r.speech, err = speak(ctx, want, bgp.Options{Log: g.log, Restarted: g.goesOnLocked()}, func() { signal(g.kick) })
		return err
	}
	if reflect.DeepEqual(r.speech.cfg, want) {
		return nil
	}
	r.speech.cfg = want
	return r.speech.Set(want)
}
