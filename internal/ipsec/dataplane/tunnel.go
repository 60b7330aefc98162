package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// TunnelConfig is what a tunnel needs. Only ID, Dev and Outside must be set.
type TunnelConfig struct {
	ID      string     // unique in the Engine
	Dev     tun.Device // the Engine closes it
	Outside *udp.Outside
	// ReplayWindow is esp.MinWindow to esp.MaxWindow packets, 0 for
	// esp.DefaultWindow (vpn §2.1).
	ReplayWindow int
	// PathMTU is the MTU of the outside path in octets, 576 to 65535; 1500 when
	// 0.
	PathMTU int
	// HonourDF answers an inner IPv4 packet that is too large and may not be
	// fragmented by ICMP "fragmentation needed". By default it is fragmented
	// all the same, as AWS asks of a gateway (vpn §3.5). IPv6 is always
	// answered.
	HonourDF bool
	// NoClamp leaves the MSS of TCP connections alone. By default it is lowered
	// in both directions to what fits.
	NoClamp bool
	// ICMPSource is the source of those ICMP errors. It must not be an address
	// of this host, or the kernel takes them for forged: the peer's inside
	// address is a good one. When it is unset, or not of the packet's version,
	// the packet's destination is used.
	ICMPSource netip.Addr
	// Gone is called once when the TUN cannot be read any more though nobody
	// closed it: somebody deleted the link. It must not block, nor call
	// RemoveTunnel, which is what the owner does next. It may be nil.
	Gone func(error)
	// Ledgers is where the SAs count, so that they can be resumed after a
	// crash. Nil: in plain memory, and none is resumed.
	Ledgers Ledgers
}

// Ledgers keeps the sequence numbers of a tunnel's SAs where they outlive the
// process.
type Ledgers interface {
	// Open gives the pair with these SPIs its ledger. With resumed it must
	// exist, or an error says so; without, it begins with zeros, and is nil
	// when there is no room for one more.
	Open(spiIn, spiOut uint32, resumed bool) (*esp.Ledger, error)
	// Close says that the pair is in use no more.
	Close(spiIn, spiOut uint32)
}

// A Tunnel is one pair of IPsec SAs, and its successors, over one TUN. All
// methods may be called from any goroutine.
type Tunnel struct {
	id      string
	dev     tun.Device
	cfg     TunnelConfig
	engine  *Engine
	outside *outside
	loop    sync.WaitGroup // the goroutine that reads dev
	closing atomic.Bool    // dev is being closed by us

	out   atomic.Pointer[outboundSA] // written with engine.mu held
	count counters

	// engine.mu guards the fields below.
	removed bool
	pairs   map[uint32]*pair // by inbound SPI

	rx rxBatch // belongs to whoever holds outside.rxMu

	// turning is held while dev is read. It guards the fields below it. Lock
	// order: turning before engine.mu.
	turning  sync.Mutex
	said     time.Time // when the log was last told that the socket refuses packets
	packetID uint16    // identification of packets whose DF was cleared
}

// A pair is what a tunnel holds of one ChildSA until Remove.
type pair struct {
	inbound bool          // in the SPI table
	seal    *esp.Outbound // nil until it is used
	spiOut  uint32
	resumed bool
	ledger  *esp.Ledger // may be nil
}

// An outboundSA is all that the sending goroutine must know. It is never
// changed, only replaced.
type outboundSA struct {
	spiIn     uint32
	seal      *esp.Outbound
	via       *udp.Outside
	kind      udp.Kind // the socket of via to send on
	from      netip.Addr
	to        netip.AddrPort
	suite     suite.ESP
	mtu       int // of inner packets, in octets
	selectors selectors
}

// An inboundSA is an entry of an SPI table.
type inboundSA struct {
	tunnel    *Tunnel
	open      *esp.Inbound
	selectors selectors
}

