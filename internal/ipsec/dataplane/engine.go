// Package dataplane carries packets between TUN devices and the outside
// sockets of a VPN gateway, through ESP.
//
// Outwards, one goroutine a TUN, which waits without buffers and borrows them
// from a few when there is something to read: frames are read and cut into packets, each fitted to the tunnel's MTU
// (segment size clamped, fragmented or answered by ICMP), sealed in place and
// sent in one go. Inwards, one goroutine an outside socket: a batch is read,
// IKE is handed to the owner, ESP is looked up by SPI, opened in place, checked against
// the traffic selectors, joined and written to its TUN; what that TUN has to answer at once goes out from there, too.
// Every packet is
// carried to the end by the goroutine that read it: there is no queue between
// them, and per packet no lock, no log and no allocation.
//
// It never sends a packet in clear: without an outbound SA what comes from the
// TUN is dropped and counted. It negotiates nothing and routes nothing. It
// closes the TUN devices it is given, not the sockets. Package tunnel installs
// SAs, gateway makes the Engine; both from any goroutine.
package dataplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
)

// Config is what an Engine needs.
type Config struct {
	// Log is told of sockets and devices that fail for a while; it may be nil.
	// What fails for good ends Run, or is told to TunnelConfig.Gone.
	Log *slog.Logger
	// OnIKE is called with each datagram that is not ESP, from the goroutine
	// that reads the socket: it must not block. The octets, without marker, are
	// good until it returns: who drops a datagram shall not pay for a copy. Nil
	// drops them.
	OnIKE func(*udp.Outside, ike.Datagram)
}

// An Engine runs tunnels. All methods may be called from any goroutine.
type Engine struct {
	log   *slog.Logger
	onIKE func(*udp.Outside, ike.Datagram)
	epoch time.Time // when it was made, with a monotonic clock reading

	transmitters *transmitterPool

	// change is held through AddTunnel and RemoveTunnel, so that an outside
	// address is not taken into use while its readers still end. Lock order:
	// change before mu.
	change sync.Mutex

	// mu guards the fields below and the writing of every SPI table.
	mu       sync.Mutex
	tunnels  map[string]*Tunnel
	outsides map[*udp.Outside]*outside
	running  bool
	ended    bool
	loops    sync.WaitGroup

	broken chan error // why Run must end; room for one
}

// New returns an Engine without tunnels. It starts nothing.
func New(cfg Config) *Engine {
	e := &Engine{
		log:      cfg.Log,
		onIKE:    cfg.OnIKE,
		epoch:    time.Now(),
		tunnels:  map[string]*Tunnel{},
		outsides: map[*udp.Outside]*outside{},
		broken:   make(chan error, 1),

		transmitters: newTransmitterPool(),
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.onIKE == nil {
		e.onIKE = func(*udp.Outside, ike.Datagram) {}
	}
	return e
}

// ErrEnded is returned by what is asked of an Engine whose Run has returned.
var ErrEnded = errors.New("data plane has ended")

// Run carries packets until ctx ends, and returns its cause, or until an
// outside socket cannot be read any more, and returns why. By then every
// goroutine has returned and every TUN is closed; the sockets are as they
// were. It can be called once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running || e.ended {
		e.mu.Unlock()
		return errors.New("run data plane: it was run before")
	}
	e.running = true
	for _, o := range e.outsides {
		e.startOutsideLocked(o)
	}
	for _, t := range e.tunnels {
		e.startTunnelLocked(t)
	}
	e.mu.Unlock()

	var cause error
	select {
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case cause = <-e.broken:
	}

	e.mu.Lock()
	e.running, e.ended = false, true
	for _, t := range e.tunnels {
		t.closeDev()
	}
	for _, o := range e.outsides {
		o.interrupt()
	}
	e.mu.Unlock()
	e.loops.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.outsides {
		o.resume()
	}
	return cause
}

// fail ends Run with err unless something else has.
func (e *Engine) fail(err error) {
	select {
	case e.broken <- err:
	default:
	}
}

// AddTunnel makes a tunnel and, when the Engine runs, begins to carry its
// packets. It takes over cfg.Dev, also on error: RemoveTunnel or the end of Run
// closes it. The error names the field that is wrong, or is ErrEnded.
func (e *Engine) AddTunnel(cfg TunnelConfig) (*Tunnel, error) {
	t, err := newTunnel(e, cfg)
	if err != nil {
		if cfg.Dev != nil {
			cfg.Dev.Close()
		}
		return nil, fmt.Errorf("add tunnel %q: %w", cfg.ID, err)
	}
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended:
		err = ErrEnded
	case e.tunnels[cfg.ID] != nil:
		err = errors.New("the ID is in use")
	}
	if err != nil {
		cfg.Dev.Close()
		return nil, fmt.Errorf("add tunnel %q: %w", cfg.ID, err)
	}
	e.joinLocked(t, cfg.Outside)
	e.tunnels[cfg.ID] = t
	if e.running {
		e.startTunnelLocked(t)
	}
	return t, nil
}

// RemoveTunnel forgets t and its SAs, closes its TUN and waits until nothing
// reads it any more. The sockets of an outside address that no tunnel uses any
// more are read no longer; they stay open. It must not be called from OnIKE.
func (e *Engine) RemoveTunnel(t *Tunnel) {
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	if e.tunnels[t.id] != t {
		e.mu.Unlock()
		return
	}
	delete(e.tunnels, t.id)
	t.removed = true
	t.out.Store(nil)
	for spi := range t.inboundLocked() {
		t.outside.spis.setLocked(spi, nil)
	}
	t.closeDev()
	last := e.leaveLocked(t.outside)
	e.mu.Unlock()
	t.loop.Wait()
	t.rest()
	if last != nil {
		last.loops.Wait()
		last.resume()
	}
}

// startTunnelLocked begins to read t's TUN. The caller holds e.mu.
func (e *Engine) startTunnelLocked(t *Tunnel) {
	t.loop.Add(1)
	e.loops.Go(func() {
		defer t.loop.Done()
		t.readTUN()
	})
}

// startOutsideLocked begins to read o's sockets. The caller holds e.mu.
func (e *Engine) startOutsideLocked(o *outside) {
	for _, s := range o.sock.Sockets() {
		r := newReceiver(o, s)
		o.loops.Add(1)
		e.loops.Go(func() {
			defer o.loops.Done()
			r.loop()
		})
	}
}
