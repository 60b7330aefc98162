package packet

import (
	"encoding/binary"
	"math/bits"
)

// Where vectors pay, and how much of them at once: what is in assembly cannot be
// interrupted.
const (
	wide    = 192
	maxWide = 1 << 20
)

// Sum adds the 16-bit words of b to the partial sum acc of the Internet
// checksum (RFC 1071); an odd last octet counts as the high half of a word.
// Only the last of several parts may be odd.
func Sum(b []byte, acc uint64) uint64 {
	// The sum does not mind which octet of a word is which, as long as it is put
	// right in the end (RFC 1071 section 2, byte order independence), nor how
	// wide a word is, as long as carries come round: eight octets are added at
	// once, as they stand.
	var sum, carry uint64
	for len(b) >= wide && canSumWide() {
		n := min(len(b), maxWide) &^ 31
		sum, carry = bits.Add64(sum, sumWide(b[:n]), carry)
		b = b[n:]
	}
	return acc + finish(b, sum, carry)
}

// CopySum copies src to dst, which must be as long at least and not overlap it,
// and is Sum of src meanwhile.
func CopySum(dst, src []byte, acc uint64) uint64 {
	dst = dst[:len(src)]
	var sum, carry uint64
	for len(src) >= wide && canSumWide() {
		n := min(len(src), maxWide) &^ 31
		sum, carry = bits.Add64(sum, copySumWide(&dst[0], src[:n]), carry)
		dst, src = dst[n:], src[n:]
	}
	copy(dst, src)
	return acc + finish(src, sum, carry)
}

// finish adds b to sum and carry, and is the 16 bits of all in network order.
func finish(b []byte, sum, carry uint64) uint64 {
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[24:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[32:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[40:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[48:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b[56:]), carry)
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) >= 4 {
		sum, carry = bits.Add64(sum, uint64(binary.LittleEndian.Uint32(b)), carry)
		b = b[4:]
	}
	var last uint64
	switch len(b) {
	case 3:
		last = uint64(binary.LittleEndian.Uint16(b)) | uint64(b[2])<<16
	case 2:
		last = uint64(binary.LittleEndian.Uint16(b))
	case 1:
		last = uint64(b[0])
	}
	sum, carry = bits.Add64(sum, last, carry)
	sum = sum&0xffffffff + sum>>32 + carry
	return uint64(bits.ReverseBytes16(^Fold(sum)))
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
