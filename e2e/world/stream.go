//go:build e2e

package world

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Delivery is what became of the datagrams of a Stream.
type Delivery struct {
	Direction  string
	Sent       int
	Lost       int // never came
	Duplicated int // came again
	Late       int // came after one that was sent later
	// Away is the longest time in which none came, by the receiver's clock.
	Away time.Duration
	// Marked is how many of those lost were sent within two seconds of a Mark.
	Marked int
	// Gaps are the first runs of lost ones: when each began, to the rate of the
	// stream, and how long it was.
	Gaps []string
}

// String is for a report.
func (d Delivery) String() string {
	return fmt.Sprintf("%s: %d sent, %d lost, %d duplicated, %d late; none came for %v at most; lost within 2 s of a mark: %d; gaps: %s",
		d.Direction, d.Sent, d.Lost, d.Duplicated, d.Late, d.Away.Round(time.Millisecond), d.Marked, strings.Join(d.Gaps, ", "))
}

// A Stream sends small datagrams at a constant rate, each with its number, and
// takes note of which come.
type Stream struct {
	direction string
	out       net.Conn
	in        *net.UDPConn
	rate      int
	stop      chan struct{}
	done      sync.WaitGroup
	sent      atomic.Int64
	sendErr   error
	marks     []int

	// The receiver owns these until done.
	seen       []bool
	last       int
	duplicated int
	late       int
	came       time.Time
	away       time.Duration
}

// A Path is where a Stream goes.
type Path struct {
	Direction string
	From, To  func(open func() error) error // run open in the namespace of either end
	Address   string                        // of the receiver
}

const (
	// streamSize is the payload of each datagram in octets.
	streamSize = 200
	// straggle is how long after the last datagram one may still come.
	straggle = 2 * time.Second
	// maxGaps is how many gaps are told of.
	maxGaps = 10
)

// StartStream begins to send rate datagrams a second from the client to the
// server, or down to it.
func (w *World) StartStream(up bool, rate int) (*Stream, error) {
	inside := func(ns string) func(func() error) error {
		return func(open func() error) error { return w.In(ns, open) }
	}
	if up {
		return StartStreamOver(Path{"client → server", inside("client"), inside("server"), Server}, rate)
	}
	return StartStreamOver(Path{"server → client", inside("server"), inside("client"), Client}, rate)
}

// StartStreamOver begins to send rate datagrams a second over p.
func StartStreamOver(p Path, rate int) (*Stream, error) {
	s := &Stream{direction: p.Direction, rate: rate, stop: make(chan struct{}), last: -1}
	err := p.To(func() (err error) {
		s.in, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(p.Address)})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = p.From(func() (err error) {
		s.out, err = net.Dial("udp4", s.in.LocalAddr().String())
		return err
	})
	if err == nil {
		err = Deepen(s.in, 16<<20)
	}
	if err != nil {
		s.in.Close()
		return nil, err
	}
	s.done.Go(s.send)
	s.done.Go(s.receive)
	return s, nil
}

// send keeps to the rate over the whole time; what a late tick missed is made
// up for at once, up to 100 ms.
func (s *Stream) send() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	pkt := make([]byte, streamSize)
	began := time.Now()
	for due := 0; ; {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if now := int(time.Since(began).Seconds() * float64(s.rate)); now > due+s.rate/10 {
			due = now - s.rate/10 // this machine stood still; no burst that nobody asked for
		} else if now <= due {
			continue
		}
		for now := int(time.Since(began).Seconds() * float64(s.rate)); due < now; due++ {
			binary.BigEndian.PutUint64(pkt, uint64(s.sent.Load()))
			if _, err := s.out.Write(pkt); err != nil {
				s.sendErr = err
				return
			}
			s.sent.Add(1)
		}
	}
}

// receive takes note until the socket's deadline, which Stop sets.
func (s *Stream) receive() {
	pkt := make([]byte, streamSize+1)
	for {
		n, err := s.in.Read(pkt)
		if err != nil {
			return
		}
		if n != streamSize {
			continue
		}
		now := time.Now()
		if !s.came.IsZero() {
			s.away = max(s.away, now.Sub(s.came))
		}
		s.came = now
		i := int(binary.BigEndian.Uint64(pkt))
		for i >= len(s.seen) {
			s.seen = append(s.seen, make([]bool, 4096)...)
		}
		switch {
		case s.seen[i]:
			s.duplicated++
		case i < s.last:
			s.late++
		}
		s.seen[i] = true
		s.last = max(s.last, i)
	}
}

// Sent is how many datagrams have been sent so far.
func (s *Stream) Sent() int { return int(s.sent.Load()) }

// Mark notes that something happens now; its caller calls Stop, too.
func (s *Stream) Mark() { s.marks = append(s.marks, s.Sent()) }

// marked reports whether datagram i was sent within two seconds of a Mark.
func (s *Stream) marked(i int) bool {
	return slices.ContainsFunc(s.marks, func(m int) bool { return m <= i && i < m+2*s.rate })
}

// Stop ends the stream and says what became of it. The error is that of the
// sender.
func (s *Stream) Stop() (Delivery, error) {
	close(s.stop)
	s.in.SetReadDeadline(time.Now().Add(straggle))
	s.done.Wait()
	defer s.in.Close()
	defer s.out.Close()
	sent := s.Sent()
	d := Delivery{Direction: s.direction, Sent: sent, Duplicated: s.duplicated, Late: s.late}
	d.Away = max(s.away, time.Duration(sent-1-s.last)*time.Second/time.Duration(s.rate))
	run := 0
	for i := range sent + 1 {
		if i < sent && (i >= len(s.seen) || !s.seen[i]) {
			if run++; s.marked(i) {
				d.Marked++
			}
			continue
		}
		if run > 0 && len(d.Gaps) < maxGaps {
			d.Gaps = append(d.Gaps, fmt.Sprintf("%d at %.2f s", run, float64(i-run)/float64(s.rate)))
		}
		d.Lost, run = d.Lost+run, 0
	}
	if s.sendErr != nil && !errors.Is(s.sendErr, os.ErrClosed) {
		return d, fmt.Errorf("%s: %w", s.direction, s.sendErr)
	}
	return d, nil
}
