package ikev2

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
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
	// LocalID is who we say we are; zero means Local's address. RemoteID is
	// who the peer must be; zero means anybody who holds the key.
	LocalID, RemoteID ike.Identity
	PSK               secret.Secret

	// IKE and ESP are what we offer and allow, best first. A responder takes
	// the first of its own list that the peer offers too (vpn §2.2). With
	// ESP.ESN set both kinds of sequence numbers are allowed, extended ones
	// preferred. ESP.Group is used for rekeying only (RFC 7296 section 1.2).
	IKE []suite.IKE
	ESP []suite.ESP
	// LocalTS and RemoteTS are the traffic selectors; empty means all IPv4.
	LocalTS, RemoteTS []ike.Selector

	// A rekey starts at lifetime − (margin + random(0, margin × fuzz %)); at
	// the end of the lifetime the SA is deleted. Zero: 8 h, 1 h, 270 s; a
	// fuzz of 0 is 0.
	IKELifetime, ChildLifetime, RekeyMargin time.Duration
	RekeyFuzz                               int // percent

	// DPDInterval is how long the peer may be silent before it is probed, and
	// DPDTimeout how long after the first unanswered probe it is dead. Zero:
	// 10 s and 30 s.
	DPDInterval, DPDTimeout time.Duration
	// NATKeepalive is how often a mapping is refreshed when we are behind a
	// NAT. Zero: 20 s (RFC 3948 section 4).
	NATKeepalive time.Duration
	// ForceEncap makes both ends believe in a NAT, so that ESP goes in UDP.
	ForceEncap bool
	// Restart makes an initiator start again after the SA went down or an
	// attempt failed, after a pause that grows with each failure.
	Restart bool
	Tuning  Tuning
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
	// Cookies is what the machines of a process share, so that each demands
	// cookies while many attempts are half open at all of them together. A
	// machine also does while it has one half-open attempt itself. Nil means
	// one's own.
	Cookies *Cookies
	// Rand is read for SPIs, nonces, keys and fuzz. Nil means crypto/rand.
	// Only tests set it.
	Rand io.Reader
}

// withDefaults fills in what zero values mean.
func (c Config) withDefaults() Config {
	orDuration(&c.IKELifetime, 8*time.Hour)
	orDuration(&c.ChildLifetime, time.Hour)
	orDuration(&c.RekeyMargin, 270*time.Second)
	orDuration(&c.DPDInterval, 10*time.Second)
	orDuration(&c.DPDTimeout, 30*time.Second)
	orDuration(&c.NATKeepalive, 20*time.Second)
	orDuration(&c.Tuning.RetransmitFirst, time.Second)
	orDuration(&c.Tuning.RetransmitMax, 8*time.Second)
	orDuration(&c.Tuning.RetransmitTimeout, 30*time.Second)
	orDuration(&c.Tuning.RestartMax, 30*time.Second)
	if c.LocalID.IsZero() {
		c.LocalID = ike.IdentityOf(c.Local.Addr())
	}
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
	if c.Tuning.Cookies == nil {
		c.Tuning.Cookies = NewCookies(c.Tuning.Rand)
	}
	return c
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// check reports the first rule that c, with its defaults, breaks.
func (c Config) check() error {
	switch {
	case !c.Local.Addr().IsValid():
		return errors.New("field Local: an address and port are needed")
	case c.Initiator && (!c.Remote.IsValid() || c.Remote.Port() == 0):
		return fmt.Errorf("field Remote: %v: an initiator needs the peer's address and port", c.Remote)
	case c.PSK.IsZero():
		return errors.New("field PSK: empty; both ends need the same pre-shared key")
	case len(c.IKE) == 0:
		return errors.New("field IKE: no algorithms; give at least one suite")
	case len(c.ESP) == 0:
		return errors.New("field ESP: no algorithms; give at least one suite")
	case c.RekeyFuzz < 0 || c.RekeyFuzz > 100:
		return fmt.Errorf("field RekeyFuzz: %d: want 0 to 100 percent", c.RekeyFuzz)
	}
	for i, s := range c.IKE {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("field IKE[%d]: %w", i, err)
		}
	}
	for i, s := range c.ESP {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("field ESP[%d]: %w", i, err)
		}
	}
	return c.checkTimes()
}

func (c Config) checkTimes() error {
	lead := c.RekeyMargin + c.RekeyMargin*time.Duration(c.RekeyFuzz)/100
	for _, l := range []struct {
		field string
		value time.Duration
	}{{"IKELifetime", c.IKELifetime}, {"ChildLifetime", c.ChildLifetime}} {
		if l.value <= lead {
			return fmt.Errorf("field %s: %v: must be above RekeyMargin and its fuzz, %v; lower RekeyMargin or RekeyFuzz", l.field, l.value, lead)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"RekeyMargin", c.RekeyMargin}, {"DPDInterval", c.DPDInterval}, {"DPDTimeout", c.DPDTimeout},
		{"NATKeepalive", c.NATKeepalive}, {"RetransmitFirst", c.Tuning.RetransmitFirst}, {"RetransmitMax", c.Tuning.RetransmitMax},
		{"RetransmitTimeout", c.Tuning.RetransmitTimeout}, {"RestartMax", c.Tuning.RestartMax},
	} {
		if d.value < 0 {
			return fmt.Errorf("field %s: %v: must not be negative", d.field, d.value)
		}
	}
	return nil
}
