package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"seikan/internal/ipsec/ike"
)

// ivReserve is how many octets of randomness for IVs are drawn at once.
const ivReserve = 64 * aes.BlockSize

// An Outbound seals packets for one SA. One goroutine at a time may use it,
// but for Sequence.
type Outbound struct {
	*transform
	spi  uint32
	last atomic.Uint64 // the sequence number used last
	max  uint64        // the last one that may be used

	enc  ivSetter // AES-CBC
	ivs  []byte   // unused randomness, a tail of pool
	pool [ivReserve]byte

	ledger *Ledger // where last is noted too; may be nil
}

// An ivSetter is a BlockMode that can be given the next IV, as those of
// crypto/cipher can: so a packet costs no new BlockMode.
type ivSetter interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// NewOutbound returns the sealing side of sa. An error says which part of the
// suite or which key length is wrong.
func NewOutbound(sa *ike.ChildSA) (*Outbound, error) {
	t, err := newTransform(sa.Suite, sa.KeysOut)
	if err != nil {
		return nil, fmt.Errorf("outbound SA %08x: %w", sa.SPIOut, err)
	}
	o := &Outbound{transform: t, spi: sa.SPIOut, max: 1<<32 - 1}
	if t.esn {
		o.max = 1<<64 - 1
	}
	if t.mac != nil {
		m, ok := cipher.NewCBCEncrypter(t.block, make([]byte, aes.BlockSize)).(ivSetter)
		if !ok {
			return nil, fmt.Errorf("outbound SA %08x: esp: this Go's CBC mode has no SetIV", sa.SPIOut)
		}
		o.enc = m
	}
	return o, nil
}

// SPI is the SPI that sealed packets carry.
func (o *Outbound) SPI() uint32 { return o.spi }

// Sequence is the sequence number used last; 0 before the first packet. The
// owner rekeys before it nears 1<<32 on an SA without ESN. Any goroutine may
// call it.
func (o *Outbound) Sequence() uint64 { return o.last.Load() }

// Seal makes an ESP packet of the IP packet buf[off:off+n], in place, and
// returns it: a part of buf that begins up to HeaderLen before off. It needs
// off ≥ HeaderLen and TrailerLen octets after the packet within len(buf). The
// errors are ErrExhausted, ErrRoom and ErrNotIP; no sequence number is spent
// on them.
func (o *Outbound) Seal(buf []byte, off, n int) ([]byte, error) {
	if off < HeaderLen || n < 0 || len(buf)-off-TrailerLen < n {
		return nil, ErrRoom
	}
	if n == 0 {
		return nil, ErrNotIP
	}
	next, ok := nextHeader(buf[off:])
	if !ok {
		return nil, ErrNotIP
	}
	start := off - o.Prefix()
	pkt := buf[start : start+o.SealedLen(n)]
	if err := o.seal(pkt, n, next); err != nil {
		return nil, err
	}
	return pkt, nil
}

// padding is how many octets of padding an IP packet of n octets gets.
func (o *Outbound) padding(n int) int { return -(n + espTrailer) & (o.dims.block - 1) }

// seal makes pkt, which has the length of the whole, the ESP packet of the n
// octets at Prefix.
func (o *Outbound) seal(pkt []byte, n int, next byte) error {
	seq := o.last.Load()
	// "[...] the transmitter ... MUST NOT send a packet on an SA if doing so
	// would cause the sequence number to cycle."
	// https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
	if seq == o.max {
		return ErrExhausted
	}
	seq++
	o.last.Store(seq)
	if o.ledger != nil {
		o.ledger.Sent.Store(seq)
	}

	end := len(pkt) - o.icv
	pad := pkt[o.Prefix()+n : end-espTrailer]
	for i := range pad {
		pad[i] = byte(i + 1)
	}
	pkt[end-2], pkt[end-1] = byte(len(pad)), next
	binary.BigEndian.PutUint32(pkt, o.spi)
	binary.BigEndian.PutUint32(pkt[4:], uint32(seq))
	iv, body := pkt[espHeader:o.Prefix()], pkt[o.Prefix():end]
	if o.aead != nil {
		// A counter never repeats under one key, which is all that GCM asks of
		// an IV (RFC 4106 section 3.1).
		binary.BigEndian.PutUint64(iv, seq)
		copy(o.nonce[saltLen:], iv)
		o.aead.Seal(body[:0], o.nonce[:], body, o.gcmAAD(pkt, seq))
		return nil
	}
	o.randomIV(iv)
	o.enc.SetIV(iv)
	o.enc.CryptBlocks(body, body)
	copy(pkt[end:], o.icvOf(pkt[:end], seq))
	return nil
}

// randomIV fills iv with unpredictable octets, as RFC 3602 section 3 wants.
func (o *Outbound) randomIV(iv []byte) {
	if len(o.ivs) == 0 {
		rand.Read(o.pool[:]) // never fails: crypto/rand aborts the program instead
		o.ivs = o.pool[:]
	}
	copy(iv, o.ivs[:aes.BlockSize])
	o.ivs = o.ivs[aes.BlockSize:]
}
