// Package offload cuts the large frames that a TUN hands over into packets, and
// joins packets into such frames: what a network card would do, and the kernel
// does for one that cannot (TSO, USO and GRO).
//
// A Splitter cuts; a Joiner joins, and only what cuts into the very packets it
// was made of. A Header is what stands before each frame. The package does no
// I/O, logs nothing and, once its buffers have grown, allocates nothing. A
// Splitter and a Joiner are each used by one goroutine at a time. Package tun
// moves frames, dataplane calls.
package offload

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length of a Header in octets: struct virtio_net_hdr of
// linux/virtio_net.h.
const HeaderLen = 10

// A GSO says of which packets a frame consists.
type GSO uint8

// The kinds of frames, as VIRTIO_NET_HDR_GSO_* of linux/virtio_net.h.
const (
	None  GSO = 0 // one packet
	TCPv4 GSO = 1
	TCPv6 GSO = 4
	UDP   GSO = 5 // VIRTIO_NET_HDR_GSO_UDP_L4, of either version of IP
)

// A Header stands before a frame.
type Header struct {
	// NeedsChecksum says that the transport checksum has only the sum of the
	// pseudo header yet. It stands ChecksumAt octets behind ChecksumFrom.
	NeedsChecksum            bool
	ChecksumFrom, ChecksumAt uint16

	GSO        GSO
	HeadersLen uint16 // of IP and transport, a hint
	Size       uint16 // octets of payload in each packet but the last; 0 for None
}

const (
	needsChecksum = 1    // VIRTIO_NET_HDR_F_NEEDS_CSUM
	gsoECN        = 0x80 // VIRTIO_NET_HDR_GSO_ECN: of TCP, the first packet may have CWR
)

// ErrFrame says that a frame is not what its header says.
var ErrFrame = errors.New("offload: a frame that is not what its header says")

// parseHeader reads the header that frame begins with.
func parseHeader(frame []byte) (h Header, packet []byte, err error) {
	if len(frame) < HeaderLen {
		return h, nil, ErrFrame
	}
	h = Header{
		NeedsChecksum: frame[0]&needsChecksum != 0,
		GSO:           GSO(frame[1] &^ gsoECN),
		HeadersLen:    binary.NativeEndian.Uint16(frame[2:]),
		Size:          binary.NativeEndian.Uint16(frame[4:]),
		ChecksumFrom:  binary.NativeEndian.Uint16(frame[6:]),
		ChecksumAt:    binary.NativeEndian.Uint16(frame[8:]),
	}
	return h, frame[HeaderLen:], nil
}

// Put writes h to b, which has room for HeaderLen octets.
func (h Header) Put(b []byte) {
	b[0], b[1] = 0, byte(h.GSO)
	if h.NeedsChecksum {
		b[0] = needsChecksum
	}
	binary.NativeEndian.PutUint16(b[2:], h.HeadersLen)
	binary.NativeEndian.PutUint16(b[4:], h.Size)
	binary.NativeEndian.PutUint16(b[6:], h.ChecksumFrom)
	binary.NativeEndian.PutUint16(b[8:], h.ChecksumAt)
}
