package probe

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// maxEchoes bounds a ping's memory: 24 octets an echo.
const maxEchoes = 100_000

// An echo is one request: when it went, and how long its answer took.
type echo struct {
	sent time.Time
	rtt  time.Duration // 0: no answer
}

// A pinger is one run of ping. The sender writes at an even pace whatever comes
// back; the reader collects.
type pinger struct {
	conn *icmp.PacketConn
	dst  *net.IPAddr
	id   int

	// mu guards echoes.
	mu     sync.Mutex
	echoes []echo
}

// ping is the ICMP client. Loss is a result: it fails only when nothing at all
// came back.
func ping(ctx context.Context, q Question, r *Result) error {
	addr, err := resolve(ctx, q, q.Target)
	if err != nil {
		return err
	}
	if q.Count == 0 {
		q.Count = 4
	}
	if q.Count < 0 || q.Count > maxEchoes {
		return fmt.Errorf("count %d: 1 to %d", q.Count, maxEchoes)
	}
	if q.Interval <= 0 {
		q.Interval = 200 * time.Millisecond
	}
	if q.Size != 0 && (q.Size < headers+4 || q.Size > 65535) {
		return fmt.Errorf("size %d: %d to 65535 octets", q.Size, headers+4)
	}
	conn, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return fmt.Errorf("opening an ICMP socket: %w", err)
	}
	defer conn.Close()
	if q.Size != 0 {
		if err := whole(conn); err != nil {
			return err
		}
	}
	r.Remote = netip.AddrPortFrom(addr, 0)
	p := &pinger{conn: conn, dst: &net.IPAddr{IP: addr.AsSlice()}, id: os.Getpid() & 0xffff}
	unreachable, err := p.run(ctx, q)
	if err != nil {
		return err
	}
	r.Ping = summarize(p.echoes, q.Interval)
	r.Remote = netip.AddrPort{}
	switch {
	case r.Ping.Received > 0:
		return nil
	case unreachable:
		return unix.EHOSTUNREACH
	}
	return os.ErrDeadlineExceeded
}

// headers are those of IPv4 and ICMP, in octets.
const headers = 28

// whole keeps packets from being fragmented, whatever the kernel has heard of
// the path: the way itself is asked.
func whole(conn *icmp.PacketConn) error {
	raw, err := conn.IPv4PacketConn().PacketConn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	return errors.Join(err, set)
}

// run sends q.Count echoes and reads until all are answered or q.Timeout has
// passed since the last. It reports whether a router said "unreachable".
func (p *pinger) run(ctx context.Context, q Question) (unreachable bool, err error) {
	stop := context.AfterFunc(ctx, func() { p.conn.SetReadDeadline(time.Now()) })
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- p.send(ctx, q) }()
	buf := make([]byte, max(1500, q.Size))
	for answered := 0; answered < q.Count; {
		n, from, err := p.conn.ReadFrom(buf)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return unreachable, errors.Join(err, <-sent)
			}
			break
		}
		switch p.receive(buf[:n], from) {
		case ipv4.ICMPTypeEchoReply:
			answered++
		case ipv4.ICMPTypeDestinationUnreachable:
			unreachable = true
		}
	}
	err = <-sent
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return true, nil
	}
	return unreachable, err
}

// send writes the echoes, one each interval, and then gives the reader
// q.Timeout more.
func (p *pinger) send(ctx context.Context, q Question) error {
	defer func() {
		if ctx.Err() == nil {
			p.conn.SetReadDeadline(time.Now().Add(q.Timeout))
		}
	}()
	tick := time.NewTicker(q.Interval)
	defer tick.Stop()
	body := make([]byte, cmp.Or(q.Size, headers+48)-headers)
	for i := range q.Count {
		// The sequence number is 16 bits; the whole number travels in the body.
		binary.BigEndian.PutUint32(body, uint32(i))
		msg := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: i & 0xffff, Data: body}}
		b, err := msg.Marshal(nil)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.echoes = append(p.echoes, echo{sent: time.Now()})
		p.mu.Unlock()
		// A full buffer or an unreachable way is a lost echo, not the end: the
		// way may come back.
		if _, err := p.conn.WriteTo(b, p.dst); err != nil && i == q.Count-1 && p.silent() {
			return err
		}
		if i == q.Count-1 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (p *pinger) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.echoes {
		if e.rtt > 0 {
			return false
		}
	}
	return true
}

// receive notes an answer to one of our echoes and returns its type; nil for
// anything that is not ours.
func (p *pinger) receive(b []byte, from net.Addr) icmp.Type {
	now := time.Now()
	msg, err := icmp.ParseMessage(unix.IPPROTO_ICMP, b)
	if err != nil {
		return nil
	}
	if _, ok := msg.Body.(*icmp.DstUnreach); ok {
		return msg.Type
	}
	reply, ok := msg.Body.(*icmp.Echo)
	if !ok || msg.Type != ipv4.ICMPTypeEchoReply || reply.ID != p.id || len(reply.Data) < 4 || from.String() != p.dst.String() {
		return nil
	}
	i := int(binary.BigEndian.Uint32(reply.Data))
	p.mu.Lock()
	defer p.mu.Unlock()
	if i >= len(p.echoes) || p.echoes[i].rtt > 0 {
		return nil
	}
	p.echoes[i].rtt = max(1, now.Sub(p.echoes[i].sent))
	return msg.Type
}

// summarize counts. Gap is the longest span between two answered echoes of
// which those between were lost.
func summarize(echoes []echo, interval time.Duration) *PingResult {
	p := &PingResult{Sent: len(echoes)}
	var sum time.Duration
	last := -1
	for i, e := range echoes {
		if e.rtt == 0 {
			continue
		}
		p.Received++
		sum += e.rtt
		if p.Min == 0 || e.rtt < p.Min {
			p.Min = e.rtt
		}
		p.Max = max(p.Max, e.rtt)
		if i-last > 1 && last >= 0 {
			p.Gap = max(p.Gap, e.sent.Sub(echoes[last].sent)-interval)
		}
		last = i
	}
	if p.Received > 0 {
		p.Avg = sum / time.Duration(p.Received)
	}
	return p
}
