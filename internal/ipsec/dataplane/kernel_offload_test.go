package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/packet"
)

// A countedTUN is a TUN that counts the frames that pass it, by what they are
// made of, and keeps the UDP datagrams that come alone.
type countedTUN struct {
	tun.Device
	mu          sync.Mutex
	read, wrote map[offload.GSO]int
	alone       [][]byte // written
}

func (d *countedTUN) Read(b []byte) (int, error) {
	n, err := d.Device.Read(b)
	if err == nil {
		d.mu.Lock()
		d.read[offload.GSO(b[1])]++
		d.mu.Unlock()
	}
	return n, err
}

func (d *countedTUN) Write(f *tun.Frame) error {
	b := f.AppendTo(nil)
	d.mu.Lock()
	d.wrote[offload.GSO(b[1])]++
	if b[1] == 0 && (b[offload.HeaderLen+9] == packet.ProtoUDP || b[offload.HeaderLen+6] == packet.ProtoUDP) {
		d.alone = append(d.alone, b[offload.HeaderLen:])
	}
	d.mu.Unlock()
	return d.Device.Write(f)
}

// counts are the frames of a kind that were read and written.
func (d *countedTUN) counts(kind offload.GSO) (read, wrote int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.read[kind], d.wrote[kind]
}

// insides are the addresses in the tunnel of newCountedSites, by version of IP.
var insides = map[string][2]string{"4": {"169.254.10.1", "169.254.10.2"}, "6": {"fd00:10::1", "fd00:10::2"}}

// newCountedSites joins two hosts by a tunnel that has addresses of both
// versions of IP, in ESP in UDP, and switches some of their sysctls off.
func newCountedSites(t *testing.T, off ...string) (l, r site, devs [2]*countedTUN) {
	t.Helper()
	i := 0
	l, r = newSites(t, gcm, true, 1438, func(c *TunnelConfig) {
		devs[i] = &countedTUN{Device: c.Dev, read: map[offload.GSO]int{}, wrote: map[offload.GSO]int{}}
		c.Dev = devs[i]
		i++
	})
	for i, h := range []site{l, r} {
		h.do(func() error {
			for _, name := range off {
				if err := os.WriteFile("/proc/sys/"+name, []byte("0"), 0); err != nil {
					return err
				}
			}
			link, err := netlink.LinkByName("vpn0")
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(insides["6"][i] + "/64")
			if err != nil {
				return err
			}
			a.Flags = unix.IFA_F_NODAD
			return netlink.AddrAdd(link, a)
		})
		waitFor(t, func() (ready bool) { // it is an address of the host a little later
			h.do(func() error {
				routes, err := netlink.RouteGet(net.ParseIP(insides["6"][i]))
				ready = err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL
				return nil
			})
			return ready
		})
	}
	return l, r, devs
}

// sockopt sets options of sockets as they are made.
func sockopt(set func(fd int) error) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var inner error
		return errors.Join(c.Control(func(fd uintptr) { inner = set(int(fd)) }), inner)
	}
}

// TestKernelsTCPIsCutAndJoined has the kernel hand over TCP in bulk, of both
// versions of IP, with and without timestamps, in segments of odd sizes, and
// take what the Joiner makes of it.
func TestKernelsTCPIsCutAndJoined(t *testing.T) {
	data := make([]byte, 8<<20+13)
	rand.NewChaCha8([32]byte{3}).Read(data)
	kinds := map[string]offload.GSO{"4": offload.TCPv4, "6": offload.TCPv6}
	for _, stamps := range []bool{true, false} {
		var off []string
		if !stamps {
			off = []string{"net/ipv4/tcp_timestamps"}
		}
		for v, addrs := range insides {
			for _, mss := range []int{0, 1201, 537} {
				t.Run(fmt.Sprintf("IPv%s, timestamps %v, MSS %d", v, stamps, mss), func(t *testing.T) {
					l, r, devs := newCountedSites(t, off...)
					control := sockopt(func(fd int) error {
						if mss == 0 {
							return nil
						}
						return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, mss)
					})
					client, server := dialWith(t, l, r, addrs[1], control)
					var wg sync.WaitGroup
					var there, back error
					wg.Go(func() { there = transfer(client, server, data) })
					wg.Go(func() { back = transfer(server, client, data) })
					wg.Wait()
					if err := errors.Join(there, back); err != nil {
						t.Fatalf("%v; left %+v, right %+v", err, l.tunnel.Counters(), r.tunnel.Counters())
					}
					for i, d := range devs {
						read, wrote := d.counts(kinds[v])
						if read == 0 || wrote == 0 {
							t.Errorf("end %d: %d frames of several segments read, %d written, want some", i, read, wrote)
						}
					}
					for _, e := range []site{l, r} {
						if got := e.tunnel.Counters().Drops; got.Malformed+got.Device+got.Auth+got.TooBig+got.Selector != 0 {
							t.Errorf("drops: got %+v, want none", got)
						}
					}
				})
			}
		}
	}
}

