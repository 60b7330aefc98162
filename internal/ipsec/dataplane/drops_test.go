package dataplane

import (
	"bytes"
	"encoding/binary"
	"testing"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/ike"
	"seikan/internal/packet"
)

// A frameDevice reads one frame, again and again.
type frameDevice struct {
	cannedDevice
	frame []byte
	read  bool
}

func (d *frameDevice) Read(b []byte) (int, error) {
	d.read = !d.read
	if !d.read {
		return 0, tun.ErrEmpty
	}
	return copy(b, d.frame), nil
}

// trainOf is a frame of n UDP datagrams of 100 octets of payload.
func trainOf(n int) []byte {
	pkt := datagram4(left4, right4, 28+100*n, 1)
	binary.BigEndian.PutUint16(pkt[24:], uint16(8+100*n))
	packet.IPv4(pkt).SetChecksum()
	frame := make([]byte, offload.HeaderLen)
	offload.Header{NeedsChecksum: true, ChecksumFrom: 20, ChecksumAt: 6, GSO: offload.UDP, HeadersLen: 28, Size: 100}.Put(frame)
	return append(frame, bytes.Clone(pkt)...)
}

// TestDropsCountPacketsNotFrames has a frame of forty packets dropped for each
// cause that drops one whole.
func TestDropsCountPacketsNotFrames(t *testing.T) {
	const n = 40
	e := newEnd(t, "127.0.0.1", nil)
	dev := &frameDevice{frame: trainOf(n)}
	e.tunnel.dev = dev
	x := newTransmitter()
	if err := x.turn(e.tunnel, framesPerTurn, bytesPerTurn); err != nil {
		t.Fatal(err)
	}
	if got := e.tunnel.Counters().Drops; got != (Drops{NoSA: n}) {
		t.Errorf("without an SA: got %+v, want %d for that", got, n)
	}
	sa, _ := sas(e, e, gcm, true, 0x1000)
	sa.LocalTS = []ike.Selector{}
	e.install(t, sa)
	if err := x.turn(e.tunnel, framesPerTurn, bytesPerTurn); err != nil {
		t.Fatal(err)
	}
	if got := e.tunnel.Counters().Drops; got != (Drops{NoSA: n, Selector: n}) {
		t.Errorf("outside the selectors: got %+v, want %d of each", got, n)
	}
}
