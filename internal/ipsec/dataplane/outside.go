package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/packet"
)

// openBatch is how many packets of one SA are opened together at most: a train.
const openBatch = 64

// maxReadErrors is how many failures of a descriptor in a row end its loop.
const maxReadErrors = 100

// An outside is what the Engine knows of one udp.Outside.
type outside struct {
	engine *Engine
	sock   *udp.Outside
	spis   spiTable
	users  int // tunnels; engine.mu guards it
	stop   atomic.Bool
	loops  sync.WaitGroup

	// rxMu is held while one batch is opened and delivered: the sockets for
	// NAT traversal and raw ESP may carry the same SA, whose Inbound is for one
	// goroutine at a time. It guards the rx of all its tunnels.
	rxMu sync.Mutex

	ikeIn, keepalives, unknownSPI, malformed atomic.Uint64
}

func newOutside(e *Engine, sock *udp.Outside) *outside {
	return &outside{engine: e, sock: sock}
}

// interrupt makes the loops end.
func (o *outside) interrupt() {
	o.stop.Store(true)
	for _, s := range o.sock.Sockets() {
		if err := s.Interrupt(); err != nil && !errors.Is(err, net.ErrClosed) {
			o.engine.log.Error("outside socket cannot be interrupted", "outside", o.sock.String(), "err", err)
		}
	}
}

// resume makes the sockets readable again, for another Engine.
func (o *outside) resume() {
	for _, s := range o.sock.Sockets() {
		if err := s.Resume(); err != nil && !errors.Is(err, net.ErrClosed) {
			o.engine.log.Error("outside socket cannot be resumed", "outside", o.sock.String(), "err", err)
		}
	}
}

// OutsideCounters is what o received that belongs to no tunnel; zero when no
// tunnel uses o.
func (e *Engine) OutsideCounters(sock *udp.Outside) OutsideCounters {
	e.mu.Lock()
	o := e.outsides[sock]
	e.mu.Unlock()
	if o == nil {
		return OutsideCounters{}
	}
	return OutsideCounters{
		IKE:        o.ikeIn.Load(),
		Keepalives: o.keepalives.Load(),
		UnknownSPI: o.unknownSPI.Load(),
		Malformed:  o.malformed.Load(),
	}
}

// A receiver reads one socket.
type receiver struct {
	o     *outside
	s     *udp.Socket
	r     *udp.Reader
	local netip.AddrPort

	// A run is packets of one SA and one mark that came one behind the other.
	run  *inboundSA
	tos  uint8
	pkts [][]byte
	errs [openBatch]error

	touched   []*Tunnel         // whose rx holds something
	delivered []*Tunnel         // to which something was written in this batch
	joiners   []*offload.Joiner // as many as tunnels were touched at once
	frame     tun.Frame

	patient bool // what follows the last batch can wait, too
}

// A rxBatch is what a batch holds for one tunnel.
type rxBatch struct {
	join    *offload.Joiner // nil when not touched
	count   tally
	pending tally // of what is in join
	alive   bool  // something was authentic
}

func newReceiver(o *outside, s *udp.Socket) *receiver {
	r := &receiver{o: o, s: s, r: s.NewReader()}
	port := o.sock.Ports().IKE
	if s.Kind() != udp.IKE {
		port = o.sock.Ports().NAT
		r.pkts = make([][]byte, 0, openBatch)
	}
	r.local = netip.AddrPortFrom(o.sock.Addr(), port)
	return r
}

// loop reads until the socket closes or the Engine interrupts it.
func (r *receiver) loop() {
	for failed := 0; ; {
		err := r.step()
		switch {
		case err == nil:
			failed = 0
			if r.patient {
				time.Sleep(gather)
			}
			continue
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			if !r.o.stop.Load() {
				r.o.engine.fail(fmt.Errorf("outside %v: %v socket: closed under us: %w", r.o.sock, r.s.Kind(), err))
			}
			return
		}
		if failed++; failed == 1 {
			r.o.engine.log.Error("outside socket cannot be read", "outside", r.o.sock.String(), "socket", r.s.Kind().String(), "err", err)
		}
		if failed == maxReadErrors {
			r.o.engine.fail(fmt.Errorf("outside %v: %w", r.o.sock, err))
			return
		}
	}
}