// dialWith connects l to addr of r by TCP; control is of both sockets.
func dialWith(t *testing.T, l, r site, addr string, control func(string, string, syscall.RawConn) error) (client, server *net.TCPConn) {
	t.Helper()
	var ln net.Listener
	r.do(func() (err error) {
		lc := net.ListenConfig{Control: control}
		ln, err = lc.Listen(t.Context(), "tcp", net.JoinHostPort(addr, "0"))
		return err
	})
	defer ln.Close()
	l.do(func() error {
		conn, err := (&net.Dialer{Timeout: patience, Control: control}).Dial("tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		client = conn.(*net.TCPConn)
		return nil
	})
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = conn.(*net.TCPConn)
	for _, c := range []*net.TCPConn{client, server} {
		c.SetDeadline(time.Now().Add(6 * patience))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// listenUDP opens a socket of h that holds many datagrams and takes those
// without a checksum.
func (h *host) listenUDP(addr string) (conn *net.UDPConn) {
	h.t.Helper()
	h.do(func() error {
		lc := net.ListenConfig{Control: sockopt(func(fd int) error {
			err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
			if addr[0] == 'f' {
				err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_RX, 1))
			}
			return err
		})}
		c, err := lc.ListenPacket(h.t.(*testing.T).Context(), "udp", net.JoinHostPort(addr, "0"))
		if err != nil {
			return err
		}
		conn = c.(*net.UDPConn)
		return conn.SetReadDeadline(time.Now().Add(patience))
	})
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// dialUDP opens a socket of h towards to.
func (h *host) dialUDP(to net.Addr, set func(fd int) error) (conn *net.UDPConn) {
	h.t.Helper()
	h.do(func() error {
		c, err := (&net.Dialer{Control: sockopt(set)}).Dial("udp", to.String())
		if err != nil {
			return err
		}
		conn = c.(*net.UDPConn)
		return nil
	})
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// sendTrain has the kernel cut data into datagrams of size octets (UDP_SEGMENT),
// or leave that to whom the train comes to.
func sendTrain(conn *net.UDPConn, data []byte, size int) error {
	oob := make([]byte, unix.CmsgSpace(2))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[unix.CmsgLen(0):], uint16(size))
	_, _, err := conn.WriteMsgUDP(data, oob, nil)
	return err
}

// readDatagrams reads n datagrams.
func readDatagrams(t *testing.T, conn *net.UDPConn, n int) (got [][]byte) {
	t.Helper()
	b := make([]byte, 65536)
	for range n {
		k, err := conn.Read(b)
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", len(got), n, err)
		}
		got = append(got, bytes.Clone(b[:k]))
	}
	return got
}

// TestKernelsUDPTrainsAreCutAndJoined has an application send trains of
// datagrams, which a TUN with USO hands over whole, and an application that
// knows nothing of trains read them from the frames that the Joiner makes.
func TestKernelsUDPTrainsAreCutAndJoined(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{4})
	for v, addrs := range insides {
		t.Run("IPv"+v, func(t *testing.T) {
			l, r, devs := newCountedSites(t)
			if !devs[0].JoinsUDP() {
				t.Fatal("this kernel's TUN knows no USO: Linux 6.2 is needed")
			}
			to := r.listenUDP(addrs[1])
			from := l.dialUDP(to.LocalAddr(), func(int) error { return nil })
			for _, tt := range []struct{ size, octets int }{{1200, 40 * 1200}, {1201, 40*1201 - 7}, {7, 64*7 - 6}, {1, 64}, {100, 101}, {999, 3 * 999}} {
				var want [][]byte
				for range 5 {
					data := make([]byte, tt.octets)
					noise.Read(data)
					want = slices.AppendSeq(want, slices.Chunk(data, tt.size))
					if err := sendTrain(from, data, tt.size); err != nil {
						t.Fatal(err)
					}
				}
				for i, got := range readDatagrams(t, to, len(want)) {
					if !bytes.Equal(got, want[i]) {
						t.Fatalf("%d octets by %d, datagram %d: got %d octets, want %d and the same", tt.octets, tt.size, i, len(got), len(want[i]))
					}
				}
			}
			read, _ := devs[0].counts(offload.UDP)
			_, wrote := devs[1].counts(offload.UDP)
			if read == 0 || wrote == 0 {
				t.Errorf("frames of several datagrams: %d read, %d written, want some", read, wrote)
			}
			for _, e := range []site{l, r} {
				got := e.tunnel.Counters().Drops
				got.NoSA = 0 // the kernel's own, about IPv6, before there was an SA
				if got != (Drops{}) {
					t.Errorf("drops: got %+v, want none", got)
				}
			}
		})
	}
}

// TestDatagramsWithoutChecksumStayAsTheyAre sends datagrams that have none from
// one kernel to the other: they arrive, each in a frame of its own, and still
// have none.
func TestDatagramsWithoutChecksumStayAsTheyAre(t *testing.T) {
	for v, addrs := range insides {
		t.Run("IPv"+v, func(t *testing.T) {
			l, r, devs := newCountedSites(t)
			to := r.listenUDP(addrs[1])
			from := l.dialUDP(to.LocalAddr(), func(fd int) error {
				if v == "6" {
					return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_TX, 1)
				}
				return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
			})
			const n = 200
			var want [][]byte
			for i := range n {
				want = append(want, bytes.Repeat([]byte{byte(i)}, 300))
				if _, err := from.Write(want[i]); err != nil {
					t.Fatal(err)
				}
			}
			for i, got := range readDatagrams(t, to, n) {
				if !bytes.Equal(got, want[i]) {
					t.Fatalf("datagram %d: other content", i)
				}
			}
			if _, wrote := devs[1].counts(offload.UDP); wrote != 0 {
				t.Errorf("frames of several datagrams: got %d, want none", wrote)
			}
			devs[1].mu.Lock()
			defer devs[1].mu.Unlock()
			at := 26
			if v == "6" {
				at = 46
			}
			found := 0
			for _, p := range devs[1].alone {
				if len(p) == at+2+300 && p[at] == 0 && p[at+1] == 0 {
					found++
				}
			}
			if found != n {
				t.Errorf("datagrams without a checksum written: got %d, want %d", found, n)
			}
		})
	}
}
