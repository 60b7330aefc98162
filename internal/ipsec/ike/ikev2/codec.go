package ikev2

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/secret"
)

// ErrState is inside every error of Restore: what it was given is not the
// state of a machine that can go on.
var ErrState = errors.New("kept state cannot be used")

// Bounds of what a kept state holds; a machine never has more.
const (
	maxKeptOctets = 1 << 16 // of one message, nonce or key
	maxKeptItems  = 256     // of one list
)

// A codec writes state or reads it: the same calls do both, so that the two
// cannot disagree. Numbers have eight octets, lengths come first, and there is
// one way to write each thing. Nothing is ever skipped: another version of the
// format has another number.
type codec struct {
	b       []byte // written so far, or still to be read
	reading bool
	err     error // the first
}

// fail keeps the first error.
func (c *codec) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
	}
}

// put writes b. Where the buffer must grow nothing is left behind in the old
// one: there are keys in it.
func (c *codec) put(b []byte) {
	if len(c.b)+len(b) > cap(c.b) {
		old := c.b
		c.b = append(make([]byte, 0, 2*(len(old)+len(b)+minCodec)), old...)
		clear(old)
	}
	c.b = append(c.b, b...)
}

// minCodec is half of what a codec begins with, in octets.
const minCodec = 1024

// word codes eight octets.
func (c *codec) word(v *uint64) {
	switch {
	case !c.reading:
		var w [8]byte
		binary.BigEndian.PutUint64(w[:], *v)
		c.put(w[:])
	case len(c.b) < 8:
		c.fail("cut short")
		*v, c.b = 0, nil
	default:
		*v, c.b = binary.BigEndian.Uint64(c.b), c.b[8:]
	}
}

// whole is what has a number.
type whole interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int | ~int64
}

// number codes a number that is not negative.
func number[T whole](c *codec, v *T) {
	w := uint64(*v)
	c.word(&w)
	if *v = T(w); uint64(*v) != w || *v < 0 {
		c.fail("number %d is too large for its field", w)
		*v = 0
	}
}

// flag codes a truth.
func (c *codec) flag(v *bool) {
	var w uint8
	if *v {
		w = 1
	}
	number(c, &w)
	if w > 1 {
		c.fail("flag is %d", w)
	}
	*v = w == 1
}

// count codes how many of something there are.
func (c *codec) count(n, most int) int {
	number(c, &n)
	if n > most {
		c.fail("%d of what there are at most %d", n, most)
		return 0
	}
	if c.err != nil {
		return 0
	}
	return n
}

// octets codes a slice; nil stays nil.
func (c *codec) octets(v *[]byte) {
	n := 0
	if *v != nil {
		n = len(*v) + 1
	}
	switch n = c.count(n, maxKeptOctets); {
	case !c.reading && n > 0:
		c.put(*v)
	case !c.reading:
	case n == 0:
		*v = nil
	case len(c.b) < n-1:
		c.fail("cut short")
	default:
		*v, c.b = append([]byte{}, c.b[:n-1]...), c.b[n-1:]
	}
}

// datagrams codes the datagrams of one message; nil stays nil.
func (c *codec) datagrams(v *[][]byte) {
	n := c.count(len(*v), maxKeptItems)
	if c.reading {
		*v = make([][]byte, n)
	}
	for i := range *v {
		if c.octets(&(*v)[i]); len((*v)[i]) == 0 {
			c.fail("datagram without content")
		}
	}
	if n == 0 {
		*v = nil
	}
}

// digest codes a digest.
func (c *codec) digest(v *[sha256.Size]byte) {
	b := v[:]
	c.octets(&b)
	if copy(v[:], b) != len(v) || len(b) != len(v) {
		c.fail("digest of %d octets", len(b))
	}
}

// text codes a string.
func (c *codec) text(v *string) {
	b := []byte(*v)
	if c.octets(&b); b == nil {
		c.fail("text is missing")
	}
	*v = string(b)
}

// hidden codes a key.
func (c *codec) hidden(v *secret.Secret) {
	b := v.Reveal()
	if c.octets(&b); b != nil && len(b) == 0 {
		c.fail("key without content")
	}
	if c.reading {
		*v = secret.New(b)
		clear(b)
	}
}

// when codes a time to the nanosecond, in UTC; zero stays zero.
func (c *codec) when(v *time.Time) {
	var w int64
	if !v.IsZero() {
		w = v.UnixNano()
	}
	number(c, &w)
	if *v = time.Unix(0, w).UTC(); w == 0 {
		*v = time.Time{}
	}
}

// addr codes an address; the zero one stays zero.
func (c *codec) addr(v *netip.Addr) {
	b := v.AsSlice()
	c.octets(&b)
	if !c.reading {
		return
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok && b != nil || a.Is4In6() {
		c.fail("address of %d octets", len(b))
	}
	*v = a
}

// addrPort codes an address with its port.
func (c *codec) addrPort(v *netip.AddrPort) {
	a, port := v.Addr().Unmap(), v.Port()
	c.addr(&a)
	number(c, &port)
	*v = netip.AddrPortFrom(a, port)
}

// Refs to what is no longer in a list, but was, are told from none.
const (
	refNone = 0
	refGone = 1
	refList = 2 // and its index
)

// ref codes a pointer to something in list; gone stands for what is not in it
// any more, nil where nobody reads that.
func ref[T any](c *codec, list []*T, v **T, gone *T) {
	w := uint64(refNone)
	if *v != nil {
		w = refGone
		for i, x := range list {
			if x == *v {
				w = uint64(refList + i)
			}
		}
	}
	c.word(&w)
	switch {
	case w == refNone:
		*v = nil
	case w == refGone && gone == nil && c.reading:
		c.fail("what must be there is gone")
	case w == refGone:
		*v = gone
	case w-refList < uint64(len(list)):
		*v = list[w-refList]
	default:
		c.fail("item %d of %d", w-refList, len(list))
	}
}

// codeSelectors codes a list of traffic selectors.
func codeSelectors(c *codec, list *[]ike.Selector) {
	n := c.count(len(*list), maxSelectors)
	if c.reading {
		*list = make([]ike.Selector, n)
	}
	for i := range *list {
		s := &(*list)[i]
		number(c, &s.Protocol)
		number(c, &s.StartPort)
		number(c, &s.EndPort)
		c.addr(&s.Start)
		c.addr(&s.End)
	}
}
