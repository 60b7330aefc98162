package dataplane

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/packet"
)

const (
	// fragBuffers is how many fragments are gathered before they are sent.
	fragBuffers = 128
	// icmpPerBatch bounds the ICMP errors for one batch (RFC 1812 section
	// 4.3.2.8 wants a limit).
	icmpPerBatch = 8
	// refusalEvery is how often at most the log is told that a socket refuses
	// packets; the counters know them all.
	refusalEvery = 10 * time.Second
)

// A transmitter carries one batch from a TUN at a time. It is some 8 MiB, so
// that tunnels borrow one while they have something to send.
type transmitter struct {
	t     *Tunnel // of this batch
	bufs  [][]byte
	sizes []int
	count tally

	sa      *outboundSA // of this batch
	sealed  [][]byte    // what is to be sent
	tos     []uint8     // and with which DSCP and ECN: those of the inner packets
	writers map[*udp.Outside]*[3]*udp.Writer

	frags   [][]byte // buffers for fragments, made when needed
	fragged int      // how many are taken

	icmp  [1][]byte // a buffer for errors, as Write wants it
	icmps int       // errors so far for this batch
}

func newTransmitter() *transmitter {
	x := &transmitter{
		bufs:    buffers(tun.BatchSize, esp.HeaderLen+tun.BufferSize+esp.TrailerLen),
		sizes:   make([]int, tun.BatchSize),
		sealed:  make([][]byte, 0, tun.BatchSize),
		tos:     make([]uint8, 0, tun.BatchSize),
		writers: map[*udp.Outside]*[3]*udp.Writer{},
	}
	x.icmp[0] = make([]byte, 0, tun.Headroom+packet.MaxPacketTooBig)
	return x
}

// maxWriters is how many outside addresses a transmitter keeps writers for.
const maxWriters = 8

// writer is the one for the socket by which x.sa leaves.
func (x *transmitter) writer() *udp.Writer {
	o := x.sa.via
	if x.writers[o] == nil {
		if len(x.writers) == maxWriters {
			clear(x.writers) // addresses come and go
		}
		w := &[3]*udp.Writer{}
		for _, s := range o.Sockets() {
			if s.Kind() != udp.IKE {
				w[s.Kind()] = s.NewWriter()
			}
		}
		x.writers[o] = w
	}
	return x.writers[o][x.sa.kind]
}

// readTUN carries packets from the TUN until it closes.
func (t *Tunnel) readTUN() {
	for failed := 0; ; {
		err := t.dev.Wait()
		if err == nil {
			x := t.engine.transmitters.take()
			err = x.step(t)
			t.engine.transmitters.give(x)
		}
		switch {
		case err == nil, errors.Is(err, tun.ErrTooManySegments):
			failed = 0
			continue
		case errors.Is(err, os.ErrClosed):
			t.lost(err)
			return
		}
		if failed++; failed == 1 {
			t.engine.log.Error("TUN cannot be read", "tunnel", t.id, "err", err)
		}
		if failed == maxReadErrors {
			t.lost(err)
			return
		}
	}
}

// lost tells the owner that the TUN is of no use any more, unless we closed it.
func (t *Tunnel) lost(err error) {
	if t.closing.Load() {
		return
	}
	t.engine.log.Error("TUN is gone", "tunnel", t.id, "err", err)
	if t.cfg.Gone != nil {
		t.cfg.Gone(fmt.Errorf("TUN is gone: %w", err))
	}
}

// step reads one batch of t and carries it to its end.
func (x *transmitter) step(t *Tunnel) error {
	n, err := t.dev.Read(x.bufs, x.sizes, esp.HeaderLen)
	x.t, x.sa, x.icmps = t, t.out.Load(), 0
	for i := range n {
		x.packet(x.bufs[i], x.sizes[i])
	}
	x.send()
	x.t.count.flushOut(&x.count)
	return err
}

