// Package policy is what one end of a tunnel is told about IKE with one peer:
// addresses, identities, proof, algorithms, selectors and times. Both versions
// of IKE read the same Config.
//
// It decides nothing and keeps no state. The machines of ikev1 and ikev2 take
// a Config, package gateway makes one.
package policy

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A Config says how to talk to one peer. Where a zero value means a default,
// the field says which; the defaults are those of AWS (vpn §2.1, §2.2).
type Config struct {
	// Initiator starts the negotiation when it is told to, and starts it again
	// after failures if Restart is set. Without it the machine only answers.
	Initiator bool
	// Local and Remote are the outside addresses with the port at which IKE
	// begins: 500 at both ends, or 4500. A responder replies to wherever its
	// peer is, and Remote may be zero.
	Local, Remote netip.AddrPort
	// LocalID is who we say we are; zero means our certificate's subject when
	// we authenticate by one, else Local's address. RemoteID is who the peer
	// must be; zero means anybody who proves to hold the key or a certificate
	// that we trust.
	LocalID, RemoteID ike.Identity
	Auth              Auth

	// IKE and ESP are what we offer and allow, best first. A responder takes
	// the first of its own list that the peer offers too (vpn §2.2). With
	// ESP.ESN set both kinds of sequence numbers are allowed, extended ones
	// preferred. In IKEv2 ESP.Group is used for rekeying only (RFC 7296
	// section 1.2), in IKEv1 for every quick mode.
	IKE []suite.IKE
	ESP []suite.ESP
	// LocalTS and RemoteTS are the traffic selectors; empty means all IPv4.
	LocalTS, RemoteTS []ike.Selector

	Lifetime Lifetime
	Liveness Liveness
	// NATKeepalive is how often a mapping is refreshed when we are behind a
	// NAT. Zero: 20 s (RFC 3948 section 4).
	NATKeepalive time.Duration
	// ForceEncap makes both ends believe in a NAT, so that ESP goes in UDP.
	ForceEncap bool
	// Restart makes an initiator start again after the SA went down or an
	// attempt failed, after a pause that grows with each failure.
	Restart    bool
	Extensions Extensions
	Tuning     Tuning
}

// Auth is how we prove who we are, and what we take as the peer's proof. With
// a Credential we sign and the peer must, too; without one both use the PSK.
type Auth struct {
	PSK        secret.Secret
	Credential *cert.Credential // our certificate and key
	Trust      *cert.Trust      // whose certificates we accept; needed with Credential
}

// ProvesIKE makes it an ike.Auth.
func (Auth) ProvesIKE() {}

// Signs reports whether certificates are used rather than the pre-shared key.
func (a Auth) Signs() bool { return a.Credential != nil }

// Lifetime is when SAs are renewed. A rekey starts at lifetime − (margin +
// random(0, margin × fuzz %)); at the end of the lifetime the SA is deleted.
type Lifetime struct {
	IKE, Child time.Duration // zero: 8 h and 1 h
	Margin     time.Duration // zero: 270 s
	Fuzz       int           // percent, 0 to 100; 0 is 0
}

// Liveness is how a dead peer is found (RFC 7296 section 2.4, RFC 3706).
type Liveness struct {
	// Interval is how long the peer may be silent before it is probed, and
	// Timeout how long after the first unanswered probe it is dead. Zero: 10 s
	// and 30 s.
	Interval, Timeout time.Duration
	// Action is what happens then (vpn §2.1 DPDTimeoutAction).
	Action Action
}

// An Action is what follows when a peer is found dead.
type Action uint8

// The actions, by AWS's names (vpn §2.1, §3.1).
const (
	ActionDefault Action = iota // restart at an end that starts by itself, clear at one that waits
	Clear                       // the SAs go, and an end that would start again waits to be told
	None                        // nobody is probed; SAs live until they expire
	Restart                     // the SAs go, and we start anew, whoever began before
)

// Extensions are what is negotiated beyond RFC 7296 and RFC 2409. The zero
// value offers what no peer minds.
type Extensions struct {
	// FragmentSize is the largest IP packet, in octets, that carries one IKE
	// message; longer ones are fragmented (RFC 7383). Zero: 1280; -1 neither
	// offers nor accepts fragmentation.
	FragmentSize int
	NoMOBIKE     bool // RFC 4555 is offered otherwise
	// NoMessageIDSync keeps from agreeing on message ids anew after a restart
	// of either end (RFC 6311).
	NoMessageIDSync bool
	// Resumption asks for a ticket with which a lost session is taken up
	// again in one round trip (RFC 5723), and gives tickets out.
	Resumption bool
	// PPK is the post-quantum pre-shared key (RFC 8784) called PPKID; an empty
	// one is not used. With PPKRequired a peer without it is refused.
	PPK         secret.Secret
	PPKID       string
	PPKRequired bool
}

