package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"seikan/internal/ipsec/esp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// sealedBy sends n packets from number first on through a, and returns them and
// what came out at w. They are of one size for a while, so that w sends trains of
// 64 whatever their order, and then of several, so that trains are short.
func (w *wiretap) sealedBy(t *testing.T, a *end, first uint32, n int) (plain, sealed [][]byte) {
	t.Helper()
	const together = 64
	for i := range uint32(n) {
		size := 120
		if i/esp.DefaultWindow%2 == 1 {
			size += int(i/7%3) * 40
		}
		p := datagram4(left4, right4, size, first+i)
		plain = append(plain, p)
		a.send(t, p)
		if todo := len(plain) - len(sealed); todo == together || len(plain) == n {
			sealed = append(sealed, w.take(t, todo)...)
		}
	}
	return plain, sealed
}

// arrive waits for packets in any order, each once.
func (e *end) arrive(t *testing.T, want [][]byte) {
	t.Helper()
	missing := map[string]bool{}
	for _, p := range want {
		missing[string(p)] = true
	}
	for range want {
		p := e.receive(t)
		if !missing[string(p)] {
			t.Fatalf("a packet that was not to come, or had come before: %x", p[:min(40, len(p))])
		}
		delete(missing, string(p))
	}
}

// nothingMore has a send something new to b, on its way past w, and sees that it
// is the first to come. It does so twice: when the second has come, the batch of
// the first, and all before it, have been counted.
func (w *wiretap) nothingMore(t *testing.T, a, b *end, number uint32) {
	t.Helper()
	for range 2 {
		plain, sealed := w.sealedBy(t, a, number, 1)
		w.give(t, sealed...)
		b.want(t, plain...)
	}
}

// orders are ways to overtake that a window of so many packets allows: no packet
// comes after one that is as many numbers or more ahead of it.
var orders = map[string]func(r *rand.Rand, window []int){
	"shuffled": func(r *rand.Rand, window []int) {
		r.Shuffle(len(window), func(i, k int) { window[i], window[k] = window[k], window[i] })
	},
	"the first comes last": func(_ *rand.Rand, window []int) {
		copy(window, append(slices.Clone(window[1:]), window[0]))
	},
	"backwards": func(_ *rand.Rand, window []int) { slices.Reverse(window) },
	"trains change places": func(r *rand.Rand, window []int) {
		const train = 32
		from := slices.Clone(window)
		for i, k := range r.Perm(len(window) / train) {
			copy(window[i*train:], from[k*train:(k+1)*train])
		}
	},
}

// TestReorderingWithinTheWindowLosesNothing has thousands of packets of one SA
// come out of order, in trains, within the window of 1,024 that is the default.
func TestReorderingWithinTheWindowLosesNothing(t *testing.T) {
	const n = 4 * esp.DefaultWindow
	for _, s := range []suite.ESP{gcm, cbc} {
		for name, change := range orders {
			t.Run(s.String()+" "+name, func(t *testing.T) {
				a, b := newEnds(t, nil)
				connect(t, a, b, s, true)
				wire := tap(t, a, b)
				plain, sealed := wire.sealedBy(t, a, 0, n)
				r := rand.New(rand.NewPCG(3, 4))
				for at := 0; at < n; at += esp.DefaultWindow {
					order := make([]int, esp.DefaultWindow)
					for i := range order {
						order[i] = at + i
					}
					change(r, order)
					var now [][]byte
					for _, i := range order {
						now = append(now, sealed[i])
					}
					wire.give(t, now...)
					b.arrive(t, plain[at:at+esp.DefaultWindow])
				}
				wire.nothingMore(t, a, b, n)
				if got := b.tunnel.Counters().Drops; got != (Drops{}) {
					t.Errorf("drops: got %+v, want none", got)
				}
			})
		}
	}
}

// TestLatestPacketIsTheLastInTheWindow has each of many packets come exactly as
// late as the window allows, and one a single number later.
func TestLatestPacketIsTheLastInTheWindow(t *testing.T) {
	const late, n = esp.DefaultWindow - 1, 2 * esp.DefaultWindow
	for _, s := range []suite.ESP{gcm, cbc} {
		t.Run(s.String(), func(t *testing.T) {
			a, b := newEnds(t, nil)
			connect(t, a, b, s, true)
			wire := tap(t, a, b)
			plain, sealed := wire.sealedBy(t, a, 0, n)
			// Every other packet comes 1,023 numbers after its turn, when the one that
			// is so far ahead has; the last of them is number n-1,023. The one before it
			// is missing.
			const missing = n - late - 2
			var now, came [][]byte
			for i := range n {
				if i%2 == 1 && i != missing {
					now, came = append(now, sealed[i]), append(came, plain[i])
				}
				if k := i - late; k >= 0 && k%2 == 0 {
					now, came = append(now, sealed[k]), append(came, plain[k])
				}
			}
			wire.give(t, now...)
			b.arrive(t, came)
			if got := b.tunnel.Counters().Drops; got != (Drops{}) {
				t.Errorf("drops: got %+v, want none", got)
			}
			wire.give(t, sealed[missing])
			wire.nothingMore(t, a, b, n)
			if got := b.tunnel.Counters().Drops; got.Replay+got.Auth != 1 {
				t.Errorf("drops: got %+v, want the one that came too late", got)
			}
		})
	}
}