// packet fits the packet buf[esp.HeaderLen:][:n] to the tunnel and seals it.
func (x *transmitter) packet(buf []byte, n int) {
	if x.sa == nil {
		x.count.noSA++
		return
	}
	pkt, ok := whole(buf[esp.HeaderLen:][:n])
	if !ok {
		x.count.malformed++
		return
	}
	if !x.sa.selectors.match(pkt) {
		x.count.selector++
		return
	}
	if !x.t.cfg.NoClamp {
		packet.ClampMSS(pkt, esp.MSS(x.sa.mtu, pkt[0]>>4 == 6))
	}
	if len(pkt) > x.sa.mtu {
		x.tooBig(pkt)
		return
	}
	x.seal(buf, len(pkt))
}

// whole cuts b to the length that its IP header states.
func whole(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0]>>4 == 6 {
		p, err := packet.ParseIPv6(b)
		return p, err == nil
	}
	p, err := packet.ParseIPv4(b)
	return p, err == nil
}

// seal seals n octets and keeps the result for send.
func (x *transmitter) seal(buf []byte, n int) {
	tos := packet.TrafficClass(buf[esp.HeaderLen:])
	out, err := x.sa.seal.Seal(buf, esp.HeaderLen, n)
	switch {
	case errors.Is(err, esp.ErrExhausted):
		x.count.exhausted++
	case err != nil:
		x.count.malformed++
	default:
		x.sealed = append(x.sealed, out)
		x.tos = append(x.tos, tos)
		x.count.packets++
		x.count.bytes += uint64(n)
	}
}

// tooBig fragments pkt or tells its sender.
func (x *transmitter) tooBig(pkt []byte) {
	if pkt[0]>>4 == 6 {
		p := packet.IPv6(pkt)
		x.count.tooBig++
		x.answer(packet.AppendPacketTooBig(x.icmp[0][:tun.Headroom], p, x.icmpSource(p.Dst()), uint32(x.sa.mtu)))
		return
	}
	p := packet.IPv4(pkt)
	if p.DF() && x.t.cfg.HonourDF {
		x.count.tooBig++
		mtu := uint16(min(x.sa.mtu, math.MaxUint16))
		x.answer(packet.AppendFragNeeded(x.icmp[0][:tun.Headroom], p, x.icmpSource(p.Dst()), mtu))
		return
	}
	if p.DF() {
		x.t.packetID++
		p.ClearDF(x.t.packetID)
	}
	f, ok := packet.NewFragments(p, x.sa.mtu)
	if !ok {
		x.count.tooBig++
		return
	}
	if need := esp.HeaderLen + x.sa.mtu + esp.TrailerLen; x.fragged == 0 && (len(x.frags) == 0 || len(x.frags[0]) < need) {
		x.frags = buffers(fragBuffers, need) // sa, and so the size, is one for a batch
	}
	for {
		if x.fragged == len(x.frags) {
			x.send()
		}
		buf := x.frags[x.fragged]
		n := f.Next(buf[esp.HeaderLen:])
		if n == 0 {
			return
		}
		x.fragged++
		x.seal(buf, n)
	}
}

// icmpSource is the source for an error about a packet to dst.
func (x *transmitter) icmpSource(dst netip.Addr) netip.Addr {
	if src := x.t.cfg.ICMPSource; src.BitLen() == dst.BitLen() {
		return src
	}
	return dst
}

// answer writes an ICMP error, which begins after the headroom of msg, to the
// TUN. ok is false when there is none to be written.
func (x *transmitter) answer(msg []byte, ok bool) {
	if !ok || x.icmps == icmpPerBatch {
		return
	}
	x.icmps++
	x.icmp[0] = msg
	// When the TUN does not take it the sender learns nothing this time; it is
	// told again with its next packet.
	_ = x.t.dev.Write(x.icmp[:], tun.Headroom)
}

// send gives what is sealed to the socket and frees the fragments' buffers.
func (x *transmitter) send() {
	if len(x.sealed) == 0 {
		return
	}
	sent, err := x.writer().WriteMarked(x.sealed, x.tos, x.sa.from, x.sa.to)
	x.count.noBuffer += uint64(len(x.sealed) - sent)
	if err != nil && !errors.Is(err, net.ErrClosed) && time.Since(x.t.said) > refusalEvery {
		x.t.said = time.Now()
		x.t.engine.log.Warn("outside socket refuses packets", "tunnel", x.t.id, "to", x.sa.to.String(), "err", err)
	}
	x.sealed, x.tos, x.fragged = x.sealed[:0], x.tos[:0], 0
}
