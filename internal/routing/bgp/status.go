package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A Status is what a speaker shows of itself.
type Status struct {
	// Deaf is why nobody can open a session to us; empty when all is well. We
	// still open sessions ourselves.
	Deaf  string
	Peers []PeerStatus // as in the configuration
}

// A PeerStatus is one peer.
type PeerStatus struct {
	Name          string
	Local, Remote netip.Addr
	ASN           uint32
	State         string    // of RFC 4271: "Idle", "Active", "OpenSent", "OpenConfirm", "Established"
	Established   bool      //
	Since         time.Time // when Established last changed, or when the peer was configured
	// Received counts the prefixes that the peer announces now, Accepted those
	// of them that are not refused, and Announced those that we announce to it.
	Received, Accepted, Announced int
	// Complete says that the peer has announced all that it had when the session
	// was established (End-of-RIB, RFC 4724 section 2). Not every peer says so.
	Complete bool
	Hold     time.Duration // as negotiated; 0 while not established
	// LastError is what last kept the session from being established or ended
	// it, such as "received 6/1 (Cease/Maximum Number of Prefixes Reached)".
	LastError   string
	LastErrorAt time.Time
	// Routes are those that the peer announces, by prefix; while it restarts
	// gracefully those that it had announced.
	Routes []Route
}

// A Route is one prefix that a peer announces.
type Route struct {
	Prefix  netip.Prefix
	NextHop netip.Addr
	ASPath  []uint32 // the peer's system first; members of sets in a row; the first MaxPath
	Hops    int      // the length of ASPath as RFC 4271 section 9.1.2.2 counts it, a set for one
	MED     uint32
	HasMED  bool
	Origin  string // "IGP", "EGP" or "incomplete"
	Stale   bool   // kept while the peer restarts (RFC 4724)
	// Refused is why the route must not be used; empty when it may.
	Refused string
}

// Refusal is why AWS would refuse r of peer p by a speaker of the system own,
// in the words of its log (vpn §4.2); empty when it would not.
func Refusal(r Route, p Peer, own uint32) string {
	switch {
	case slices.Contains(r.ASPath, own):
		return LoopRefused
	case r.NextHop != p.Remote:
		return "next hop " + r.NextHop.String() + " is not the connected peer"
	case r.Prefix.Bits() == 0 && !p.AcceptDefault:
		return DefaultRefused
	case !usable(r.Prefix):
		return "martian prefix"
	case len(r.ASPath) > MaxPath:
		return fmt.Sprintf("as-path of %d systems, more than %d", len(r.ASPath), MaxPath)
	}
	return ""
}

// MaxPath is how many systems the path of a route that is used has at most: more than
// the internet has between any two networks, and a bound on what a peer can have
// others keep.
const MaxPath = 50

// What Route.Refused says of a default route that the peer may not announce, and
// of what came back: some peers announce to us what they have from us.
const (
	DefaultRefused = "default route, which is not accepted unless asked for"
	LoopRefused    = "as-path contains our own AS"
)

// usable reports whether p can be the destination of a route: it has nothing of
// loopback, of link-local and multicast addresses, and of 0.0.0.0/8 and ::/8. The
// tunnels' own inside addresses of IPv4 are link-local, so that no peer can take
// them.
func usable(p netip.Prefix) bool {
	if p.Bits() <= 0 {
		return p.IsValid()
	}
	for _, martian := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8"} {
		if p.Overlaps(netip.MustParsePrefix(martian)) {
			return false
		}
	}
	return true
}

// Status describes the speaker now. The caller must not change it.
func (s *Speaker) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var st Status
	if s.deaf != nil {
		st.Deaf = s.deaf.Error()
	}
	seen := map[string]PeerStatus{}
	for _, p := range s.seen {
		seen[p.Name] = p
	}
	for _, p := range s.want.Peers {
		ps, ok := seen[p.Name]
		if n := s.notes[p.Remote]; ok && n != nil {
			ps.Since, ps.LastError, ps.LastErrorAt = n.since, n.lastError, n.lastErrorAt
		} else {
			ps = PeerStatus{State: idle}
		}
		ps.Name, ps.Local, ps.Remote, ps.ASN = p.Name, p.Local, p.Remote, p.ASN
		st.Peers = append(st.Peers, ps)
	}
	return st
}

// idle is the state of a peer that nothing is known of.
const idle = "Idle"

// A note is what is remembered of a peer beside what GoBGP knows.
type note struct {
	name        string
	since       time.Time
	established bool
	// ended says that a NOTIFICATION was sent or received since the session was
	// established. GoBGP keeps the routes of a peer also after its hold timer
	// expired or it announced too many, if graceful restart was negotiated; RFC
	// 4724 section 4.2 keeps them only when the connection broke without a word.
	ended bool
	// fresh says that what is kept of the session before does not count, for it
	// had been ended.
	fresh       bool
	complete    bool // End-of-RIB was heard in this session
	lastError   string
	lastErrorAt time.Time
	limited     time.Time // when the peer announced too many prefixes; zero when not
	opening     opening
}
