package dataplane

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/packet"
)

const (
	// sealBatch is how many packets are sealed and sent together, as many as a
	// Writer gives to the kernel at once.
	sealBatch = 256
	// slabLen is the room for them, in octets: what is sent at once, a frame of
	// the largest size beyond it, and what ESP adds to their packets.
	slabLen = 512 << 10
	// sendBytes is how many octets are sealed and sent though there may be more
	// to read: so many that most trains are full ones.
	sendBytes = 300 << 10
	// framesPerTurn and bytesPerTurn are how much of a TUN is carried before the
	// buffers go to another TUN that waits for some.
	framesPerTurn = 256
	bytesPerTurn  = 384 << 10
	// framesPerAnswer and bytesPerAnswer are the same for a turn between two
	// reads of a socket.
	framesPerAnswer = 16
	bytesPerAnswer  = 64 << 10
	// icmpPerTurn bounds the ICMP errors for one turn (RFC 1812 section 4.3.2.8
	// wants a limit).
	icmpPerTurn = 8
	// refusalEvery is how often at most the log is told that a socket refuses
	// packets; the counters know them all.
	refusalEvery = 10 * time.Second
)

// A transmitter carries what one TUN has to send, a turn at a time. It is some
// 700 KiB, so that tunnels borrow one while they have something to send.
//
// A frame is read to in and cut; each packet goes to its place in slab, where it
// is sealed and from where it is sent:
//
//	slab:  | ESP header, IV | packet 1 | trailer, ICV | ESP header, IV | packet 2 | …
type transmitter struct {
	t     *Tunnel // of this turn
	sa    *outboundSA
	count tally

	answering bool // the turn is a receiver's, who must not wait
	told      bool // the sender of this frame knows that it is too big

	in    []byte // a frame
	split offload.Splitter
	big   []byte // a packet that does not fit the tunnel

	slab []byte
	used int
	pkts [][]byte // parts of slab: what is to be sealed and sent
	lens []int    // of the packets inside
	tos  []uint8  // and their DSCP and ECN, for the outer header

	writers map[*udp.Outside]*[3]*udp.Writer

	icmp      []byte // an ICMP error
	icmpFrame tun.Frame
	icmps     int // errors so far in this turn
}

