// Package hop runs one BFD session between the two ends of a link: it has the
// sockets and the timer, and hands what comes to the machine of package bfd.
//
// Packets leave with a TTL of 255, and only those that come with it are taken,
// from the peer's address and over the link: nobody farther away can have sent
// them (RFC 5881 section 5). The package touches no route. Package gateway is its
// only caller.
package hop

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"seikan/internal/routing/bfd"
)

// A Config is what Start needs.
type Config struct {
	Log           *slog.Logger
	Local, Remote netip.Addr // of one family; Local is an address of Device
	Device        string     // the link's name
	Interval      time.Duration
	Multiplier    int
	// Changed is called after the state changed. It must not block.
	Changed func()
}

// A Link is one running session over one hop.
type Link struct {
	cfg    Config
	out    *net.UDPConn
	in     *net.UDPConn
	status atomic.Pointer[bfd.Status]
	heard  chan bfd.Packet
	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// waiting is how many packets may wait for the machine. A peer sends a few a
// second; of a flood what is too much is lost.
const waiting = 8

// Start begins a session, which runs until Stop.
func Start(ctx context.Context, cfg Config) (*Link, error) {
	l := &Link{cfg: cfg, heard: make(chan bfd.Packet, waiting)}
	var err error
	if l.in, err = l.listen(bfd.Port); err != nil {
		return nil, fmt.Errorf("bfd: listening at %v on %s: %w", cfg.Local, cfg.Device, err)
	}
	if l.out, err = l.source(); err != nil {
		l.in.Close()
		return nil, fmt.Errorf("bfd: a socket of %v on %s: %w", cfg.Local, cfg.Device, err)
	}
	machine := bfd.New(bfd.Config{Interval: cfg.Interval, Multiplier: cfg.Multiplier, Discriminator: discriminator(), Random: mathrand.Float64}, time.Now())
	l.show(machine)
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.loops.Go(func() { l.run(ctx, machine) })
	l.loops.Go(l.read)
	return l, nil
}

// Stop ends the session on purpose, which the peer is told, and returns when
// nothing of it runs.
func (l *Link) Stop() {
	l.cancel()
	l.in.Close()
	l.loops.Wait()
	l.out.Close()
}

// Status is that of now.
func (l *Link) Status() bfd.Status { return *l.status.Load() }

// discriminator is one that nobody can guess.
func discriminator() uint32 {
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		if n := binary.BigEndian.Uint32(b[:]); n != 0 {
			return n
		}
	}
}

// source is the socket that we send from. Its port is the session's own.
func (l *Link) source() (conn *net.UDPConn, err error) {
	const tries = 16
	for range tries {
		port := bfd.FirstSourcePort + mathrand.IntN(bfd.LastSourcePort-bfd.FirstSourcePort+1)
		if conn, err = l.listen(port); !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
	}
	return nil, err
}

// listen is a socket of the link.
func (l *Link) listen(port int) (*net.UDPConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var optErr error
		err := c.Control(func(fd uintptr) { optErr = l.options(int(fd)) })
		return errors.Join(err, optErr)
	}}
	network := "udp4"
	if l.cfg.Local.Is6() {
		network = "udp6"
	}
	conn, err := config.ListenPacket(context.Background(), network, netip.AddrPortFrom(l.cfg.Local, uint16(port)).String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// options bind a socket to the link, and have it send and tell the TTL.
func (l *Link) options(fd int) error {
	level, ttl, tell := syscall.IPPROTO_IP, syscall.IP_TTL, syscall.IP_RECVTTL
	if l.cfg.Local.Is6() {
		level, ttl, tell = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, syscall.IPV6_RECVHOPLIMIT
	}
	return errors.Join(
		syscall.BindToDevice(fd, l.cfg.Device),
		syscall.SetsockoptInt(fd, level, ttl, bfd.TTL),
		syscall.SetsockoptInt(fd, level, tell, 1),
	)
}

// run owns the machine until ctx ends.
func (l *Link) run(ctx context.Context, m *bfd.Machine) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var out []bfd.Packet
	for {
		var in *bfd.Packet
		select {
		case p := <-l.heard:
			in = &p
		case <-timer.C:
		case <-ctx.Done():
			l.send(m.Close(time.Now()))
			return
		}
		out = m.Step(time.Now(), in, out[:0])
		for _, p := range out {
			l.send(p)
		}
		l.show(m)
		timer.Reset(max(0, time.Until(m.Deadline())))
	}
}

// show makes the machine's status ours, and tells of a changed state.
func (l *Link) show(m *bfd.Machine) {
	now := m.Status()
	before := l.status.Swap(&now)
	if before == nil || before.State == now.State {
		return
	}
	level := slog.LevelInfo
	if now.State == bfd.Down && before.State == bfd.Up {
		level = slog.LevelWarn
	}
	l.cfg.Log.Log(context.Background(), level, "BFD "+now.State.String(), "peer", l.cfg.Remote, "reason", now.Diag.String())
	l.cfg.Changed()
}

// send sends one packet. What cannot be sent is as good as lost on the way.
func (l *Link) send(p bfd.Packet) {
	if _, err := l.out.WriteToUDPAddrPort(p.Append(nil), netip.AddrPortFrom(l.cfg.Remote, bfd.Port)); err != nil {
		l.cfg.Log.Debug("sending BFD", "peer", l.cfg.Remote, "err", err)
	}
}

// read hands what comes to run until the socket is closed.
func (l *Link) read() {
	buf, oob := make([]byte, bfd.MaxSize), make([]byte, 128)
	for {
		n, m, _, from, err := l.in.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || from.Addr().Unmap().WithZone("") != l.cfg.Remote || hops(oob[:m]) != bfd.TTL {
			continue
		}
		p, err := bfd.Parse(buf[:n])
		if err != nil {
			l.cfg.Log.Debug("BFD packet", "peer", l.cfg.Remote, "err", err)
			continue
		}
		select {
		case l.heard <- p:
		default:
		}
	}
}

// hops is the TTL or hop limit that a packet came with; -1 when nobody says.
func hops(oob []byte) int {
	list, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	for _, m := range list {
		v4 := m.Header.Level == syscall.IPPROTO_IP && m.Header.Type == syscall.IP_TTL
		v6 := m.Header.Level == syscall.IPPROTO_IPV6 && m.Header.Type == syscall.IPV6_HOPLIMIT
		if (v4 || v6) && len(m.Data) >= 4 {
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return -1
}
