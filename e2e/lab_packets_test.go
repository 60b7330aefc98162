//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rounds is how often each forbidden packet is sent: enforcement that holds
// nearly always does not hold.
const rounds = 20

// A forged is an IPv4 packet as somebody writes it who obeys nothing.
type forged struct {
	proto    int // unix.IPPROTO_ICMP, _TCP (a SYN) or _UDP
	src, dst netip.Addr
	port     uint16 // at dst; for ICMP, an echo request, unused
	// link is the link by which it must leave; empty: as routes say.
	link string
}

func (f forged) String() string {
	return fmt.Sprintf("proto %d %v → %v:%d %s", f.proto, f.src, f.dst, f.port, f.link)
}

// bytes is the packet with mark as its payload.
func (f forged) bytes(mark string) []byte {
	var transport []byte
	switch f.proto {
	case unix.IPPROTO_ICMP:
		transport = append([]byte{8, 0, 0, 0, 0x13, 0x37, 0, 1}, mark...)
		binary.BigEndian.PutUint16(transport[2:], checksum(transport))
	case unix.IPPROTO_UDP:
		// Its checksum stays 0: none.
		transport = binary.BigEndian.AppendUint16([]byte{0xb0, 0x0b}, f.port)
		transport = binary.BigEndian.AppendUint16(transport, uint16(8+len(mark)))
		transport = append(append(transport, 0, 0), mark...)
	case unix.IPPROTO_TCP:
		transport = binary.BigEndian.AppendUint16([]byte{0xb0, 0x0b}, f.port)
		transport = append(transport, 0, 0, 0, 1, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
		transport = append(transport, mark...)
		src, dst := f.src.As4(), f.dst.As4()
		pseudo := append(append(src[:], dst[:]...), 0, unix.IPPROTO_TCP)
		pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(transport)))
		binary.BigEndian.PutUint16(transport[16:], checksum(append(pseudo, transport...)))
	}
	// The kernel fills in the length, the identification and the checksum.
	header := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, byte(f.proto), 0, 0}
	header = append(header, f.src.AsSlice()...)
	return append(append(header, f.dst.AsSlice()...), transport...)
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// burst is how many packets are sent without waiting: fewer than a TUN's queue
// holds, so that what does not arrive was not lost on the way.
const burst = 100

// An allowed packet must arrive at a namespace. Sent after those that must not,
// it shows that they would have arrived by now.
type allowed struct {
	forged
	to string
}

// forge sends each packet from inside a namespace, in rounds, and demands that
// the allowed one arrives each time. Where it does not, as when a tunnel on a
// busy machine was just found dead, the same are sent again.
func (l *runningLab) forge(ns, mark string, control allowed, packets ...forged) {
	l.t.Helper()
	const proof = "seikan-e2e-allowed"
	w := l.watch(control.to)[0]
	for range rounds {
		for some := range slices.Chunk(packets, burst) {
			until(l.t, fmt.Sprintf("allowed packet (%v) at %s", control.forged, control.to), patience, func() error {
				before := w.look(l.t, proof)
				l.send(ns, mark, some...)
				l.send(ns, proof, control.forged)
				for end := time.Now().Add(time.Second); time.Now().Before(end); w.wait(time.Until(end)) {
					if w.look(l.t, proof) > before {
						return nil
					}
				}
				l.t.Logf("the allowed packet did not arrive at %s; sending again", control.to)
				return errors.New("none")
			})
		}
	}
}

// wait returns when there is something to look at, or after limit.
func (w *watcher) wait(limit time.Duration) {
	unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
}

// send sends each packet once. One that the namespace's own kernel has no way
// for is not sent.
func (l *runningLab) send(ns, mark string, packets ...forged) {
	l.t.Helper()
	err := l.in(ns, func() error {
		for _, p := range packets {
			err := p.send(mark)
			if err != nil && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH) {
				return fmt.Errorf("%v: %w", p, err)
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatalf("%s: %v", ns, err)
	}
}

func (f forged) send(mark string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if f.link != "" {
		if err := unix.BindToDevice(fd, f.link); err != nil {
			return err
		}
	}
	return unix.Sendto(fd, f.bytes(mark), 0, &unix.SockaddrInet4{Addr: f.dst.As4()})
}

// A watcher sees every packet that a namespace receives or sends, by whatever
// link.
type watcher struct {
	ns   string
	fd   int
	seen []string // what held the mark
}

// watch begins to watch namespaces.
func (l *runningLab) watch(namespaces ...string) (all []*watcher) {
	l.t.Helper()
	for _, ns := range namespaces {
		w := &watcher{ns: ns}
		err := l.in(ns, func() (err error) {
			const everything = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
			if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, everything); err != nil {
				return err
			}
			return unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		})
		if err != nil {
			l.t.Fatalf("watch %s: %v", ns, err)
		}
		l.t.Cleanup(func() { unix.Close(w.fd) })
		all = append(all, w)
	}
	return all
}

// look reads what was seen since and returns how many packets held mark.
func (w *watcher) look(t testing.TB, mark string) int {
	t.Helper()
	frame := make([]byte, 65536)
	for {
		n, _, err := unix.Recvfrom(w.fd, frame, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if errors.Is(err, syscall.ENETDOWN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("watch %s: %v", w.ns, err)
		}
		if bytes.Contains(frame[:n], []byte(mark)) && n >= 20 {
			w.seen = append(w.seen, fmt.Sprintf("proto %d %v → %v", frame[9], net.IP(frame[12:16]), net.IP(frame[16:20])))
		}
	}
	stats, err := unix.GetsockoptTpacketStats(w.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		t.Fatalf("watch %s: missed %d packets, %v", w.ns, stats.Drops, err)
	}
	return len(w.seen)
}

// unseen demands that no watcher saw mark.
func unseen(t testing.TB, mark string, watchers []*watcher) {
	t.Helper()
	for _, w := range watchers {
		if got := w.look(t, mark); got != 0 {
			seen := slices.Clone(w.seen)
			slices.Sort(seen)
			t.Errorf("%s: saw %d forbidden packets, want none: %s", w.ns, got, strings.Join(slices.Compact(seen), "; "))
		}
	}
}

// addresses are the IPv4 addresses of a namespace but loopback's.
func (l *runningLab) addresses(namespaces ...string) (out []netip.Addr) {
	l.t.Helper()
	for _, ns := range namespaces {
		err := l.in(ns, func() error {
			all, err := net.InterfaceAddrs()
			for _, a := range all {
				p, bad := netip.ParsePrefix(a.String())
				if bad == nil && p.Addr().Is4() && !p.Addr().IsLoopback() && !slices.Contains(out, p.Addr()) {
					out = append(out, p.Addr())
				}
			}
			return err
		})
		if err != nil {
			l.t.Fatalf("addresses of %s: %v", ns, err)
		}
	}
	if len(out) == 0 {
		l.t.Fatalf("%v have no address", namespaces)
	}
	return out
}

// everyWay is a packet of each protocol from src to each of dsts.
func everyWay(src netip.Addr, link string, dsts ...netip.Addr) (out []forged) {
	for _, dst := range dsts {
		out = append(out, forged{unix.IPPROTO_ICMP, src, dst, 0, link}, forged{unix.IPPROTO_UDP, src, dst, 53, link},
			forged{unix.IPPROTO_TCP, src, dst, 443, link}, forged{unix.IPPROTO_TCP, src, dst, 21, link})
	}
	return out
}
