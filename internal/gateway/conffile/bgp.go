package conffile

import (
	"fmt"
	"strconv"

	"seikan/internal/gateway"
)

// DefaultMaxPrefixes is the most that AWS announces, a transit gateway's (vpn
// §4.5).
const DefaultMaxPrefixes = 5000

// rawBGP is what all BGP sessions have in common.
type rawBGP struct {
	ASN           text   `yaml:"asn,omitempty"`
	RouterID      text   `yaml:"router_id,omitempty"`
	Announce      []text `yaml:"announce,omitempty,flow"`
	AcceptDefault bool   `yaml:"accept_default,omitempty"`
}

// rawSession is a tunnel's BGP session.
type rawSession struct {
	PeerASN     text `yaml:"peer_asn,omitempty"`
	Hold        text `yaml:"hold_time,omitempty"`
	Keepalive   text `yaml:"keepalive,omitempty"`
	MaxPrefixes *int `yaml:"max_prefixes,omitempty"`
	MED         text `yaml:"med,omitempty"`
	Prepend     int  `yaml:"prepend,omitempty"`

	BFD rawBFD `yaml:"bfd,omitempty"`
}

// rawBFD is how its path is watched.
type rawBFD struct {
	Interval   text `yaml:"interval,omitempty"`
	Multiplier int  `yaml:"multiplier,omitempty"`
}

// defaultBFDMultiplier is the usual one of RFC 5880's speakers.
const defaultBFDMultiplier = 3

// parse reads the block bfd; one without an interval is a mistake.
func (rb rawBFD) parse() (out gateway.BFD, err error) {
	if rb == (rawBFD{}) {
		return out, nil
	}
	if rb.Interval.value == "" {
		return out, fmt.Errorf("bgp.bfd.interval: missing; it is how often each end is heard, such as 300ms")
	}
	out.Multiplier = defaultBFDMultiplier
	if rb.Multiplier != 0 {
		out.Multiplier = rb.Multiplier
	}
	out.Interval, err = rb.Interval.duration("bgp.bfd.interval")
	return out, err
}

// parse reads the block bgp of the file.
func (rb rawBGP) parse() (out gateway.BGP, err error) {
	if out.ASN, err = rb.ASN.asn("bgp.asn"); err != nil {
		return out, err
	}
	if rb.RouterID.value != "" {
		if out.RouterID, err = rb.RouterID.addr("bgp.router_id", false); err != nil {
			return out, err
		}
		if !out.RouterID.Is4() {
			return out, rb.RouterID.errorf("bgp.router_id", "%q is not an IPv4 address", rb.RouterID.value)
		}
	}
	for _, a := range rb.Announce {
		p, err := a.prefix("bgp.announce")
		if err != nil {
			return out, err
		}
		out.Announce = append(out.Announce, p)
	}
	out.AcceptDefault = rb.AcceptDefault
	return out, nil
}

// session reads the block bgp of a tunnel.
func (rt rawTunnel) session(t *gateway.Tunnel) (err error) {
	in, out := rt.BGP, &t.BGP
	if in == (rawSession{}) {
		return nil
	}
	if in.PeerASN.value == "" {
		return fmt.Errorf("bgp.peer_asn: missing; it is the ASN of the tunnel's other end, AWS's 64512 unless another was chosen")
	}
	if out.PeerASN, err = in.PeerASN.asn("bgp.peer_asn"); err != nil {
		return err
	}
	if out.Hold, err = in.Hold.duration("bgp.hold_time"); err != nil {
		return err
	}
	if out.Keepalive, err = in.Keepalive.duration("bgp.keepalive"); err != nil {
		return err
	}
	out.MaxPrefixes = DefaultMaxPrefixes
	if in.MaxPrefixes != nil {
		out.MaxPrefixes = *in.MaxPrefixes
	}
	out.Prepend = in.Prepend
	if out.BFD, err = in.BFD.parse(); err != nil {
		return err
	}
	out.MED, err = in.MED.number("bgp.med", "0 to 4294967295, 0 to send none")
	return err
}

// asn reads an autonomous system number; none is 0.
func (t text) asn(field string) (uint32, error) {
	const rule = "an autonomous system number, 1 to 4294967295"
	n, err := t.number(field, rule)
	if err == nil && n == 0 && t.value != "" {
		return 0, t.errorf(field, "%q is not %s", t.value, rule)
	}
	return n, err
}

// number reads a number of 32 bits; none is 0.
func (t text) number(field, rule string) (uint32, error) {
	if t.value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(t.value, 10, 32)
	if err != nil {
		return 0, t.errorf(field, "%q is not %s", t.value, rule)
	}
	return uint32(n), nil
}

// bgpText and sessionText write them.
func bgpText(b gateway.BGP) rawBGP {
	return rawBGP{ASN: numberText(b.ASN), RouterID: addr(b.RouterID), Announce: prefixTexts(b.Announce), AcceptDefault: b.AcceptDefault}
}

func sessionText(s gateway.Session) rawSession {
	if s == (gateway.Session{}) {
		return rawSession{}
	}
	return rawSession{
		PeerASN: numberText(s.PeerASN), Hold: duration(s.Hold), Keepalive: duration(s.Keepalive),
		MaxPrefixes: &s.MaxPrefixes, MED: numberText(s.MED), Prepend: s.Prepend,
		BFD: rawBFD{Interval: duration(s.BFD.Interval), Multiplier: s.BFD.Multiplier},
	}
}

func numberText(n uint32) text {
	if n == 0 {
		return text{}
	}
	return digits(uint64(n))
}
