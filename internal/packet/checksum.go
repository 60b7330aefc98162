package packet

import "encoding/binary"

// Sum adds the 16-bit words of b to the partial sum acc of the Internet
// checksum (RFC 1071); an odd last octet counts as the high half of a word.
// Only the last of several parts may be odd.
func Sum(b []byte, acc uint64) uint64 {
	for len(b) >= 8 {
		v := binary.BigEndian.Uint64(b)
		acc += v>>32 + v&0xffffffff // cannot overflow: 1<<32 rounds would be needed
		b = b[8:]
	}
	for len(b) >= 2 {
		acc += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

// Fold makes the checksum of a partial sum: folded to 16 bits and complemented.
func Fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return ^uint16(acc)
}

// Checksum is the Internet checksum of b (RFC 1071).
func Checksum(b []byte) uint16 { return Fold(Sum(b, 0)) }

// Adjust is the checksum sum after a 16-bit word that it covers changed from
// one value to another (RFC 1624 equation 3).
func Adjust(sum, from, to uint16) uint16 {
	return Fold(uint64(^sum) + uint64(^from) + uint64(to))
}

// pseudo is the partial sum of the pseudo header of src and dst, each 4 or 16
// octets, for n octets of protocol proto (RFC 9293 section 3.1, RFC 8200
// section 8.1).
func pseudo(src, dst []byte, proto uint8, n int) uint64 {
	return Sum(dst, Sum(src, uint64(proto)+uint64(n)))
}
