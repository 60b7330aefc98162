package dataplane

import "testing"

// Whether ESP goes in UDP is each sender's own choice: RFC 7296 section 2.23
// has a receiver take it either way, whether it has found a NAT or not.
func TestESPIsTakenInUDPOrNotWhateverWasAgreed(t *testing.T) {
	for _, inUDP := range []bool{true, false} {
		a, b := newEnds(t, nil)
		forA, forB := sas(a, b, gcm, inUDP, 0x1000)
		forB.Encap = !inUDP
		a.install(t, forA)
		b.install(t, forB)
		settle(t, a, b)
		for _, e := range []*end{a, b} {
			if got := e.tunnel.Counters().Drops; got != (Drops{}) {
				t.Errorf("one end in UDP %v: got drops %+v, want none", inUDP, got)
			}
		}
	}
}
