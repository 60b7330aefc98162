package esp

import (
	"errors"
	"sync/atomic"
	"testing"

	"seikan/internal/ipsec/ike/suite"
)

// newLedger is a ledger of an SA that has sealed and opened so much.
func newLedger(sent, taken uint64) *Ledger {
	l := &Ledger{Sent: new(atomic.Uint64), Taken: new(atomic.Uint64)}
	l.Sent.Store(sent)
	l.Taken.Store(taken)
	return l
}

var ledgerSuites = []suite.ESP{
	{Encr: suite.AESGCM16, KeyBits: 128},
	{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256, ESN: true},
}

func TestLedgerFollowsBothDirections(t *testing.T) {
	for _, s := range ledgerSuites {
		out, in := newPair(t, s, 64)
		l := newLedger(0, 0)
		out.CountIn(l, false)
		in.CountIn(l)
		var sealed [][]byte
		for range 3 {
			sealed = append(sealed, seal(t, out, inner4(60)))
		}
		if got := l.Sent.Load(); got != 3 || out.Sequence() != 3 {
			t.Errorf("%v: after three packets: got %d sent, sequence %d, want 3 and 3", s, got, out.Sequence())
		}
		for _, i := range []int{0, 2, 1} {
			if _, err := in.Open(nil, sealed[i]); err != nil {
				t.Errorf("%v: packet %d: %v", s, i, err)
			}
		}
		if got := l.Taken.Load(); got != 3 {
			t.Errorf("%v: after packets 1, 3 and 2: got %d taken, want 3", s, got)
		}
	}
}

func TestResumedSANeverRepeatsANumber(t *testing.T) {
	for _, s := range ledgerSuites {
		out, _ := newPair(t, s, 64)
		l := newLedger(1000, 0)
		out.CountIn(l, true)
		if got, want := out.Sequence(), uint64(1000+Skip); got != want {
			t.Errorf("%v: got sequence %d, want %d", s, got, want)
		}
		seal(t, out, inner4(60))
		if got, want := l.Sent.Load(), uint64(1000+Skip+1); got != want {
			t.Errorf("%v: the packet after the restart: got number %d, want %d", s, got, want)
		}
	}
}

func TestSkippingBeyondTheLastNumberExhaustsTheSA(t *testing.T) {
	out, _ := newPair(t, ledgerSuites[0], 64)
	out.CountIn(newLedger(1<<32-5, 0), true)
	if _, err := sealOne(out, inner4(60)); !errors.Is(err, ErrExhausted) {
		t.Errorf("got %v, want exhausted: the numbers must not begin again", err)
	}
}

func TestResumedSAOpensNothingTwice(t *testing.T) {
	for _, s := range ledgerSuites {
		out, before := newPair(t, s, 64)
		l := newLedger(0, 0)
		before.CountIn(l)
		var sealed [][]byte
		for range 200 {
			sealed = append(sealed, seal(t, out, inner4(60)))
		}
		for i, p := range sealed[:130] {
			if i != 100 { // that one was late, and comes after the restart
				if _, err := before.Open(make([]byte, 0, len(p)), p); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, after := newPair(t, s, 64)
		after.CountIn(l)
		sealed[131], sealed[132] = sealed[132], sealed[131] // one overtakes another, and both are new
		for i, p := range sealed {
			_, err := after.Open(make([]byte, 0, len(p)), p)
			// With ESN a number far left of the window is taken for one of the
			// next 2^32, and then the integrity check fails.
			if seen := i < 130; seen != (errors.Is(err, ErrReplay) || errors.Is(err, ErrAuth) && s.ESN) {
				t.Errorf("%v: packet %d after the restart: got %v, want it refused: %v", s, i+1, err, seen)
			}
		}
	}
}
