package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A Forwarder passes every question on to one upstream server, over UDP and,
// when the answer was truncated, over TCP. Each question has a socket of its
// own, so that replies can be forged only by guessing port and id. How many are
// in work at once is bounded by the Server in front of it.
type Forwarder struct {
	Upstream netip.AddrPort
	// Dial opens a connection from the namespace that the forwarder is in;
	// network is "udp" or "tcp".
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Timeout time.Duration // for one try; 0 is 2 s
	Tries   int           // over UDP; 0 is 2

	count struct{ forwarded, timeouts, failures, streams atomic.Uint64 }
}

// ForwarderCounters are what a Forwarder has done.
type ForwarderCounters struct {
	Forwarded uint64 // questions answered by the upstream server
	Timeouts  uint64 // tries without a reply
	Failures  uint64 // questions answered SERVFAIL because upstream did not
	Streams   uint64 // questions asked again over TCP
}

// Counters reads the counters.
func (f *Forwarder) Counters() ForwarderCounters {
	return ForwarderCounters{Forwarded: f.count.forwarded.Load(), Timeouts: f.count.timeouts.Load(),
		Failures: f.count.failures.Load(), Streams: f.count.streams.Load()}
}

// Answer implements Answerer. When the upstream server gives no answer it is
// SERVFAIL.
func (f *Forwarder) Answer(ctx context.Context, q *dns.Msg) *dns.Msg {
	reply, err := f.exchange(ctx, q)
	if err != nil {
		f.count.failures.Add(1)
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	}
	f.count.forwarded.Add(1)
	return reply
}

func (f *Forwarder) exchange(ctx context.Context, q *dns.Msg) (reply *dns.Msg, err error) {
	ask := &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: dns.Id(), RecursionDesired: q.RecursionDesired, CheckingDisabled: q.CheckingDisabled},
		Question: q.Question,
	}
	opt := q.IsEdns0()
	ask.SetEdns0(maxUDP, opt != nil && opt.Do())
	packed, err := ask.Pack()
	if err != nil {
		return nil, fmt.Errorf("dns forward: %w", err)
	}
	tries := f.Tries
	if tries <= 0 {
		tries = 2
	}
	for range tries {
		reply, err = f.try(ctx, "udp", ask, packed)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	if err == nil && reply.Truncated {
		f.count.streams.Add(1)
		reply, err = f.try(ctx, "tcp", ask, packed)
	}
	return reply, err
}

// try asks once.
func (f *Forwarder) try(ctx context.Context, network string, ask *dns.Msg, packed []byte) (*dns.Msg, error) {
	timeout := f.Timeout
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := f.Dial(ctx, network, f.Upstream.String())
	if err != nil {
		return nil, fmt.Errorf("dns forward: dial %s %s: %w", network, f.Upstream, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	read, write := readDatagram, packed
	if network == "tcp" {
		read = readStream
		write = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(write); err != nil {
		return nil, fmt.Errorf("dns forward: ask %s: %w", f.Upstream, err)
	}
	for {
		raw, err := read(conn)
		if err != nil {
			if ctx.Err() != nil {
				f.count.timeouts.Add(1)
			}
			return nil, fmt.Errorf("dns forward: reply of %s: %w", f.Upstream, err)
		}
		reply := new(dns.Msg)
		if reply.Unpack(raw) == nil && matches(reply, ask) {
			return reply, nil
		}
		// Not the answer to our question: forged or late. The true one may
		// still come before the time is up.
	}
}

// matches reports whether reply answers ask (RFC 5452 §9.1).
func matches(reply, ask *dns.Msg) bool {
	if !reply.Response || reply.Id != ask.Id || len(reply.Question) != 1 {
		return false
	}
	r, a := reply.Question[0], ask.Question[0]
	return r.Qtype == a.Qtype && r.Qclass == a.Qclass && strings.EqualFold(r.Name, a.Name)
}

func readDatagram(conn net.Conn) ([]byte, error) {
	buf := make([]byte, readBuffer)
	n, err := conn.Read(buf)
	return buf[:n], err
}

var errEmptyMessage = errors.New("message of no octets")

func readStream(conn net.Conn) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n == 0 {
		return nil, errEmptyMessage
	}
	buf := make([]byte, n)
	_, err := io.ReadFull(conn, buf)
	return buf, err
}
