//go:build e2e

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"seikan/e2e/world"
	"seikan/internal/linux/netapply"
)

// Sizes of datagrams: of 64 octets of payload, and such that the IP packet has
// 1,400, which fits into every contender's tunnel.
const (
	smallest = 64
	largest  = 1400 - 28
)

// A rate passes when at most one datagram in so many is lost, in one of a few
// tries: where threads run decides much on few processors.
const (
	lossless = 1000
	tries    = 3
)

const (
	firstRate = 50_000 // datagrams a second
	growth    = 1.6
	// batch is how many datagrams a system call sends or receives.
	batch = 64
	// tick is how often the sender sends what is due; what is due for longer
	// than patience is left out rather than sent as a burst.
	tick     = 200 * time.Microsecond
	patience = time.Millisecond
	// straggle is how long the last ones may be under way.
	straggle = 150 * time.Millisecond
)

// A shooter sends datagrams from the client to the server, or the other way, and
// counts what comes.
type shooter struct {
	out, in  *net.UDPConn
	size     int
	trial    uint64        // the one under way; others' datagrams do not count
	came     atomic.Uint64 // datagrams of the trial
	current  atomic.Uint64 // trial, for the receiver
	lasting  time.Duration // of a trial
	received chan struct{} // closed when the receiver has ended
}

func newShooter(size int, down bool, lasting time.Duration) (*shooter, error) {
	s := &shooter{size: size, lasting: lasting, received: make(chan struct{})}
	from, to, at := client, server, serverAddr
	if down {
		from, to, at = server, client, clientAddr
	}
	err := netapply.InNamespace(to, func() (err error) {
		s.in, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(at)})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = netapply.InNamespace(from, func() (err error) {
		s.out, err = net.DialUDP("udp4", nil, s.in.LocalAddr().(*net.UDPAddr))
		return err
	})
	if err == nil {
		err = world.Deepen(s.in, 32<<20)
	}
	if err != nil {
		return nil, errors.Join(err, s.in.Close())
	}
	go s.receive()
	return s, nil
}

func (s *shooter) close() {
	_ = s.in.Close()
	_ = s.out.Close()
	<-s.received
}

func (s *shooter) receive() {
	defer close(s.received)
	conn := ipv4.NewPacketConn(s.in)
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, s.size+1)}
	}
	for {
		n, err := conn.ReadBatch(messages, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		of, count := s.current.Load(), uint64(0)
		for i := range max(n, 0) {
			if messages[i].N == s.size && binary.BigEndian.Uint64(messages[i].Buffers[0]) == of {
				count++
			}
		}
		s.came.Add(count)
	}
}

// A shot is what became of one trial.
type shot struct {
	rate float64 // datagrams that came, a second
	sent int
	lost int
	slow bool // the sender could not keep to the rate
}

// shoot sends at a rate.
func (s *shooter) shoot(rate float64) (shot, error) {
	s.trial++
	s.current.Store(s.trial)
	s.came.Store(0)
	type result struct {
		sent int
		took time.Duration
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		// The sender's thread has priority, or its bursts would be measured. It
		// ends with the goroutine.
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20)
		began := time.Now()
		sent, err := s.send(rate, began)
		ended <- result{sent, time.Since(began), err}
	}()
	r := <-ended
	if r.err != nil {
		return shot{}, r.err
	}
	time.Sleep(straggle)
	came := int(s.came.Load())
	return shot{
		rate: float64(came) / r.took.Seconds(), sent: r.sent, lost: max(0, r.sent-came),
		slow: float64(r.sent) < 0.93*rate*r.took.Seconds(),
	}, nil
}

// send keeps to the rate from began on, and returns how many it sent.
func (s *shooter) send(rate float64, began time.Time) (sent int, err error) {
	conn := ipv4.NewPacketConn(s.out)
	messages := make([]ipv4.Message, batch)
	for i := range messages {
		b := make([]byte, s.size)
		binary.BigEndian.PutUint64(b, s.trial)
		messages[i].Buffers = [][]byte{b}
	}
	skipped := 0
	for {
		since := time.Since(began)
		if since > s.lasting {
			return sent, nil
		}
		due := int(since.Seconds()*rate) - skipped - sent
		if most := int(patience.Seconds()*rate) + batch; due > most {
			skipped += due - most
			due = most
		}
		for due > 0 {
			n, err := conn.WriteBatch(messages[:min(due, batch)], 0)
			// A full queue on the way is a loss, which the receiver notices.
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return sent, fmt.Errorf("sending: %w", err)
			}
			n = max(n, 1)
			sent, due = sent+n, due-n
		}
		pause := unix.NsecToTimespec(int64(tick))
		_ = unix.Nanosleep(&pause, nil)
	}
}

// passes tries a rate, and returns what came of the try that passed, or of the
// last.
func (s *shooter) passes(rate float64) (last shot, ok bool, err error) {
	for range tries {
		if last, err = s.shoot(rate); err != nil {
			return last, false, err
		}
		if last.lost*lossless <= last.sent && last.sent > 0 {
			return last, true, nil
		}
	}
	return last, false, nil
}

// highest looks for the highest rate that passes, until one that passes and one
// that does not are near. It is 0 if even a few a second are lost.
func (s *shooter) highest(near float64) (best float64, err error) {
	low, high, came := 0.0, firstRate*1.0, false
	for {
		got, ok, err := s.passes(high)
		if err != nil {
			return 0, err
		}
		came = came || got.rate > 0
		if !ok {
			break
		}
		best, low = max(best, got.rate), high
		if got.slow {
			return best, nil // the sender's limit
		}
		high *= growth
	}
	for high > low*near && high > firstRate/100 {
		middle := (low + high) / 2
		got, ok, err := s.passes(middle)
		if err != nil {
			return 0, err
		}
		came = came || got.rate > 0
		if ok {
			best, low = max(best, got.rate), middle
		} else {
			high = middle
		}
	}
	if !came {
		return 0, errors.New("no datagram came at any rate")
	}
	return best, nil
}

// measureUDP is the most datagrams a second, of either size, either way.
func (s *session) measureUDP(take taker) error {
	lasting, near := 700*time.Millisecond, 1.04
	if s.plan.short {
		lasting, near = 400*time.Millisecond, 1.15
	}
	for _, m := range []struct {
		name string
		size int
		down bool
	}{{"udp.small.up", smallest, false}, {"udp.small.down", smallest, true}, {"udp.large.up", largest, false}, {"udp.large.down", largest, true}} {
		sh, err := newShooter(m.size, m.down, lasting)
		if err != nil {
			return err
		}
		best, err := sh.highest(near)
		sh.close()
		if err != nil {
			return fmt.Errorf("datagrams of %d octets: %w", m.size, err)
		}
		take(m.name, best)
	}
	return nil
}
