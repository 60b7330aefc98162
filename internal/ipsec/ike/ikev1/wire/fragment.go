package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// fragmentLast is the flag of a message's last fragment.
const fragmentLast = 1

// Fragment is a part of a message that is too long for one datagram. It stands
// alone behind a header of its own, in the clear; the parts together are the
// message with its header ([MS-IKEE] section 2.2.1; VendorFragmentation).
type Fragment struct {
	ID     uint16 // the same for all parts of one message
	Number uint8  // from 1
	Last   bool
	Data   []byte
}

// Kind is KindFragment.
func (*Fragment) Kind() Kind { return KindFragment }

func (p *Fragment) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, p.ID)
	return append(append(b, p.Number, more(p.Last, fragmentLast)), p.Data...)
}

func (p *Fragment) parse(b []byte) error {
	if len(b) <= 4 {
		return fmt.Errorf("fragment of %d octets: %w", len(b), ike.ErrShort)
	}
	if b[2] == 0 {
		return fmt.Errorf("fragment number 0: %w", ErrMalformed)
	}
	p.ID, p.Number, p.Last = binary.BigEndian.Uint16(b), b[2], b[3]&fragmentLast != 0
	p.Data = b[4:]
	return nil
}
