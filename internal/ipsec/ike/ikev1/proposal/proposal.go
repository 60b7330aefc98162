package proposal

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// addNew adds v to list unless it is there.
func addNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// An oddity is the first thing in a transform that keeps it from being chosen:
// what we do not know, or what it says twice. The zero value is none.
type oddity struct {
	kind uint8
	n    uint16 // attribute, or transform id
}

// Kinds of oddities.
const (
	oddID        = iota + 1 // a transform id that phase 1 does not have
	oddAttribute            // an attribute that we do not know
	oddTwice                // an attribute that is there already
	oddValue                // a value that an attribute cannot have
)

// note keeps the first oddity.
func (o *oddity) note(kind uint8, n uint16) {
	if o.kind == 0 {
		*o = oddity{kind, n}
	}
}

// once sets a field to n, which attribute a says, if it can be read.
func (o *oddity) once(field *uint64, a, n uint64, ok bool) {
	switch {
	case *field != 0:
		o.note(oddTwice, uint16(a))
	case !ok || n == 0:
		o.note(oddValue, uint16(a))
	}
	*field = n
}

// words is o in words, with the names of attributes; empty without one.
func (o oddity) words(names map[uint16]string) string {
	what := fmt.Sprintf("attribute %d", o.n)
	if name, ok := names[o.n]; ok {
		what += " (" + name + ")"
	}
	switch o.kind {
	case oddID:
		return fmt.Sprintf("an unknown transform id %d", o.n)
	case oddAttribute:
		return "an unknown " + what
	case oddTwice:
		return what + " twice"
	case oddValue:
		return "an unknown value of " + what
	}
	return ""
}

// lifetime is how a lifetime is written: in seconds, as four octets, which
// every peer reads, where two would end after 18 hours.
func lifetime(typeAttr, durationAttr uint16, d time.Duration) []wire.Attribute {
	seconds := uint32(min(max(d/time.Second, 1), 1<<32-1))
	return []wire.Attribute{
		wire.Basic(typeAttr, lifeSeconds),
		{Type: durationAttr, Value: binary.BigEndian.AppendUint32(nil, seconds)},
	}
}

// A life is what a transform says about lifetimes. Attributes come in pairs, a
// type and then a duration of it (RFC 2407 section 4.5).
type life struct {
	unit    uint64
	seconds uint64 // the first one of that unit; 0 without
}

// typed takes a life type and reports whether it makes sense.
func (l *life) typed(unit uint64) bool {
	l.unit = unit
	return unit == lifeSeconds || unit == lifeKilobytes
}

// lasts takes a duration. One without a type is in seconds, which is the
// default of neither RFC and what all mean. Zero says nothing: strongSwan sends
// it when it is told never to rekey.
func (l *life) lasts(n uint64) {
	if l.unit != lifeKilobytes && l.seconds == 0 {
		l.seconds = n
	}
}

// duration is the lifetime in seconds; zero when nothing was said. What does
// not fit is cut at 136 years.
func (l life) duration() time.Duration {
	return time.Duration(min(l.seconds, 1<<32-1)) * time.Second
}

// Units of lifetimes (RFC 2409 appendix A, RFC 2407 section 4.5).
const (
	lifeSeconds   = 1
	lifeKilobytes = 2
)

// single is the one transform of an answer; false when there are several
// (RFC 2408 section 4.2: the responder chooses one of one proposal).
func single(sa *wire.SA) (wire.Proposal, wire.Transform, bool) {
	if len(sa.Proposals) != 1 || len(sa.Proposals[0].Transforms) != 1 {
		return wire.Proposal{}, wire.Transform{}, false
	}
	return sa.Proposals[0], sa.Proposals[0].Transforms[0], true
}

// answer is p cut down to t, under spi. The attributes are those of the offer,
// octet by octet: a responder must not modify them (RFC 2409 section 5).
func answer(p wire.Proposal, t wire.Transform, spi []byte) *wire.SA {
	return &wire.SA{Proposals: []wire.Proposal{{
		Number: p.Number, Protocol: p.Protocol, SPI: spi, Transforms: []wire.Transform{t},
	}}}
}

// A candidate is a transform of an offer, read.
type candidate[T any] struct {
	proposal  wire.Proposal
	transform wire.Transform
	terms     T
}

// candidates are the transforms of those of sa's proposals that fit and may be
// chosen by themselves: proposals of the same number mean all of them
// together, such as AH and ESP (RFC 2408 section 4.2).
func candidates[T any](sa *wire.SA, read func(wire.Transform) T, fits func(wire.Proposal) bool) []candidate[T] {
	var count [256]int
	for _, p := range sa.Proposals {
		count[p.Number]++
	}
	var out []candidate[T]
	for _, p := range sa.Proposals {
		if count[p.Number] != 1 || !fits(p) {
			continue
		}
		for _, t := range p.Transforms {
			out = append(out, candidate[T]{p, t, read(t)})
		}
	}
	return out
}

// hashes are the hash algorithms that IKEv1 and a suite name differently: in
// phase 1 one value is PRF and integrity (IANA "Hash Algorithm"), in phase 2
// it is the Authentication Algorithm.
var hashes = []struct {
	phase1, phase2 uint16
	integ          suite.Integ
}{
	{2, 2, suite.IntegSHA1},
	{4, 5, suite.IntegSHA256},
	{5, 6, suite.IntegSHA384},
	{6, 7, suite.IntegSHA512},
}
