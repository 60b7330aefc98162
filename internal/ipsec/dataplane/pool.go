package dataplane

import (
	"runtime"
	"sync"
)

// A transmitterPool lends transmitters, as many as can work at once and some
// for those that wait for a socket; whoever finds none waits its turn. So the
// memory for packets on their way out is bounded, however many tunnels there
// are.
type transmitterPool struct {
	free chan struct{} // a token for each that may be lent
	mu   sync.Mutex
	idle []*transmitter // the last used first: its buffers are still in the caches
}

func newTransmitterPool() *transmitterPool {
	p := &transmitterPool{free: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	for range cap(p.free) {
		p.free <- struct{}{}
	}
	return p
}

// take waits for a transmitter: until another's turn is over, which is bounded in
// octets but may wait for a socket.
func (p *transmitterPool) take() *transmitter {
	<-p.free
	return p.lend()
}

// tryTake is nil when none is free.
func (p *transmitterPool) tryTake() *transmitter {
	select {
	case <-p.free:
		return p.lend()
	default:
		return nil
	}
}

// lend is the transmitter of a token that was taken.
func (p *transmitterPool) lend() *transmitter {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return newTransmitter()
	}
	x := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return x
}

// give takes x back.
func (p *transmitterPool) give(x *transmitter) {
	x.t, x.sa = nil, nil
	p.mu.Lock()
	p.idle = append(p.idle, x)
	p.mu.Unlock()
	p.free <- struct{}{}
}