func newTunnel(e *Engine, cfg TunnelConfig) (*Tunnel, error) {
	switch {
	case cfg.ID == "":
		return nil, errors.New("no ID")
	case cfg.Dev == nil:
		return nil, errors.New("no Dev")
	case cfg.Outside == nil:
		return nil, errors.New("no Outside")
	case cfg.ReplayWindow != 0 && (cfg.ReplayWindow < esp.MinWindow || cfg.ReplayWindow > esp.MaxWindow):
		return nil, fmt.Errorf("ReplayWindow %d: want %d to %d", cfg.ReplayWindow, esp.MinWindow, esp.MaxWindow)
	case cfg.PathMTU != 0 && (cfg.PathMTU < 576 || cfg.PathMTU > 65535):
		return nil, fmt.Errorf("PathMTU %d: want 576 to 65535", cfg.PathMTU)
	}
	return &Tunnel{id: cfg.ID, dev: cfg.Dev, cfg: cfg, engine: e, pairs: map[uint32]*pair{}}, nil
}

// closeDev closes the TUN, which ends the goroutine that reads it.
func (t *Tunnel) closeDev() {
	t.closing.Store(true)
	if err := t.dev.Close(); err != nil {
		t.engine.log.Error("TUN cannot be closed", "tunnel", t.id, "err", err)
	}
}

// ID is the ID that the tunnel was made with.
func (t *Tunnel) ID() string { return t.id }

// InstallInbound makes packets with sa.SPIIn acceptable, beside those of older
// SAs: they go on until Remove, so that a rekey loses nothing. An error says
// what is wrong with sa; an SPI of another SA of the outside address is one.
func (t *Tunnel) InstallInbound(sa *ike.ChildSA) error {
	in, err := esp.NewInbound(sa, t.cfg.ReplayWindow)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if sa.SPIIn < 256 { // RFC 4303 section 2.1: reserved
		return fmt.Errorf("install inbound SA: SPI %d is reserved: want at least 256", sa.SPIIn)
	}
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.removed || e.ended {
		return fmt.Errorf("install inbound SA %08x: tunnel %q: %w", sa.SPIIn, t.id, ErrEnded)
	}
	if t.outside.spis.get(sa.SPIIn) != nil {
		return fmt.Errorf("install inbound SA %08x: the SPI is in use", sa.SPIIn)
	}
	p, err := t.pairLocked(sa)
	if err != nil {
		return fmt.Errorf("install inbound SA %08x: %w", sa.SPIIn, err)
	}
	p.inbound = true
	if p.ledger != nil {
		in.CountIn(p.ledger)
	}
	t.outside.spis.setLocked(sa.SPIIn, &inboundSA{
		tunnel:    t,
		open:      in,
		selectors: newSelectors(sa.RemoteTS, sa.LocalTS),
	})
	return nil
}

// UseOutbound makes sa the one that outgoing packets are sealed with, to
// sa.Remote. It may be called again with an SA used before, which goes on with
// its sequence numbers, but not after Remove: they would repeat. An SA that
// needs a raw socket the outside address has not is an error.
func (t *Tunnel) UseOutbound(sa *ike.ChildSA) error {
	kind := udp.Raw
	if sa.Encap {
		kind = udp.NAT
	}
	fresh, err := esp.NewOutbound(sa)
	if err != nil {
		return fmt.Errorf("use: %w", err)
	}
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.removed || e.ended {
		return fmt.Errorf("use outbound SA %08x: tunnel %q: %w", sa.SPIOut, t.id, ErrEnded)
	}
	if !t.reaches(sa.Remote) {
		return fmt.Errorf("use outbound SA %08x: remote %v: want an address of the family of %v", sa.SPIOut, sa.Remote, t.cfg.Outside)
	}
	if t.cfg.Outside.Socket(kind) == nil {
		return fmt.Errorf("use outbound SA %08x: ESP without UDP, but %v has no raw socket", sa.SPIOut, t.cfg.Outside)
	}
	p, err := t.pairLocked(sa)
	if err != nil {
		return fmt.Errorf("use outbound SA %08x: %w", sa.SPIOut, err)
	}
	if p.seal == nil {
		p.seal = fresh
		if p.ledger != nil {
			fresh.CountIn(p.ledger, p.resumed)
		}
	}
	if p.seal.SPI() != sa.SPIOut {
		return fmt.Errorf("use outbound SA %08x: inbound SPI %08x belongs to outbound SPI %08x", sa.SPIOut, sa.SPIIn, p.seal.SPI())
	}
	t.out.Store(&outboundSA{
		spiIn: sa.SPIIn, seal: p.seal, kind: kind,
		via: t.cfg.Outside, from: sa.Local.Addr(), to: sa.Remote,
		suite: sa.Suite, mtu: t.mtuOf(kind, sa.Suite),
		selectors: newSelectors(sa.LocalTS, sa.RemoteTS),
	})
	return nil
}

