package packet

import "encoding/binary"

// Fragments cuts one IPv4 packet into fragments, one at a time (RFC 791 section
// 3.2). The zero value has none.
type Fragments struct {
	pkt    IPv4
	header [60]byte // of the fragments after the first
	hdrLen int
	mtu    int
	at     int // octets of payload already cut
}

// NewFragments returns the fragments of pkt for a link of mtu octets. DF is
// not looked at, but carried on: see ClearDF. ok is false when mtu has no room
// for the header and eight octets, and when pkt is itself a fragment that ends
// beyond the largest packet, as no honest one does. pkt must stay as it is
// until the last fragment is cut.
func NewFragments(pkt IPv4, mtu int) (f Fragments, ok bool) {
	if mtu < pkt.HeaderLen()+8 || pkt.FragmentOffset()+len(pkt) > 0xffff {
		return Fragments{}, false
	}
	f = Fragments{pkt: pkt, mtu: mtu}
	f.hdrLen = laterHeader(f.header[:], pkt[:pkt.HeaderLen()])
	return f, true
}

// Next writes the next fragment to b, which must have room for mtu octets, and
// returns its length; 0 when there is no more.
func (f *Fragments) Next(b []byte) int {
	if f.pkt == nil || f.at >= len(f.pkt.Payload()) {
		return 0
	}
	payload := f.pkt.Payload()
	hdr := f.header[:f.hdrLen]
	if f.at == 0 {
		hdr = f.pkt[:f.pkt.HeaderLen()]
	}
	n := min(len(payload)-f.at, f.mtu-len(hdr))
	last := f.at+n == len(payload)
	if !last {
		n &^= 7 // offsets count in eights
	}
	copy(b, hdr)
	copy(b[len(hdr):], payload[f.at:f.at+n])
	out := IPv4(b[:len(hdr)+n])
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	flags := f.pkt.flags()&^0x1fff | uint16((f.pkt.FragmentOffset()+f.at)/8)
	if !last {
		flags |= flagMF // the last one keeps that of pkt, itself perhaps a fragment
	}
	binary.BigEndian.PutUint16(out[6:], flags)
	out.SetChecksum()
	f.at += n
	return len(out)
}

// laterHeader writes to dst the header hdr with only those options that are
// copied into every fragment (RFC 791 section 3.1, the copied flag) and returns
// its length.
func laterHeader(dst, hdr []byte) int {
	n := copy(dst, hdr[:ipv4Min])
	opts := hdr[ipv4Min:]
	for len(opts) > 0 && opts[0] != 0 {
		k := 1
		if opts[0] != 1 { // a no-operation is one octet and only pads
			if len(opts) < 2 || opts[1] < 2 || int(opts[1]) > len(opts) {
				break // what follows cannot be read, so it is not repeated
			}
			k = int(opts[1])
		}
		if opts[0]&0x80 != 0 {
			n += copy(dst[n:], opts[:k])
		}
		opts = opts[k:]
	}
	for ; n%4 != 0; n++ {
		dst[n] = 0
	}
	dst[0] = 0x40 | byte(n/4)
	return n
}
