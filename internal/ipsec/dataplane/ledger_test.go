package dataplane

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"seikan/internal/ipsec/esp"
)

// ledgers keeps what SAs count, across tunnels.
type ledgers struct {
	open   map[[2]uint32]*esp.Ledger
	closed int
}

func newLedgers() *ledgers { return &ledgers{open: map[[2]uint32]*esp.Ledger{}} }

// errUnknown is what Open says of an SA that was never there.
var errUnknown = errors.New("no such ledger")

func (l *ledgers) Open(in, out uint32, resumed bool) (*esp.Ledger, error) {
	key := [2]uint32{in, out}
	if resumed {
		if l.open[key] == nil {
			return nil, errUnknown
		}
		return l.open[key], nil
	}
	l.open[key] = &esp.Ledger{Sent: new(atomic.Uint64), Taken: new(atomic.Uint64)}
	return l.open[key], nil
}

func (l *ledgers) Close(uint32, uint32) { l.closed++ }

// TestResumedPairGoesOnBeyondItsNumbers takes the tunnel of one end away, as a
// crash does, and resumes its SAs in another.
func TestResumedPairGoesOnBeyondItsNumbers(t *testing.T) {
	kept := newLedgers()
	a, b := newEnds(t, func(c *TunnelConfig) { c.Ledgers = kept })
	forA, _ := connect(t, a, b, gcm, true)
	const n = 20
	for i := range uint32(n) {
		a.send(t, datagram4(left4, right4, 100, i))
		b.want(t, datagram4(left4, right4, 100, i))
		b.send(t, datagram4(right4, left4, 100, i))
		a.want(t, datagram4(right4, left4, 100, i))
	}
	a.engine.RemoveTunnel(a.tunnel)
	if kept.closed != 0 {
		t.Errorf("got %d ledgers closed by the end of a tunnel, want none: its SAs may be resumed", kept.closed)
	}
	again := addTunnelWith(t, a, TunnelConfig{ID: "resumed", Ledgers: kept})
	resumed := *forA
	resumed.Resumed = true
	again.install(t, &resumed)
	for i := range uint32(n) {
		again.send(t, datagram4(left4, right4, 100, i))
		b.want(t, datagram4(left4, right4, 100, i))
		b.send(t, datagram4(right4, left4, 100, i))
		again.want(t, datagram4(right4, left4, 100, i))
	}
	if got, least := again.tunnel.Counters().Sequence, uint64(n+esp.Skip+1); got < least {
		t.Errorf("got sequence %d, want at least %d", got, least)
	}
	again.tunnel.Remove(resumed.SPIIn)
	if kept.closed != 1 {
		t.Errorf("after Remove: got %d ledgers closed, want 1", kept.closed)
	}
}

func TestSAIsNotResumedWithoutItsLedger(t *testing.T) {
	a, b := newEnds(t, nil)
	forA, _ := sas(a, b, gcm, true, 0x1000)
	forA.Resumed = true
	if err := a.tunnel.InstallInbound(forA); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("without ledgers: inbound: got %v, want a refusal", err)
	}
	if err := a.tunnel.UseOutbound(forA); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("without ledgers: outbound: got %v, want a refusal", err)
	}
	other := addTunnelWith(t, a, TunnelConfig{ID: "other", Ledgers: newLedgers()})
	if err := other.tunnel.InstallInbound(forA); !errors.Is(err, errUnknown) {
		t.Errorf("with ledgers that do not know it: got %v, want %v", err, errUnknown)
	}
}