// errNoLedger says that an SA cannot be resumed.
var errNoLedger = errors.New("it was in use before, and no ledger says which sequence numbers")

// pairLocked is the pair of sa, made with its ledger if need be. The caller
// holds engine.mu.
func (t *Tunnel) pairLocked(sa *ike.ChildSA) (*pair, error) {
	if p := t.pairs[sa.SPIIn]; p != nil {
		return p, nil
	}
	p := &pair{spiOut: sa.SPIOut, resumed: sa.Resumed}
	if t.cfg.Ledgers != nil {
		l, err := t.cfg.Ledgers.Open(sa.SPIIn, sa.SPIOut, sa.Resumed)
		if err != nil {
			return nil, err
		}
		p.ledger = l
	}
	if sa.Resumed && p.ledger == nil {
		return nil, errNoLedger
	}
	t.pairs[sa.SPIIn] = p
	return p, nil
}

// Remove forgets the SA whose inbound SPI is spiIn, both directions. When it
// is the outbound one too, packets are dropped until the next UseOutbound.
func (t *Tunnel) Remove(spiIn uint32) {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if out := t.out.Load(); out != nil && out.spiIn == spiIn {
		t.out.Store(nil)
	}
	p := t.pairs[spiIn]
	delete(t.pairs, spiIn)
	if p != nil && p.ledger != nil {
		t.cfg.Ledgers.Close(spiIn, p.spiOut)
	}
	if p == nil || !p.inbound {
		return
	}
	t.outside.spis.setLocked(spiIn, nil)
}

// inboundLocked are the entries of t in the SPI table of its outside address.
// The caller holds engine.mu.
func (t *Tunnel) inboundLocked() map[uint32]*inboundSA {
	mine := map[uint32]*inboundSA{}
	for spi, p := range t.pairs {
		if p.inbound {
			mine[spi] = t.outside.spis.get(spi)
		}
	}
	return mine
}

// reaches reports whether our outside address is of the family of remote.
func (t *Tunnel) reaches(remote netip.AddrPort) bool {
	return remote.IsValid() && !remote.Addr().Is4In6() && remote.Addr().Is4() == t.cfg.Outside.Addr().Is4()
}

// MovePeer sends from now on from local to remote, with the SA in use. What
// the peer sends is accepted from wherever it comes, if only it is authentic.
func (t *Tunnel) MovePeer(local, remote netip.AddrPort) {
	e := t.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	old := t.out.Load()
	if old == nil || !t.reaches(remote) {
		return // the next UseOutbound brings its own addresses
	}
	moved := *old
	moved.from, moved.to = local.Addr(), remote
	t.out.Store(&moved)
}

// Counters is what was carried and dropped so far.
func (t *Tunnel) Counters() Counters {
	c := t.count.snapshot()
	if out := t.out.Load(); out != nil {
		c.Sequence = out.seal.Sequence()
	}
	return c
}

// LastInbound is when the latest authentic packet of the peer was received, to
// the time of its batch; the zero time means never. It has a monotonic clock
// reading: when somebody sets the clock back, the peer must not seem to have
// been heard in the future, or its death would go unnoticed until then.
func (t *Tunnel) LastInbound() time.Time {
	if ns := t.count.lastInbound.Load(); ns != 0 {
		return t.engine.epoch.Add(time.Duration(ns))
	}
	return time.Time{}
}

// MTU is the size in octets of the largest inner packet that goes through
// whole with the outbound SA in use, 0 without one (vpn §3.5).
func (t *Tunnel) MTU() int {
	if out := t.out.Load(); out != nil {
		return out.mtu
	}
	return 0
}

// mtuOf is the inner MTU of packets sealed with s that leave by kind.
func (t *Tunnel) mtuOf(kind udp.Kind, s suite.ESP) int {
	return esp.MTU(esp.Path{MTU: t.cfg.PathMTU, NAT: kind == udp.NAT, IPv6: t.cfg.Outside.Addr().Is6()}, s)
}
