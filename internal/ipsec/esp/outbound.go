package esp

import (
	"crypto/aes"
	"crypto/rand"
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

	ivs  []byte // unused randomness, a tail of pool
	pool [ivReserve]byte

	ledger *Ledger // where last is noted too; may be nil
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
	return o, nil
}

// SPI is the SPI that sealed packets carry.
func (o *Outbound) SPI() uint32 { return o.spi }

// Sequence is the sequence number used last; 0 before the first packet. The
// owner rekeys before it nears 1<<32 on an SA without ESN. Any goroutine may
// call it.
func (o *Outbound) Sequence() uint64 { return o.last.Load() }

// padding is how many octets of padding an IP packet of n octets gets.
func (o *Outbound) padding(n int) int { return -(n + espTrailer) & (o.dims.block - 1) }

// randomIV fills iv with unpredictable octets, as RFC 3602 section 3 wants.
func (o *Outbound) randomIV(iv []byte) {
	if len(o.ivs) == 0 {
		rand.Read(o.pool[:]) // never fails: crypto/rand aborts the program instead
		o.ivs = o.pool[:]
	}
	copy(iv, o.ivs[:aes.BlockSize])
	o.ivs = o.ivs[aes.BlockSize:]
}
