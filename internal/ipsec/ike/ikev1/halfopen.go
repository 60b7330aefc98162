package ikev1

import (
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// Bounds of what the peer's unfinished attempts make us hold. Main mode begins
// without any proof, not even of the sender's address, and its state cannot be
// left with the peer as a cookie, since HASH_I covers the first message and no
// later one repeats it. So whoever can send with the peer's address at a high
// rate keeps an honest attempt from coming through; an SA that is up does not
// notice. Message 3 shows that its sender has seen our cookie: those that got
// there are counted apart, for they cost a Diffie-Hellman exchange.
//
// Where the peer may come from anywhere, there is room for maxProvingAnybody of
// them, and one source has maxProving at most: it waits until one of its own is
// over, and costs us no more exchanges meanwhile.
const (
	maxOffered        = 32
	maxProving        = 4
	maxProvingAnybody = 16
)

// halfOpen are the peer's attempts in state st, the oldest first.
func (m *Machine) halfOpen(st state) []*sa {
	var out []*sa
	for _, s := range m.sas {
		if !s.initiator && s.state == st {
			out = append(out, s)
		}
	}
	return out
}

// bySource counts the attempts in list by source.
func bySource(list []*sa) map[netip.Prefix]int {
	count := map[netip.Prefix]int{}
	for _, s := range list {
		count[ike.Source(s.path.remote.Addr())]++
	}
	return count
}

// mostProving is how many attempts may wait for a proof.
func (m *Machine) mostProving() int {
	if m.reachable() {
		return maxProving
	}
	return maxProvingAnybody
}

// roomFor reports whether one more attempt from a may come to wait for a proof,
// before anything is computed for it.
func (m *Machine) roomFor(a netip.Addr) bool {
	return m.reachable() || bySource(m.halfOpen(proving))[ike.Source(a)] < maxProving
}

// makeRoom forgets one of the peer's attempts in state st if there are most:
// the oldest of the source that has the most.
func (m *Machine) makeRoom(t *turn, st state, most int) {
	list := m.halfOpen(st)
	if len(list) < most {
		return
	}
	count := bySource(list)
	heaviest := list[0]
	for _, s := range list {
		if count[ike.Source(s.path.remote.Addr())] > count[ike.Source(heaviest.path.remote.Addr())] {
			heaviest = s
		}
	}
	m.forget(t, heaviest)
}