// TestReplayNeverPassesAcrossARekey sends all packets of an SA again: while it
// is in use, while its successor is, when it has been removed, and when another
// SA has its SPI.
func TestReplayNeverPassesAcrossARekey(t *testing.T) {
	const n = 500
	for _, s := range []suite.ESP{gcm, cbc} {
		t.Run(s.String(), func(t *testing.T) {
			a, b := newEnds(t, nil)
			_, oldB := connect(t, a, b, s, true)
			wire := tap(t, a, b)
			plain, first := wire.sealedBy(t, a, 0, n)
			wire.give(t, first...)
			b.arrive(t, plain)
			replayed := func(again [][]byte, what string, number uint32, of func(Drops, OutsideCounters) uint64) {
				t.Helper()
				before := of(b.tunnel.Counters().Drops, b.engine.OutsideCounters(b.out))
				wire.give(t, again...)
				wire.nothingMore(t, a, b, number)
				if got := of(b.tunnel.Counters().Drops, b.engine.OutsideCounters(b.out)) - before; got != uint64(len(again)) {
					t.Errorf("%s: got %d of %d counted", what, got, len(again))
				}
			}
			replay := func(d Drops, _ OutsideCounters) uint64 { return d.Replay }
			replayed(first, "in use", 1_000_000, replay)

			newA, newB := sas(a, b, s, true, 0x2000)
			newA.Remote = wire.address()
			a.install(t, newA)
			b.install(t, newB)
			plain, second := wire.sealedBy(t, a, n, n)
			wire.give(t, second...)
			b.arrive(t, plain)
			replayed(first, "beside its successor", 1_000_001, replay)
			replayed(slices.Concat(second, first, second), "both", 1_000_002, replay)

			b.tunnel.Remove(oldB.SPIIn)
			replayed(first, "removed", 1_000_003, func(_ Drops, o OutsideCounters) uint64 { return o.UnknownSPI })

			_, again := sas(a, b, s, true, 0x1000) // the same SPIs, other keys
			if err := b.tunnel.InstallInbound(again); err != nil {
				t.Fatal(err)
			}
			replayed(first, "another SA has the SPI", 1_000_004, func(d Drops, _ OutsideCounters) uint64 { return d.Auth })
			const each = 2*n + 2*5 // once
			waitFor(t, func() bool { return b.tunnel.Counters().PacketsIn >= each })
			if got := b.tunnel.Counters().PacketsIn; got != each {
				t.Errorf("packets in: got %d, want %d", got, each)
			}
		})
	}
}

// address is where w is.
func (w *wiretap) address() netip.AddrPort {
	return netip.AddrPortFrom(w.out.Addr(), w.out.Ports().NAT)
}

// TestReplayNeverPassesAcrossAWrap has the low 32 bits of the sequence number go
// over their end, out of order within the window, and sends all of it again.
func TestReplayNeverPassesAcrossAWrap(t *testing.T) {
	const before, n = 1500, 3 * esp.DefaultWindow
	last := uint64(1<<32 - before) // the number used last
	for _, s := range []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, ESN: true}, cbc} {
		t.Run(s.String(), func(t *testing.T) {
			kept := [2]*ledgers{newLedgers(), newLedgers()}
			made := 0
			a, b := newEnds(t, func(c *TunnelConfig) { c.Ledgers = kept[made]; made++ })
			forA, forB := sas(a, b, s, true, 0x1000)
			for i, sa := range []*ike.ChildSA{forA, forB} { // resumed, as after a crash, near the end
				l := &esp.Ledger{Sent: new(atomic.Uint64), Taken: new(atomic.Uint64)}
				l.Sent.Store(last - esp.Skip)
				l.Taken.Store(last)
				kept[i].open[[2]uint32{sa.SPIIn, sa.SPIOut}] = l
				sa.Resumed = true
			}
			a.install(t, forA)
			b.install(t, forB)
			wire := tap(t, a, b)
			plain, sealed := wire.sealedBy(t, a, 0, n)
			if got := a.tunnel.Counters().Sequence; got != last+n {
				t.Fatalf("sequence: got %d, want %d", got, last+n)
			}
			r := rand.New(rand.NewPCG(5, 6))
			for at := 0; at < n; at += esp.DefaultWindow {
				now := slices.Clone(sealed[at : at+esp.DefaultWindow])
				r.Shuffle(len(now), func(i, k int) { now[i], now[k] = now[k], now[i] })
				wire.give(t, now...)
				b.arrive(t, plain[at:at+esp.DefaultWindow])
			}
			if got := b.tunnel.Counters().Drops; got != (Drops{}) {
				t.Errorf("drops: got %+v, want none", got)
			}
			for at := 0; at < n; at += esp.DefaultWindow { // not more at once than the socket holds
				wire.give(t, sealed[at:at+esp.DefaultWindow]...)
				wire.nothingMore(t, a, b, 1_000_000+uint32(at))
			}
			// What is left of the window counts as one of a subspace later (RFC 4303
			// appendix A2.2), whose ICV is wrong.
			if got := b.tunnel.Counters().Drops; got.Replay+got.Auth != n || got.Replay == 0 || got.Auth == 0 || got != (Drops{Replay: got.Replay, Auth: got.Auth}) {
				t.Errorf("drops: got %+v, want %d refused as replayed or not authentic", got, n)
			}
		})
	}
}
