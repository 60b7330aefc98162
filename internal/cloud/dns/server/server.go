// Package server answers DNS over sockets that its caller opened (RFC 1035,
// RFC 7766, RFC 6891).
//
// A Server reads questions from one packet socket and one stream listener and
// gives each to an Answerer: a Resolver, which is a VPC's ".2" (pl §3.6), or a
// Forwarder, which is a directory's DNS (pl §3.9). It opens no listening socket
// and no namespace, knows nothing of the store, and bounds everything that a
// stranger can make it hold: questions in work, connections, the time and size
// of each. internal/cloud/host and tests call it.
package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// An Answerer answers one well-formed question of class IN. The reply carries
// rcode and sections; header flags, question, EDNS and truncation are the
// Server's business. It must return soon after ctx ends, and may be called by
// many goroutines at once.
type Answerer interface {
	Answer(ctx context.Context, question *dns.Msg) *dns.Msg
}

// A Config describes a Server. Packet, Listener or both are given; the Server
// closes them when Serve returns.
type Config struct {
	Packet   net.PacketConn
	Listener net.Listener
	Answerer Answerer

	MaxQueries   int           // questions in work at once; 0 is 256. Above it datagrams are dropped
	MaxConns     int           // stream connections at once; 0 is 64. Above it new ones are closed
	MaxPerPeer   int           // of those, from one address; 0 is 16
	IdleTimeout  time.Duration // of a stream connection between messages; 0 is 10 s
	QueryTimeout time.Duration // for one answer; 0 is 5 s
}

// Counters are what a Server has done since it was made.
type Counters struct {
	Queries     uint64 // answered
	Malformed   uint64 // answered with FORMERR or, when too short or a reply, not at all
	Dropped     uint64 // datagrams dropped because MaxQueries were in work
	Connections uint64 // stream connections accepted
	Refused     uint64 // stream connections closed because MaxConns or MaxPerPeer were open
	Truncated   uint64 // replies that did not fit a datagram
}

const (
	maxUDP = 1232 // octets of a datagram that never needs fragments (DNS flag day 2020)
	maxTCP = 65535
	// readBuffer is what a question may have. Questions with every EDNS option
	// in use are well below it.
	readBuffer = 4096
)

// A Server serves DNS on one address.
type Server struct {
	cfg   Config
	slots chan struct{}
	count struct {
		queries, malformed, dropped, connections, refused, truncated atomic.Uint64
	}

	// mu guards the fields below it.
	mu     sync.Mutex
	conns  map[net.Conn]string // to the peer's address
	closed bool
}

// New makes a Server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Packet == nil && cfg.Listener == nil {
		return nil, errors.New("dns server: neither Packet nor Listener: give a socket")
	}
	if cfg.Answerer == nil {
		return nil, errors.New("dns server: no Answerer: give a Resolver or a Forwarder")
	}
	if cfg.MaxQueries <= 0 {
		cfg.MaxQueries = 256
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 64
	}
	if cfg.MaxPerPeer <= 0 {
		cfg.MaxPerPeer = 16
	}
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 10 * time.Second
	}
	if cfg.QueryTimeout <= 0 {
		cfg.QueryTimeout = 5 * time.Second
	}
	return &Server{cfg: cfg, slots: make(chan struct{}, cfg.MaxQueries), conns: make(map[net.Conn]string)}, nil
}

// Counters reads the counters.
func (s *Server) Counters() Counters {
	return Counters{
		Queries: s.count.queries.Load(), Malformed: s.count.malformed.Load(), Dropped: s.count.dropped.Load(),
		Connections: s.count.connections.Load(), Refused: s.count.refused.Load(), Truncated: s.count.truncated.Load(),
	}
}

// Serve answers until ctx ends, and then returns nil, or until a socket fails.
// When it returns, its sockets and connections are closed and every goroutine
// that it started has returned. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops sync.WaitGroup
	if s.cfg.Packet != nil {
		loops.Go(func() { cancel(s.packets(ctx)) })
	}
	if s.cfg.Listener != nil {
		loops.Go(func() { cancel(s.accept(ctx)) })
	}
	<-ctx.Done()
	s.close()
	loops.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (s *Server) close() {
	if s.cfg.Packet != nil {
		s.cfg.Packet.Close()
	}
	if s.cfg.Listener != nil {
		s.cfg.Listener.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
}

// packets reads datagrams and answers each in a goroutine of its own, of which
// there are at most MaxQueries.
func (s *Server) packets(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	buf := make([]byte, readBuffer)
	for {
		n, peer, err := s.cfg.Packet.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("dns server: read: %w", err)
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.count.dropped.Add(1) // the client asks again; answering late would help nobody
			continue
		}
		packet := append([]byte(nil), buf[:n]...)
		work.Go(func() {
			defer func() { <-s.slots }()
			if reply := s.respond(ctx, packet, maxUDP); reply != nil {
				// A reply that cannot be sent is a reply lost, as on any network.
				_, _ = s.cfg.Packet.WriteTo(reply, peer)
			}
		})
	}
}

// accept takes stream connections, at most MaxConns at once.
func (s *Server) accept(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		conn, err := s.cfg.Listener.Accept()
		if err != nil {
			return fmt.Errorf("dns server: accept: %w", err)
		}
		if !s.admit(conn) {
			s.count.refused.Add(1)
			conn.Close()
			continue
		}
		s.count.connections.Add(1)
		work.Go(func() {
			defer s.release(conn)
			s.stream(ctx, conn)
		})
	}
}

func (s *Server) admit(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.MaxConns {
		return false
	}
	peer, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return false
	}
	same := 0
	for _, other := range s.conns {
		if other == peer {
			same++
		}
	}
	if same >= s.cfg.MaxPerPeer {
		return false
	}
	s.conns[conn] = peer
	return true
}

func (s *Server) release(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	conn.Close()
}

// stream answers the messages of one connection, one after the other: a client
// that sends many keeps only itself waiting.
func (s *Server) stream(ctx context.Context, conn net.Conn) {
	buf := make([]byte, readBuffer)
	for {
		// The deadline covers the whole message, so that one sent octet by
		// octet holds the connection no longer than silence does.
		if conn.SetDeadline(time.Now().Add(s.cfg.IdleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(buf))
		if n > len(buf) {
			s.count.malformed.Add(1)
			return
		}
		if _, err := io.ReadFull(conn, buf[:n]); err != nil {
			return
		}
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		reply := s.respond(ctx, buf[:n], maxTCP)
		<-s.slots
		if reply == nil {
			return
		}
		out := binary.BigEndian.AppendUint16(make([]byte, 0, len(reply)+2), uint16(len(reply)))
		if conn.SetDeadline(time.Now().Add(s.cfg.IdleTimeout)) != nil {
			return
		}
		if _, err := conn.Write(append(out, reply...)); err != nil {
			return
		}
	}
}
