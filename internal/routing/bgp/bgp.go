// Package bgp is one BGP-4 speaker (RFC 4271) with the habits of AWS's VPN: a
// hold time of 30 s, either side opens the session, and more prefixes than
// allowed end it.
//
// It announces the prefixes that it is told and keeps what each peer announces
// apart, with the reason where AWS would refuse it; which of two peers' routes is
// used is for its caller to choose. What one peer announces is passed on to another
// only where the caller says so. A session between IPv4 addresses is of IPv4
// unicast, one between IPv6 addresses of IPv6 unicast (RFC 2545), and neither of
// the other. It is the door to GoBGP, which opens its own
// sockets: on TCP port 179 of the namespace that Run is called in, where only
// peers are answered and only at the address that they are configured with.
// GoBGP keeps a choice in package variables, which Run writes before it has
// peers: of several speakers in one process all must run before any has a peer.
// It touches no routing table and reads no file. Package gateway calls it.
package bgp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Config is all that a speaker shall be.
type Config struct {
	// ASN is our autonomous system number, 1 to 4294967295.
	ASN uint32
	// RouterID is our BGP identifier, an IPv4 address that no peer has as its
	// own identifier (RFC 6286). It decides which of two sessions that were
	// opened at once stays.
	RouterID netip.Addr
	// Listen are our addresses where peers may open the session; empty means
	// every address.
	Listen []netip.Addr
	Peers  []Peer
	// Relayed are those of the prefixes announced that are not our own, each once.
	Relayed []Relayed
}

// A Relayed is a prefix that a peer announces to us, and we to others: with the
// path by which we have it, so that nobody is told of what is his own (vpn §4.6).
type Relayed struct {
	Prefix netip.Prefix
	ASPath []uint32 // as we have it, without our own system
}

// A Peer is one neighbour, of another autonomous system than ours.
type Peer struct {
	Name          string     // the caller's name of it, unique
	Local, Remote netip.Addr // of the session; Remote is unique
	ASN           uint32     // 1 to 4294967295, not ours
	// Hold is how long the peer may be silent, 3 s to 65535 s, and Keepalive how
	// often we are heard, at most a third of it. Both are whole seconds; zero
	// means DefaultHold and a third of Hold. The smaller Hold of the two ends holds.
	Hold, Keepalive time.Duration
	// MaxPrefixes is how many prefixes the peer may announce; with one more the
	// session ends with a Cease and its routes are gone until it is tried again
	// after Pause. 0 means any number.
	MaxPrefixes int
	Pause       time.Duration // 0 means DefaultPause
	// AcceptDefault lets the peer announce 0.0.0.0/0, or ::/0.
	AcceptDefault bool
	// Announce are the prefixes that we announce to it, of the session's family.
	Announce []netip.Prefix
	MED      uint32 // sent with each of them; 0 sends none, which AWS takes for 100
	Prepend  int    // how many times more our ASN stands in the path, 0 to 10
}

// Defaults of a Peer: what AWS's end has (vpn §4.2), and how long we wait after
// a breach of MaxPrefixes.
const (
	DefaultHold  = 30 * time.Second
	DefaultPause = time.Minute
)

// Limits of a Peer.
const (
	maxHold    = 65535 * time.Second // what an OPEN message can say
	minHold    = 3 * time.Second     // RFC 4271 section 4.2
	maxPrepend = 10
)

// withDefaults returns p with its zero values replaced.
func (p Peer) withDefaults() Peer {
	if p.Hold == 0 {
		p.Hold = DefaultHold
	}
	if p.Keepalive == 0 {
		p.Keepalive = (p.Hold / 3).Truncate(time.Second)
	}
	if p.Pause == 0 {
		p.Pause = DefaultPause
	}
	return p
}

// sameSession reports whether the session that p made serves q: they differ at
// most in what is announced and accepted.
func (p Peer) sameSession(q Peer) bool {
	return p.Local == q.Local && p.Remote == q.Remote && p.ASN == q.ASN &&
		p.Hold == q.Hold && p.Keepalive == q.Keepalive && p.MaxPrefixes == q.MaxPrefixes
}

// sameOutput reports whether p and q announce the same.
func (p Peer) sameOutput(q Peer) bool {
	return slices.Equal(p.Announce, q.Announce) && p.MED == q.MED && p.Prepend == q.Prepend
}

