package ikev2

import (
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// maxHalfOpen bounds the peer's attempts that have not come to IKE_AUTH. Where
// the peer's address is configured the oldest makes room: with a cookie each
// comes from that address, so the newest is the likeliest to be meant.
const maxHalfOpen = 4

// Where a peer may come from anywhere, there is room for maxHalfOpenAnybody
// attempts, so that IKE SAs that are up are never short of theirs, and one
// source has maxHalfOpen of them at most: it waits until one of its own is over,
// and costs us no more key exchanges meanwhile. When all are taken, one of the
// source with the most makes room.
const maxHalfOpenAnybody = 16

// halfOpenSAs are the peer's attempts that have not come to IKE_AUTH, the
// oldest first.
func (m *Machine) halfOpenSAs() []*sa {
	var out []*sa
	for _, s := range m.sas {
		if !s.initiator && s.state == keyed {
			out = append(out, s)
		}
	}
	return out
}

// halfOpen counts the peer's attempts that have not come to IKE_AUTH.
func (m *Machine) halfOpen() int { return len(m.halfOpenSAs()) }

// countHalfOpen tells the other machines of the process how many there are.
func (m *Machine) countHalfOpen() {
	n := m.halfOpen()
	m.shared.Cookies.halfOpen.Add(int64(n - m.strangers.halfOpen))
	m.strangers.halfOpen = n
}

// anybody reports whether the peer may come from any address.
func (m *Machine) anybody() bool { return !m.cfg.Remote.Addr().IsValid() }

// bySource counts the attempts in list by source.
func bySource(list []*sa) map[netip.Prefix]int {
	count := map[netip.Prefix]int{}
	for _, s := range list {
		count[ike.Source(s.path.remote.Addr())]++
	}
	return count
}

// roomFor reports whether one more attempt may come from a, before anything is
// computed for it.
func (m *Machine) roomFor(a netip.Addr) bool {
	return !m.anybody() || bySource(m.halfOpenSAs())[ike.Source(a)] < maxHalfOpen
}

// makeRoom drops an attempt if there is no room for one more.
func (m *Machine) makeRoom() {
	list := m.halfOpenSAs()
	most := maxHalfOpen
	if m.anybody() {
		most = maxHalfOpenAnybody
	}
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
	m.forget(heaviest)
}
