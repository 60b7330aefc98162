//go:build e2e

package world

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
)

// linger is how long the last answers may take. The program ping waits for two
// round trips only, which a busy machine exceeds.
const linger = 2 * time.Second

// maxBurst is how many requests that are late are sent at once.
const maxBurst = 20

// ICMP (RFC 792).
const (
	icmpEcho    = 8
	icmpAnswer  = 0
	icmpHeader  = 8
	icmpPayload = 56
)

// Ping sends count echo requests from a namespace, one each interval, and
// returns how many were sent and answered. The error is the socket's, not loss.
func (w *World) Ping(ns, to string, count int, interval time.Duration) (sent, answered int, err error) {
	target, err := netip.ParseAddr(to)
	if err != nil {
		return 0, 0, err
	}
	var conn net.PacketConn
	err = w.In(ns, func() (err error) {
		conn, err = net.ListenPacket("ip4:icmp", "0.0.0.0")
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("ping %s: %w", to, err)
	}
	defer conn.Close()
	id := uint16(rand.Uint32())
	var got atomic.Int64
	all := make(chan struct{})
	go func() {
		if hear(conn, target, id, count, &got) {
			close(all)
		}
	}()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	request := make([]byte, icmpHeader+icmpPayload)
	began := time.Now()
	for sent = range count {
		request[0], request[2], request[3] = icmpEcho, 0, 0
		binary.BigEndian.PutUint16(request[4:], id)
		binary.BigEndian.PutUint16(request[6:], uint16(sent))
		binary.BigEndian.PutUint16(request[2:], checksum(request))
		// Without a route nothing is sent and nothing is answered: a loss.
		conn.WriteTo(request, &net.IPAddr{IP: target.AsSlice()})
		// A busy machine drops ticks; the requests that were due meanwhile
		// follow at once, but for so many that a socket might not hold them.
		lag := time.Since(began) - time.Duration(sent+1)*interval
		if lag < 0 {
			<-tick.C
		}
		began = began.Add(max(0, lag-maxBurst*interval))
	}
	late := time.NewTimer(linger)
	defer late.Stop()
	select {
	case <-all:
	case <-late.C:
	}
	return count, int(got.Load()), nil
}

// hear counts the answers until count of them have come, each once, and reports
// whether they have before the socket was closed.
func hear(conn net.PacketConn, from netip.Addr, id uint16, count int, got *atomic.Int64) bool {
	seen := make([]bool, count)
	answer := make([]byte, 2048)
	for int(got.Load()) < count {
		n, addr, err := conn.ReadFrom(answer)
		if errors.Is(err, net.ErrClosed) {
			return false
		}
		if err != nil || n < icmpHeader || answer[0] != icmpAnswer || binary.BigEndian.Uint16(answer[4:]) != id || addr.String() != from.String() {
			continue
		}
		if seq := int(binary.BigEndian.Uint16(answer[6:])); seq < count && !seen[seq] {
			seen[seq] = true
			got.Add(1)
		}
	}
	return true
}

// checksum is that of RFC 1071, over an even number of octets.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// PingSize sends one echo request with so many octets of data from the client
// to the server, and returns what ping printed and whether it was answered.
// With whole set no gateway may cut it (the DF bit).
func (w *World) PingSize(octets int, whole bool) (printed string, answered bool) {
	may := "dont"
	if whole {
		may = "do"
	}
	out, err := w.Command("client", "ping", "-c", "1", "-W", "2", "-M", may, "-s", strconv.Itoa(octets), Server).CombinedOutput()
	return string(out), err == nil
}

// Reach checks with one ping that the server answers the client within a
// second.
func (w *World) Reach() error {
	out, err := w.Command("client", "ping", "-q", "-c", "1", "-W", "1", Server).CombinedOutput()
	if _, exit := errors.AsType[*exec.ExitError](err); exit {
		return fmt.Errorf("no answer from %s: %s", Server, out)
	}
	return err
}