// Tuning is what a Config rarely sets.
type Tuning struct {
	// A request is sent again after RetransmitFirst, then after twice that,
	// and so on up to RetransmitMax between two; it has failed after
	// RetransmitTimeout. Zero: 1 s, 8 s, 30 s.
	RetransmitFirst, RetransmitMax, RetransmitTimeout time.Duration
	// RestartMax is the longest pause before an initiator tries again; the
	// first pause after an attempt that failed is a second, or RestartMax if
	// that is less. Zero: 30 s.
	RestartMax time.Duration
	// Rand is read for SPIs, nonces, keys and fuzz. Nil means crypto/rand.
	// Only tests set it.
	Rand io.Reader
}

// Reproved is c, with its defaults, with another proof of both ends, a policy.Auth
// of the same means. An identity of ours that was the subject of our certificate is
// that of the new one. trust reports whether a peer that was believed by c need not
// be now.
func (c Config) Reproved(by ike.Auth) (next Config, trust bool, err error) {
	a, ok := by.(Auth)
	if !ok {
		return c, false, fmt.Errorf("another proof: %T, want a policy.Auth", by)
	}
	if a.Signs() != c.Auth.Signs() {
		return c, false, errors.New("another proof: field Auth: a tunnel does not change between certificates and a pre-shared key while it runs")
	}
	next = c
	if c.Auth.Signs() && c.LocalID == c.Auth.Credential.Identity() {
		next.LocalID = ike.Identity{}
	}
	next.Auth = a
	next.LocalID = next.ownID()
	if err := next.Check(); err != nil {
		return c, false, fmt.Errorf("another proof: %w", err)
	}
	return next, a.Signs() && a.Trust.Digest() != c.Auth.Trust.Digest(), nil
}

// WithDefaults fills in what zero values mean.
func (c Config) WithDefaults() Config {
	orDuration(&c.Lifetime.IKE, 8*time.Hour)
	orDuration(&c.Lifetime.Child, time.Hour)
	orDuration(&c.Lifetime.Margin, 270*time.Second)
	orDuration(&c.Liveness.Interval, 10*time.Second)
	orDuration(&c.Liveness.Timeout, 30*time.Second)
	orDuration(&c.NATKeepalive, 20*time.Second)
	orDuration(&c.Tuning.RetransmitFirst, time.Second)
	orDuration(&c.Tuning.RetransmitMax, 8*time.Second)
	orDuration(&c.Tuning.RetransmitTimeout, 30*time.Second)
	orDuration(&c.Tuning.RestartMax, 30*time.Second)
	if c.Extensions.FragmentSize == 0 {
		c.Extensions.FragmentSize = defaultFragmentSize
	}
	if c.Liveness.Action == ActionDefault {
		c.Liveness.Action = Clear
		if c.Initiator {
			c.Liveness.Action = Restart
		}
	}
	c.LocalID = c.ownID()
	all := []ike.Selector{ike.FromPrefix(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}
	if len(c.LocalTS) == 0 {
		c.LocalTS = all
	}
	if len(c.RemoteTS) == 0 {
		c.RemoteTS = all
	}
	if c.Tuning.Rand == nil {
		c.Tuning.Rand = rand.Reader
	}
	return c
}

// ownID is LocalID, or what a zero one means. A subject that was written as
// text becomes that of the certificate to the octet, as peers compare it.
func (c Config) ownID() ike.Identity {
	if c.Auth.Signs() {
		subject := c.Auth.Credential.Identity()
		if c.LocalID.IsZero() || c.LocalID.Matches(subject) {
			return subject
		}
	}
	if c.LocalID.IsZero() {
		return ike.IdentityOf(c.Local.Addr())
	}
	return c.LocalID
}

// defaultFragmentSize is the smallest MTU that IPv6 knows, which passes
// everywhere (RFC 7383 section 2.5.1).
const defaultFragmentSize = 1280

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// Lead is how long before the end of a lifetime the rekey starts: margin +
// rand(0, margin × fuzz).
func (c Config) Lead() (time.Duration, error) {
	fuzz := c.Lifetime.Margin * time.Duration(c.Lifetime.Fuzz) / 100
	if fuzz <= 0 {
		return c.Lifetime.Margin, nil
	}
	var b [8]byte
	if _, err := io.ReadFull(c.Tuning.Rand, b[:]); err != nil {
		return c.Lifetime.Margin, fmt.Errorf("random: %w", err)
	}
	return c.Lifetime.Margin + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(fuzz)), nil
}
