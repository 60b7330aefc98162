package dataplane

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike/suite"
)

// A host is a network namespace of its own, entered by one thread.
type host struct {
	t    testing.TB
	jobs chan func()
}

func newHost(t testing.TB) *host {
	h := &host{t: t, jobs: make(chan func())}
	entered := make(chan error)
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		entered <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range h.jobs {
			f()
		}
	})
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(h.jobs); wg.Wait() })
	return h
}

// do runs f in h's namespace.
func (h *host) do(f func() error) {
	h.t.Helper()
	result := make(chan error)
	h.jobs <- func() { result <- f() }
	if err := <-result; err != nil {
		h.t.Fatal(err)
	}
}

// openTUN makes a TUN with an address in h.
func (h *host) openTUN(addr string, mtu int) *tun.TUN {
	h.t.Helper()
	var dev *tun.TUN
	h.do(func() (err error) {
		if dev, err = tun.Open("vpn0", mtu); err != nil {
			return err
		}
		link, err := netlink.LinkByName("vpn0")
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(addr)
		if err != nil {
			return err
		}
		return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link))
	})
	return dev
}

// A site is a host behind an end whose TUN is the kernel's.
type site struct {
	*host
	*end
}

// newSites joins two hosts, 169.254.10.1 and .2, by a tunnel.
func newSites(t testing.TB, s suite.ESP, encap bool, mtu int, change func(*TunnelConfig)) (l, r site) {
	t.Helper()
	both := [2]site{}
	for i, own := range []string{"169.254.10.1", "169.254.10.2"} {
		peer := []string{"169.254.10.2", "169.254.10.1"}[i]
		h := newHost(t)
		dev := h.openTUN(own+"/30", mtu)
		both[i] = site{h, newEnd(t, []string{"127.0.0.1", "127.0.0.2"}[i], func(c *TunnelConfig) {
			c.Dev, c.ICMPSource = dev, netip.MustParseAddr(peer)
			if change != nil {
				change(c)
			}
		})}
		both[i].run(t)
	}
	connect(t, both[0].end, both[1].end, s, encap)
	return both[0], both[1]
}

// dial connects l to r by TCP.
func dial(t testing.TB, l, r site) (client, server *net.TCPConn) {
	t.Helper()
	var ln *net.TCPListener
	r.do(func() (err error) {
		ln, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(169, 254, 10, 2)})
		return err
	})
	defer ln.Close()
	ln.SetDeadline(time.Now().Add(patience))
	l.do(func() error {
		conn, err := net.DialTimeout("tcp4", ln.Addr().String(), patience)
		if err != nil {
			return err
		}
		client = conn.(*net.TCPConn)
		return nil
	})
	server, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*net.TCPConn{client, server} {
		c.SetDeadline(time.Now().Add(6 * patience))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// transfer sends data from one end of a connection to the other.
func transfer(from, to *net.TCPConn, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := from.Write(data)
		sent <- errors.Join(err, from.CloseWrite())
	}()
	hash := sha256.New()
	n, err := io.Copy(hash, to)
	err = errors.Join(err, <-sent)
	if want := sha256.Sum256(data); err == nil && (n != int64(len(data)) || !bytes.Equal(hash.Sum(nil), want[:])) {
		err = errors.New("what arrived is not what was sent")
	}
	return err
}

func TestTCPCrossesBetweenKernels(t *testing.T) {
	data := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	for _, tt := range []struct {
		name  string
		s     suite.ESP
		encap bool
		mtu   int // of the TUN
	}{
		{"GCM in UDP", gcm, true, 1438},
		{"GCM in UDP, MTU left to the gateway", gcm, true, 1500},
		{"GCM raw", gcm, false, 1446},
		{"CBC in UDP", cbc, true, 1422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, r := newSites(t, tt.s, tt.encap, tt.mtu, nil)
			client, server := dial(t, l, r)
			start := time.Now()
			var wg sync.WaitGroup
			var there, back error
			wg.Go(func() { there = transfer(client, server, data) })
			wg.Go(func() { back = transfer(server, client, data) })
			wg.Wait()
			if err := errors.Join(there, back); err != nil {
				t.Fatalf("%v; left %+v, right %+v", err, l.tunnel.Counters(), r.tunnel.Counters())
			}
			t.Logf("2 × %d MiB at once in %v; left %+v", len(data)>>20, time.Since(start).Round(time.Millisecond), l.tunnel.Counters())
			if got := l.tunnel.Counters().Drops; got.TooBig+got.Auth+got.Malformed+got.Selector+got.Replay+got.Device != 0 {
				t.Errorf("drops: got %+v, want none", got)
			}
		})
	}
}