// gather is how long a socket for IKE alone is left unread after a batch that
// had room for more and held nothing but answers to probes and the like: where
// thousands of tunnels are probed the others follow, and to wake for each costs
// more than all else that is done about it. Nobody waits for such an answer. A
// socket that carries ESP, too, is never left: it would wait as well.
const gather = 5 * time.Millisecond

// informational is the exchange type of IKEv2 that probes are (RFC 7296 section
// 3.1).
const informational = 37

// canWait reports whether b is an IKE message that nobody waits for.
func canWait(b []byte) bool {
	return len(b) >= ike.HeaderLen && b[18] == informational && b[19]&ike.FlagResponse != 0
}

// step reads one batch and carries it to its end.
func (r *receiver) step() error {
	n, err := r.r.Read()
	if err != nil {
		return err
	}
	r.patient = r.s.Kind() == udp.IKE && n < r.r.Batch() // until something else is found
	r.batch(n)
	for _, t := range r.delivered {
		t.carryAnswer()
	}
	return nil
}

// batch carries n messages to their end.
func (r *receiver) batch(n int) {
	r.o.rxMu.Lock()
	defer r.o.rxMu.Unlock()
	for i := range n {
		m := r.r.Message(i)
		r.patient = r.patient && len(m.Data) > 0
		for data := m.Data; len(data) > 0; {
			k := min(max(m.Segment, 1), len(data))
			r.datagram(&m, data[:k:k])
			data = data[k:]
		}
	}
	r.deliver()
}

// A class says what a datagram on the NAT traversal port is.
type class uint8

const (
	isShort class = iota
	isKeepalive
	isIKE
	isESP
)

// classify tells ESP, IKE and keepalives apart (RFC 3948 section 2).
func classify(b []byte) class {
	switch {
	case udp.IsKeepalive(b):
		return isKeepalive
	case len(b) < 4:
		return isShort
	case binary.BigEndian.Uint32(b) == 0: // the non-ESP marker
		return isIKE
	}
	return isESP
}

// datagram carries one datagram to its end, or to the batch of its tunnel.
func (r *receiver) datagram(m *udp.Message, b []byte) {
	switch r.s.Kind() {
	case udp.IKE:
		r.ike(m, b)
	case udp.Raw:
		r.esp(b, m.TOS)
	case udp.NAT:
		switch classify(b) {
		case isKeepalive:
			r.o.keepalives.Add(1)
		case isShort:
			r.o.malformed.Add(1)
		case isIKE:
			r.ike(m, b[4:])
		case isESP:
			r.esp(b, m.TOS)
		}
	}
}

// ike shows b to the owner.
func (r *receiver) ike(m *udp.Message, b []byte) {
	r.o.ikeIn.Add(1)
	r.patient = r.patient && canWait(b)
	local := r.local
	if m.Local.IsValid() {
		local = netip.AddrPortFrom(m.Local, local.Port())
	}
	r.o.engine.onIKE(r.o.sock, ike.Datagram{Local: local, Remote: m.From, Data: b})
}

// esp has b, which came under the type of service tos, opened with what comes
// before and behind it of the same SA.
func (r *receiver) esp(b []byte, tos uint8) {
	if len(b) < 8 {
		r.o.malformed.Add(1)
		return
	}
	spi := binary.BigEndian.Uint32(b)
	if r.run == nil || r.run.open.SPI() != spi || r.tos != tos || len(r.pkts) == openBatch {
		r.open()
		if r.run = r.o.spis.get(spi); r.run == nil {
			r.o.unknownSPI.Add(1)
			return
		}
		r.tos = tos
	}
	r.pkts = append(r.pkts, b)
}