func newTransmitter() *transmitter {
	return &transmitter{
		in:      make([]byte, tun.MaxFrame),
		slab:    make([]byte, slabLen),
		pkts:    make([][]byte, 0, sealBatch),
		lens:    make([]int, 0, sealBatch),
		tos:     make([]uint8, 0, sealBatch),
		icmp:    make([]byte, 0, packet.MaxPacketTooBig),
		writers: map[*udp.Outside]*[3]*udp.Writer{},
	}
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
			err = t.carry()
		}
		switch {
		case err == nil:
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

// carry carries what there is to read from the TUN.
func (t *Tunnel) carry() error {
	t.turning.Lock()
	defer t.turning.Unlock()
	x := t.engine.transmitters.take()
	defer t.engine.transmitters.give(x)
	return x.turn(t, framesPerTurn, bytesPerTurn)
}

// carryAnswer carries what the packets just written to the TUN have brought
// forth already, such as the acknowledgments of a host on this machine. So they
// need not wait until another goroutine has been woken up for them.
//
// Its caller reads the socket of many tunnels, so that it waits for nothing:
// when the TUN is being read, or no transmitter is free, it leaves the rest to
// the TUN's reader, and what the socket has no room for is dropped.
func (t *Tunnel) carryAnswer() {
	if !t.turning.TryLock() {
		return
	}
	defer t.turning.Unlock()
	if t.closing.Load() {
		return
	}
	x := t.engine.transmitters.tryTake()
	if x == nil {
		return
	}
	defer t.engine.transmitters.give(x)
	x.answering = true
	_ = x.turn(t, framesPerAnswer, bytesPerAnswer) // an error meets the reader too, who counts it
	x.answering = false
}

// rest waits until no answer is being carried. None is any more when the TUN is
// being closed.
func (t *Tunnel) rest() {
	t.turning.Lock()
	defer t.turning.Unlock()
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

// turn carries what there is to read from t to its end, until that were so many
// frames or octets. The caller holds t.turning.
func (x *transmitter) turn(t *Tunnel, frames, octets int) (err error) {
	x.t, x.sa, x.icmps = t, t.out.Load(), 0
	for ; frames > 0 && octets > 0; frames-- {
		var n int
		if n, err = t.dev.Read(x.in); err != nil {
			break
		}
		octets -= n
		x.frame(x.in[:n])
		if x.used >= sendBytes {
			x.send()
		}
	}
	x.send()
	t.count.flushOut(&x.count)
	if errors.Is(err, tun.ErrEmpty) {
		return nil
	}
	return err
}

// frame fits the packets of a frame to the tunnel and lays them out for send.
func (x *transmitter) frame(frame []byte) {
	if x.split.Begin(frame) != nil {
		x.count.malformed++
		return
	}
	if x.sa == nil {
		x.count.noSA += uint64(x.split.Packets())
		return
	}
	x.told = false
	all := x.split.Packet()
	if !x.sa.selectors.match(all) { // what they look at is the same in all packets
		x.count.selector += uint64(x.split.Packets())
		return
	}
	tos, clamp := packet.TrafficClass(all), !x.t.cfg.NoClamp && !x.split.Joined() // a SYN comes alone
	for n := x.split.NextLen(); n > 0; n = x.split.NextLen() {
		if n > x.sa.mtu {
			x.tooBig(n, clamp, tos)
			continue
		}
		pkt := x.room(n)
		x.split.Next(pkt)
		if clamp {
			packet.ClampMSS(pkt, esp.MSS(x.sa.mtu, pkt[0]>>4 == 6))
		}
		x.keep(n, tos)
	}
}

// room is where the next packet, of at most n octets, is to stand.
func (x *transmitter) room(n int) []byte {
	need := x.sa.seal.SealedLen(n)
	if len(x.pkts) == cap(x.pkts) || x.used+need > len(x.slab) {
		x.send()
	}
	return x.slab[x.used+x.sa.seal.Prefix():][:n]
}

// keep has what was laid out at room, n octets of type of service tos, sent.
func (x *transmitter) keep(n int, tos uint8) {
	end := x.used + x.sa.seal.SealedLen(n)
	x.pkts = append(x.pkts, x.slab[x.used:end:end])
	x.lens = append(x.lens, n)
	x.tos = append(x.tos, tos)
	x.used = end
}

// tooBig fragments the next packet, of n octets, or tells its sender.
func (x *transmitter) tooBig(n int, clamp bool, tos uint8) {
	if len(x.big) < n {
		x.big = make([]byte, tun.MaxPacket)
	}
	pkt := x.big[:n]
	x.split.Next(pkt)
	if clamp {
		packet.ClampMSS(pkt, esp.MSS(x.sa.mtu, pkt[0]>>4 == 6))
	}
	if pkt[0]>>4 == 6 {
		p := packet.IPv6(pkt)
		x.count.tooBig++
		x.answer(packet.AppendPacketTooBig(x.icmp[:0], p, x.icmpSource(p.Dst()), uint32(x.sa.mtu)))
		return
	}
	p := packet.IPv4(pkt)
	if p.DF() && x.t.cfg.HonourDF {
		x.count.tooBig++
		mtu := uint16(min(x.sa.mtu, math.MaxUint16))
		x.answer(packet.AppendFragNeeded(x.icmp[:0], p, x.icmpSource(p.Dst()), mtu))
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
	for {
		k := f.Next(x.room(x.sa.mtu))
		if k == 0 {
			return
		}
		x.keep(k, tos)
	}
}

// icmpSource is the source for an error about a packet to dst.
func (x *transmitter) icmpSource(dst netip.Addr) netip.Addr {
	if src := x.t.cfg.ICMPSource; src.BitLen() == dst.BitLen() {
		return src
	}
	return dst
}

// answer writes an ICMP error to the TUN. ok is false when there is none to be
// written.
func (x *transmitter) answer(msg []byte, ok bool) {
	if !ok || x.told || x.icmps == icmpPerTurn {
		return
	}
	x.told = true // one answer for a frame, as the kernel gives
	x.icmps++
	x.icmpFrame.Reset(offload.Header{})
	x.icmpFrame.Append(msg)
	// When the TUN does not take it the sender learns nothing this time; it is
	// told again with its next packet.
	_ = x.t.dev.Write(&x.icmpFrame)
}

// send seals what is laid out and gives it to the socket.
func (x *transmitter) send() {
	if len(x.pkts) == 0 {
		return
	}
	n, err := x.sa.seal.SealBatch(x.pkts, x.lens)
	for _, k := range x.lens[:n] {
		x.count.bytes += uint64(k)
	}
	x.count.packets += uint64(n)
	switch {
	case errors.Is(err, esp.ErrExhausted):
		x.count.exhausted += uint64(len(x.pkts) - n)
	case err != nil:
		x.count.malformed += uint64(len(x.pkts) - n)
	}
	if n > 0 {
		x.write(n)
	}
	x.pkts, x.lens, x.tos, x.used = x.pkts[:0], x.lens[:0], x.tos[:0], 0
}

// write gives the first n sealed packets to the socket.
func (x *transmitter) write(n int) {
	w := x.writer()
	w.NoWait = x.answering
	sent, err := w.WriteMarked(x.pkts[:n], x.tos[:n], x.sa.from, x.sa.to)
	x.count.noBuffer += uint64(n - sent)
	if err != nil && !errors.Is(err, net.ErrClosed) && time.Since(x.t.said) > refusalEvery {
		x.t.said = time.Now()
		x.t.engine.log.Warn("outside socket refuses packets", "tunnel", x.t.id, "to", x.sa.to.String(), "err", err)
	}
}