// TestKernelBelievesTheICMPError sends a datagram that may not be fragmented
// and is too large, and asks the kernel of the sender what it learned.
func TestKernelBelievesTheICMPError(t *testing.T) {
	l, _ := newSites(t, gcm, true, 1500, func(c *TunnelConfig) { c.HonourDF = true })
	var conn *net.UDPConn
	l.do(func() (err error) {
		conn, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(169, 254, 10, 2), Port: 9})
		return err
	})
	defer conn.Close()
	sys, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	sockopt := func(f func(fd int) error) {
		t.Helper()
		var inner error
		if err := errors.Join(sys.Control(func(fd uintptr) { inner = f(int(fd)) }), inner); err != nil {
			t.Fatal(err)
		}
	}
	sockopt(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	if _, err := conn.Write(make([]byte, 1500-28)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		var mtu int
		sockopt(func(fd int) (err error) {
			mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
			return err
		})
		return mtu == 1438
	})
}

// TestKernelJoinsOurFragments sends datagrams larger than any link.
func TestKernelJoinsOurFragments(t *testing.T) {
	l, r := newSites(t, cbc, true, 1500, nil)
	var from, to *net.UDPConn
	r.do(func() (err error) {
		to, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(169, 254, 10, 2)})
		return err
	})
	defer to.Close()
	l.do(func() (err error) {
		from, err = net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
		return err
	})
	defer from.Close()
	to.SetReadDeadline(time.Now().Add(patience))
	data, got := make([]byte, 9000), make([]byte, 10000)
	rand.NewChaCha8([32]byte{2}).Read(data)
	for _, n := range []int{1472, 1400, 9000, 1473} {
		if _, err := from.Write(data[:n]); err != nil {
			t.Fatal(err)
		}
		k, err := to.Read(got)
		if err != nil || !bytes.Equal(got[:k], data[:n]) {
			t.Fatalf("%d octets: got %d, %v", n, k, err)
		}
	}
}

// TestOutsideOfAnotherNamespace is the gateway of the cloud: the sockets are
// opened in one namespace and used in another that has no way there.
func TestOutsideOfAnotherNamespace(t *testing.T) {
	edge := newHost(t)
	var outs [2]*udp.Outside
	edge.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		for i, addr := range []string{"127.0.0.1", "127.0.0.2"} {
			opened, err := udp.Listen(netip.MustParseAddr(addr), udp.Ports{IKE: udp.IKEPort, NAT: udp.NATPort}, udp.Options{RawESP: true})
			if err != nil {
				return err
			}
			files, err := opened.Files()
			if err != nil {
				return err
			}
			outs[i], err = udp.Adopt(files, udp.Options{})
			for _, f := range files {
				f.Close()
			}
			if err := errors.Join(err, opened.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	for _, o := range outs {
		t.Cleanup(func() { o.Close() })
	}
	a := newEnd(t, "127.0.0.1", func(c *TunnelConfig) { c.Outside = outs[0] })
	b := newEnd(t, "127.0.0.2", func(c *TunnelConfig) { c.Outside = outs[1] })
	a.out, b.out = outs[0], outs[1]
	a.run(t)
	b.run(t)
	connect(t, a, b, gcm, false)
	settle(t, a, b)
}

// BenchmarkTCPBetweenKernels is one TCP connection from one kernel to another
// through both engines, TUN devices and sockets included.
func BenchmarkTCPBetweenKernels(b *testing.B) {
	for _, bb := range []struct {
		name  string
		s     suite.ESP
		encap bool
		mtu   int
	}{
		{"GCM256-UDP", gcm, true, 1438},
		{"GCM256-raw", gcm, false, 1446},
		{"CBC128-SHA256-UDP", cbc, true, 1422},
	} {
		b.Run(bb.name, func(b *testing.B) {
			l, r := newSites(b, bb.s, bb.encap, bb.mtu, nil)
			client, server := dial(b, l, r)
			data, got := make([]byte, 1<<20), make([]byte, 1<<20)
			done := make(chan error, 1)
			go func() {
				for {
					if _, err := io.ReadFull(server, got); err != nil {
						done <- err
						return
					}
					if _, err := server.Write(got[:1]); err != nil {
						done <- err
						return
					}
				}
			}()
			b.SetBytes(int64(len(data)))
			acks := make([]byte, 1)
			for b.Loop() {
				if _, err := client.Write(data); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(client, acks); err != nil {
					b.Fatal(err)
				}
			}
			client.Close()
			<-done
		})
	}
}