// open opens the packets of the run in place and adds what is inside to what
// their tunnel is to get.
func (r *receiver) open() {
	sa := r.run
	if sa == nil {
		return
	}
	errs := r.errs[:len(r.pkts)]
	sa.open.OpenBatch(r.pkts, errs)
	t := sa.tunnel
	rx := r.touch(t)
	// What answers must fit the SA that is sent with, wherever that leaves by now.
	mtu := t.MTU()
	if t.cfg.NoClamp {
		mtu = 0
	}
	for i, inner := range r.pkts {
		if errs[i] != nil {
			rx.refuse(errs[i])
			continue
		}
		rx.alive = true
		if !sa.selectors.match(inner) {
			rx.count.selector++
			continue
		}
		if !packet.CombineECN(inner, r.tos) {
			rx.count.congested++
			continue
		}
		if mtu > 0 {
			packet.ClampMSS(inner, esp.MSS(mtu, inner[0]>>4 == 6))
		}
		if !rx.join.Add(inner) {
			r.write(t)
			rx.join.Add(inner)
		}
		rx.pending.packets++
		rx.pending.bytes += uint64(len(inner))
	}
	r.run, r.pkts = nil, r.pkts[:0]
}

// touch is t's rx, with a Joiner.
func (r *receiver) touch(t *Tunnel) *rxBatch {
	if t.rx.join == nil {
		if len(r.touched) == len(r.joiners) {
			r.joiners = append(r.joiners, &offload.Joiner{})
		}
		t.rx.join = r.joiners[len(r.touched)]
		t.rx.join.Reset()
		t.rx.join.UDP = t.dev.JoinsUDP()
		r.touched = append(r.touched, t)
	}
	return &t.rx
}

// refuse counts a packet that Open did not open.
func (rx *rxBatch) refuse(err error) {
	switch err {
	case esp.ErrReplay:
		rx.count.replay++
	case esp.ErrAuth:
		rx.count.auth++
	case esp.ErrDummy:
		rx.alive = true
	case esp.ErrPadding, esp.ErrNextHeader:
		rx.alive = true // the peer sealed nonsense, but it was the peer
		rx.count.malformed++
	default:
		rx.count.malformed++
	}
}

// deliver opens what is left, writes what was opened to the TUNs and counts it.
func (r *receiver) deliver() {
	r.open()
	r.delivered = r.delivered[:0]
	if len(r.touched) == 0 {
		return
	}
	now := max(1, int64(time.Since(r.o.engine.epoch)))
	for _, t := range r.touched {
		rx := &t.rx
		if rx.alive {
			t.count.lastInbound.Store(now)
		}
		r.write(t)
		if rx.count.packets > 0 {
			r.delivered = append(r.delivered, t)
		}
		t.count.flushIn(&rx.count)
		rx.join, rx.alive = nil, false
	}
	r.touched = r.touched[:0]
}

// write writes what is joined for t to its TUN. What the TUN does not take is
// counted a packet a frame.
func (r *receiver) write(t *Tunnel) {
	rx := &t.rx
	for i := range rx.join.Len() {
		h, head, rest := rx.join.Frame(i)
		r.frame.Reset(h)
		r.frame.Append(head)
		for _, p := range rest {
			r.frame.Append(p)
		}
		if t.dev.Write(&r.frame) != nil {
			n := uint64(1 + len(rest))
			rx.count.dev += n
			rx.pending.packets -= n
			rx.pending.bytes -= uint64(r.frame.Octets()) + (n-1)*uint64(int(h.HeadersLen))
		}
	}
	rx.count.packets += rx.pending.packets
	rx.count.bytes += rx.pending.bytes
	rx.pending = tally{}
	rx.join.Reset()
}
