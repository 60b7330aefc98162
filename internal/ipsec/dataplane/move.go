package dataplane

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/dataplane/udp"
)

// MoveTunnel gives t, with its SAs, another outside address of ours, behind
// which pathMTU octets pass (as in TunnelConfig). ESP leaves from there at once
// and is accepted there only. The old address's sockets are read no longer when
// no other tunnel uses them; they stay open. On an error nothing has changed.
// It must not be called from OnIKE.
func (e *Engine) MoveTunnel(t *Tunnel, to *udp.Outside, pathMTU int) error {
	e.change.Lock()
	defer e.change.Unlock()
	e.mu.Lock()
	last, err := e.moveLocked(t, to, pathMTU)
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("move tunnel %q to %v: %w", t.id, to, err)
	}
	if last != nil {
		last.loops.Wait()
		last.resume()
	}
	return nil
}

// moveLocked is MoveTunnel but for waiting until the readers of last, the old
// outside address that nobody uses any more, have ended. The caller holds e.mu.
func (e *Engine) moveLocked(t *Tunnel, to *udp.Outside, pathMTU int) (last *outside, err error) {
	old, out := t.outside, t.out.Load()
	switch {
	case e.ended || e.tunnels[t.id] != t:
		return nil, ErrEnded
	case pathMTU < 576 || pathMTU > 65535:
		return nil, fmt.Errorf("PathMTU %d: want 576 to 65535", pathMTU)
	case old.sock == to:
		return nil, nil
	case out != nil && to.Socket(out.kind) == nil:
		return nil, fmt.Errorf("it has no %v socket, which the SA in use needs", out.kind)
	}
	mine := t.inboundLocked()
	for spi := range mine {
		if o := e.outsides[to]; o != nil && o.spis.get(spi) != nil {
			return nil, errors.New("an SPI of the tunnel is in use there")
		}
	}
	for spi := range mine {
		old.spis.setLocked(spi, nil)
	}
	// A batch of the old address may be under way with an SA that it found
	// before; SAs are for one goroutine at a time.
	old.rxMu.Lock()
	next := e.joinLocked(t, to)
	for spi, sa := range mine {
		next.spis.setLocked(spi, sa)
	}
	old.rxMu.Unlock()
	t.cfg.Outside, t.cfg.PathMTU = to, pathMTU
	if out != nil {
		moved := *out
		moved.via, moved.from, moved.mtu = to, to.Addr(), t.mtuOf(out.kind, out.suite)
		t.out.Store(&moved)
	}
	return e.leaveLocked(old), nil
}

// joinLocked makes t one of the tunnels of sock, reading it if nobody did. The
// caller holds e.mu.
func (e *Engine) joinLocked(t *Tunnel, sock *udp.Outside) *outside {
	o := e.outsides[sock]
	if o == nil {
		o = newOutside(e, sock)
		e.outsides[sock] = o
		if e.running {
			e.startOutsideLocked(o)
		}
	}
	o.users++
	t.outside = o
	return o
}

// leaveLocked ends one tunnel's use of o. It returns o when that was the last:
// the caller, when it no longer holds e.mu, waits for its loops and resumes it.
func (e *Engine) leaveLocked(o *outside) *outside {
	o.users--
	if o.users > 0 {
		return nil
	}
	delete(e.outsides, o.sock)
	o.interrupt()
	return o
}
