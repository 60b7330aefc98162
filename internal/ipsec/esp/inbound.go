package esp

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"seikan/internal/ipsec/esp/lanes"
	"seikan/internal/ipsec/ike"
)

// Next headers (RFC 4303 section 2.6).
const (
	protoIPv4  = 4
	protoIPv6  = 41
	protoDummy = 59
)

// An Inbound opens packets of one SA. One goroutine at a time may use it, but
// for Failures.
type Inbound struct {
	*transform
	spi    uint32
	window window
	fails  failures
	ledger *Ledger // where the window's top is noted too; may be nil
}

// Failures counts the packets that Open refused, by cause.
type Failures struct {
	Malformed  uint64 // ErrMalformed
	Replay     uint64 // ErrReplay
	Auth       uint64 // ErrAuth
	Padding    uint64 // ErrPadding
	NextHeader uint64 // ErrNextHeader
	Dummy      uint64 // ErrDummy: not a failure, but nothing was delivered
}

type failures struct {
	malformed, replay, auth, padding, nextHeader, dummy atomic.Uint64
}

// NewInbound returns the opening side of sa. window is the size of the replay
// window in packets, MinWindow to MaxWindow, or 0 for DefaultWindow.
func NewInbound(sa *ike.ChildSA, window int) (*Inbound, error) {
	if window == 0 {
		window = DefaultWindow
	}
	if window < MinWindow || window > MaxWindow {
		return nil, fmt.Errorf("inbound SA %08x: esp: replay window %d: want %d to %d", sa.SPIIn, window, MinWindow, MaxWindow)
	}
	t, err := newTransform(sa.Suite, sa.KeysIn)
	if err != nil {
		return nil, fmt.Errorf("inbound SA %08x: %w", sa.SPIIn, err)
	}
	in := &Inbound{transform: t, spi: sa.SPIIn}
	in.window.size, in.window.esn = uint64(window), t.esn
	return in, nil
}

// SPI is the SPI that the SA's packets carry.
func (in *Inbound) SPI() uint32 { return in.spi }

// Failures returns the counts so far. Any goroutine may call it.
func (in *Inbound) Failures() Failures {
	return Failures{
		Malformed:  in.fails.malformed.Load(),
		Replay:     in.fails.replay.Load(),
		Auth:       in.fails.auth.Load(),
		Padding:    in.fails.padding.Load(),
		NextHeader: in.fails.nextHeader.Load(),
		Dummy:      in.fails.dummy.Load(),
	}
}

// Open checks pkt, which begins with the SPI, and returns the IP packet
// inside, without padding of any kind. It is written to dst[:0], whose
// capacity must be at least len(pkt) and which must not overlap pkt, or over
// pkt itself when dst is nil; the content of pkt may then be lost also on
// error. Each error, one of this package's, is counted.
//
// The replay window is asked before and moved after authentication (RFC 4303
// section 3.4.3), so that a forged packet can neither move it nor cost a
// decryption when it repeats a number.
func (in *Inbound) Open(dst, pkt []byte) ([]byte, error) {
	defer in.note(in.window.top)
	return in.open(dst, pkt)
}

// open is Open, which the ledger is not told of.
func (in *Inbound) open(dst, pkt []byte) ([]byte, error) {
	seq, err := in.admit(pkt)
	if err != nil {
		return nil, err
	}
	if dst == nil {
		dst = pkt[espHeader+in.iv:]
	}
	if cap(dst) < len(pkt)-espHeader-in.iv-in.icv {
		in.fails.malformed.Add(1)
		return nil, ErrMalformed
	}
	plain, ok := in.decrypt(dst[:0], pkt, seq)
	return in.deliver(plain, ok, seq)
}

// check says whether pkt may be the SA's before it is authentic, by length, SPI
// and replay window, and which sequence number it then has, which is not 0. It
// changes and counts nothing.
func (in *Inbound) check(pkt []byte) (seq uint64, err error) {
	body := len(pkt) - espHeader - in.iv - in.icv
	if body < in.dims.block || in.cbc != nil && body%aes.BlockSize != 0 || binary.BigEndian.Uint32(pkt) != in.spi {
		return 0, ErrMalformed
	}
	seq, ok := in.window.sequence(binary.BigEndian.Uint32(pkt[4:]))
	if !ok || !in.window.fresh(seq) {
		return 0, ErrReplay
	}
	return seq, nil
}