// Validate checks what would make the speaker fail later. The error names the
// peer, the field, the value and the rule.
func (c Config) Validate() error {
	if c.ASN == 0 {
		return errors.New("bgp: ASN 0: an autonomous system number is 1 to 4294967295")
	}
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		return fmt.Errorf("bgp: RouterID %v: an IPv4 address other than 0.0.0.0 is wanted", c.RouterID)
	}
	for i, r := range c.Relayed {
		switch {
		case !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() || r.Prefix != r.Prefix.Masked():
			return fmt.Errorf("bgp: Relayed %v: a prefix of IPv4 or IPv6 without host bits is wanted", r.Prefix)
		case slices.Contains(r.ASPath, c.ASN):
			return fmt.Errorf("bgp: Relayed %v: its path %v holds our own ASN %d, so that it went in a circle", r.Prefix, r.ASPath, c.ASN)
		case slices.ContainsFunc(c.Relayed[:i], func(o Relayed) bool { return o.Prefix == r.Prefix }):
			return fmt.Errorf("bgp: Relayed %v stands there twice; once is enough", r.Prefix)
		}
	}
	names, remotes := map[string]bool{}, map[netip.Addr]string{}
	for _, p := range c.Peers {
		if names[p.Name] {
			return fmt.Errorf("bgp: peer %s: the name is used twice; give each peer one of its own", p.Name)
		}
		if other, ok := remotes[p.Remote]; ok {
			return fmt.Errorf("bgp: peer %s: Remote %v is that of peer %s; sessions are told apart by it: give each its own", p.Name, p.Remote, other)
		}
		names[p.Name], remotes[p.Remote] = true, p.Name
		if err := p.withDefaults().validate(c.ASN); err != nil {
			return fmt.Errorf("bgp: peer %s: %w", p.Name, err)
		}
	}
	return nil
}

// validate checks p, with its defaults, for a speaker of the system own.
func (p Peer) validate(own uint32) error {
	switch {
	case !p.Local.IsValid() || !p.Remote.IsValid() || p.Local.Is4() != p.Remote.Is4() || p.Local == p.Remote:
		return fmt.Errorf("field Local %v and Remote %v: two addresses of one family are wanted", p.Local, p.Remote)
	case p.ASN == 0:
		return errors.New("ASN 0: an autonomous system number is 1 to 4294967295")
	case p.ASN == own:
		return fmt.Errorf("ASN %d is our own; the two ends of a VPN are different autonomous systems: give one of them another", p.ASN)
	case p.Hold < minHold || p.Hold > maxHold || p.Hold%time.Second != 0:
		return fmt.Errorf("field Hold %v: whole seconds from %v to %v", p.Hold, minHold, maxHold)
	case p.Keepalive < time.Second || p.Keepalive > p.Hold/3 || p.Keepalive%time.Second != 0:
		return fmt.Errorf("field Keepalive %v: whole seconds, at most a third of Hold %v", p.Keepalive, p.Hold)
	case p.MaxPrefixes < 0:
		return fmt.Errorf("field MaxPrefixes %d: at least 1, or 0 for any number", p.MaxPrefixes)
	case p.Pause < 0:
		return fmt.Errorf("field Pause %v: it cannot be negative", p.Pause)
	case p.Prepend < 0 || p.Prepend > maxPrepend:
		return fmt.Errorf("field Prepend %d: 0 to %d times", p.Prepend, maxPrepend)
	}
	seen := map[netip.Prefix]bool{}
	for _, a := range p.Announce {
		if !a.IsValid() || a.Addr().Is4() != p.Local.Is4() || a != a.Masked() {
			return fmt.Errorf("field Announce %v: a prefix of the session's family, without host bits, is wanted", a)
		}
		if seen[a] {
			return fmt.Errorf("field Announce %v stands there twice; once is enough", a)
		}
		seen[a] = true
	}
	return nil
}

// Options are how a speaker reaches the world.
type Options struct {
	Log  *slog.Logger
	Port uint16 // of TCP, at both ends; 0 means 179
	// Restarted says that another process was killed in whose place this one is,
	// and that packets are forwarded as before. Peers that know graceful restart
	// then keep what we had announced until we have announced all anew, for which
	// we first wait to be told all that they have (RFC 4724 section 4.1).
	Restarted bool
}

// bgpPort is BGP's TCP port (RFC 4271 section 8.2.1).
const bgpPort = 179

// A Speaker is one BGP speaker.
type Speaker struct {
	log  *slog.Logger
	port uint16
	// restarted is Options.Restarted until the first peers are there.
	restarted bool
	changed   chan struct{} // holds one token when the status changed
	kick      chan struct{} // holds one token when want changed
	dirty     chan struct{} // holds one token when a peer or a route changed

	// mu guards the fields below it.
	mu    sync.Mutex
	want  Config
	deaf  error                // why nobody can open a session to us
	notes map[netip.Addr]*note // by Remote
	seen  []PeerStatus         // as of the last look
}

// New checks cfg and returns a speaker that does nothing until Run.
func New(cfg Config, opts Options) (*Speaker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if opts.Port == 0 {
		opts.Port = bgpPort
	}
	return &Speaker{
		log: opts.Log, port: opts.Port, restarted: opts.Restarted, want: cfg,
		changed: make(chan struct{}, 1), kick: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		notes: map[netip.Addr]*note{},
	}, nil
}

// Set changes what the speaker shall be. Sessions whose configuration is the
// same go on, also while what is announced to them changes. Another ASN,
// RouterID or Listen begins all of them anew. An invalid cfg changes nothing.
func (s *Speaker) Set(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	s.want = cfg
	s.mu.Unlock()
	signal(s.kick)
	return nil
}

// Changed holds a token after the status changed. One reader only.
func (s *Speaker) Changed() <-chan struct{} { return s.changed }

// signal puts a token into c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
