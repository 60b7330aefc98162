package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// fragmentLast is the flag of a message's last fragment.
const fragmentLast = 1

// fragmentOverhead is what a fragment has before its data, in octets: the
// header, the generic header, and its own fields.
const fragmentOverhead = ike.HeaderLen + 4 + 4

// Fragment is a part of a message that is too long for one datagram. It stands
// alone behind a header of its own, in the clear; the parts together are the
// message with its header ([MS-IKEE] section 2.2.3.1; VendorFragmentation).
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

// Split cuts the message whole, whose header is h, into messages of at most
// size octets, each with one fragment of the given id. It fails when that takes
// more fragments than a peer need accept. The headers are those that strongSwan
// writes: main mode, message id 0, no flags.
func Split(h ike.Header, id uint16, whole []byte, size int) ([][]byte, error) {
	room := size - fragmentOverhead
	if room < 1 || (len(whole)+room-1)/room > maxFragments {
		return nil, fmt.Errorf("fragment %s of %d octets into messages of %d: more than %d", ExchangeName(h.Exchange), len(whole), size, maxFragments)
	}
	var out [][]byte
	for at := 0; at < len(whole); at += room {
		end := min(at+room, len(whole))
		m := Message{
			Header: ike.Header{SPIi: h.SPIi, SPIr: h.SPIr, Version: Version, Exchange: MainMode},
			Chain:  Chain{Payloads: []Payload{&Fragment{ID: id, Number: uint8(len(out) + 1), Last: end == len(whole), Data: whole[at:end]}}},
		}
		out = append(out, m.Append(nil))
	}
	return out, nil
}