// admit is check, and counts.
func (in *Inbound) admit(pkt []byte) (seq uint64, err error) {
	seq, err = in.check(pkt)
	switch err {
	case ErrMalformed:
		in.fails.malformed.Add(1)
	case ErrReplay:
		in.fails.replay.Add(1)
	}
	return seq, err
}

// deliver marks number seq as seen and returns the packet inside plain, unless
// the ICV was wrong.
func (in *Inbound) deliver(plain []byte, authentic bool, seq uint64) ([]byte, error) {
	if !authentic {
		in.fails.auth.Add(1)
		return nil, ErrAuth
	}
	in.window.accept(seq)
	return in.strip(plain)
}

// note tells the ledger where the window is, which was at top before: once for
// all packets that are delivered together.
func (in *Inbound) note(top uint64) {
	if in.ledger != nil && in.window.top != top {
		in.ledger.Taken.Store(in.window.top)
	}
}

// decrypt authenticates pkt as number seq and decrypts it to dst[:0], whose
// capacity suffices. ok is false when the ICV is wrong.
func (in *Inbound) decrypt(dst, pkt []byte, seq uint64) (plain []byte, ok bool) {
	if in.aead != nil {
		copy(in.nonce[saltLen:], pkt[espHeader:espHeader+in.iv])
		plain, err := in.aead.Open(dst, in.nonce[:], pkt[espHeader+in.iv:], in.gcmAAD(pkt, seq))
		return plain, err == nil
	}
	var job [1]lanes.Job
	in.toSign(&job[0], pkt, seq)
	in.sign(job[:])
	return in.decryptSigned(dst, pkt, &job[0])
}

// decryptSigned decrypts a packet of AES-CBC to dst[:0] if its ICV is what j
// says. The ICV comes first: nothing may depend on what an unauthentic packet
// decrypts to.
func (in *Inbound) decryptSigned(dst, pkt []byte, j *lanes.Job) (plain []byte, ok bool) {
	end := len(pkt) - in.icv
	if subtle.ConstantTimeCompare(j.Sum[:in.icv], pkt[end:]) != 1 {
		return nil, false
	}
	plain = dst[:end-espHeader-in.iv]
	in.cbc.Decrypt(plain, pkt[espHeader:end])
	return plain, true
}

// strip removes trailer, padding and traffic flow padding (RFC 4303 sections
// 2.4 to 2.7) from authentic content.
func (in *Inbound) strip(plain []byte) ([]byte, error) {
	n := len(plain) - espTrailer
	pad, next := int(plain[n]), plain[n+1]
	if pad > n {
		in.fails.padding.Add(1)
		return nil, ErrPadding
	}
	for i, b := range plain[n-pad : n] {
		if int(b) != i+1 {
			in.fails.padding.Add(1)
			return nil, ErrPadding
		}
	}
	if next == protoDummy {
		in.fails.dummy.Add(1)
		return nil, ErrDummy
	}
	inner, ok := innerPacket(plain[:n-pad], next)
	if !ok {
		in.fails.nextHeader.Add(1)
		return nil, ErrNextHeader
	}
	return inner, nil
}

// innerPacket cuts b to the length that the IP header in it states: what
// follows is traffic flow confidentiality padding (RFC 4303 section 2.7).
func innerPacket(b []byte, next byte) ([]byte, bool) {
	var n int
	switch {
	case next == protoIPv4 && len(b) >= 20 && b[0]>>4 == 4:
		n = int(binary.BigEndian.Uint16(b[2:]))
		if n < int(b[0]&15)*4 || n < 20 {
			return nil, false
		}
	case next == protoIPv6 && len(b) >= 40 && b[0]>>4 == 6:
		n = 40 + int(binary.BigEndian.Uint16(b[4:]))
	default:
		return nil, false
	}
	if n > len(b) {
		return nil, false
	}
	return b[:n], true
}
