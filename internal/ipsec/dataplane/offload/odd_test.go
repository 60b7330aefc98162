package offload

import (
	"bytes"
	"encoding/binary"
	"testing"

	"seikan/internal/packet"
)

// inserted is an IP packet with extra octets after its IP header of n octets.
func inserted(p []byte, n int, extra ...byte) []byte {
	return append(append(bytes.Clone(p[:n]), extra...), p[n:]...)
}

// header4 changes the IP header of an IPv4 packet and makes its length and its
// checksum right.
func header4(p []byte, change func(p []byte)) []byte {
	change(p)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], slowChecksum(p[:int(p[0]&15)*4]))
	return p
}

// header6 puts a header of 8 octets, whose first says what follows, between the
// IPv6 header and the rest.
func header6(p []byte, proto byte, rest ...byte) []byte {
	p = inserted(p, 40, append([]byte{p[6]}, rest...)...)
	p[6] = proto
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
	return p
}

// unsummed is a datagram, after an IP header of n octets, without a checksum: one
// whose sum would be right with 0 there, as that of one in 65,535 is.
func unsummed(p []byte, n int) []byte {
	sum, data := p[n+6:n+8], p[n+8:n+10]
	word := uint32(binary.BigEndian.Uint16(sum)) + uint32(binary.BigEndian.Uint16(data))
	binary.BigEndian.PutUint16(data, uint16(word+word>>16))
	sum[0], sum[1] = 0, 0
	return p
}

// TestOddPacketsComeOutAsTheyWere has packets that are never joined follow each
// other, between two that could be: each is a frame of its own, in its place, the
// same to the octet.
func TestOddPacketsComeOutAsTheyWere(t *testing.T) {
	const ipv6Fragment, ipv6Options = 44, 60
	for what, change := range map[string]func(p []byte) []byte{
		"datagrams without a checksum": func(p []byte) []byte {
			if p[0]>>4 == 4 && p[9] == packet.ProtoUDP {
				return unsummed(p, 20)
			}
			if p[0]>>4 == 6 && p[6] == packet.ProtoUDP {
				return unsummed(p, 40)
			}
			return nil
		},
		"an option of IPv4": func(p []byte) []byte {
			if p[0]>>4 == 6 {
				return nil
			}
			return header4(inserted(p, 20, 1, 1, 1, 0), func(p []byte) { p[0] = 0x46 })
		},
		"a first fragment": func(p []byte) []byte {
			if p[0]>>4 == 6 {
				return header6(p, ipv6Fragment, 0, 0, 1, 0, 0, 0, 9)
			}
			return header4(p, func(p []byte) { p[6] = 0x20 })
		},
		"a later fragment": func(p []byte) []byte {
			if p[0]>>4 == 6 {
				return header6(p, ipv6Fragment, 0, 8, 0, 0, 0, 0, 9)
			}
			return header4(p, func(p []byte) { p[6], p[7] = 0, 100 })
		},
		"options of the destination in IPv6": func(p []byte) []byte {
			if p[0]>>4 == 4 {
				return nil
			}
			return header6(p, ipv6Options, 0, 1, 4, 0, 0, 0, 0)
		},
	} {
		tried := 0
		for _, f := range flows() {
			data, size := bytes.Repeat([]byte{1, 2, 3}, 211), uint32(633) // an odd number
			pkts := [][]byte{plain(f, 1, 100, ack, data)}
			for i := range uint32(2) {
				pkts = append(pkts, change(plain(f, uint16(2+i), 100+(1+i)*size, ack, data)))
			}
			pkts = append(pkts, plain(f, 4, 100+3*size, ack, data))
			if pkts[1] == nil {
				continue
			}
			tried++
			var got [][]byte
			frames := joined(t, pkts)
			for _, frame := range frames {
				got = append(got, cut(t, frame)...)
			}
			if len(frames) != len(pkts) {
				t.Errorf("%s, %s: got %d frames, want %d", what, name(f), len(frames), len(pkts))
			}
			same(t, got, pkts)
		}
		if tried == 0 {
			t.Errorf("%s: no flow has such packets", what)
		}
	}
}
