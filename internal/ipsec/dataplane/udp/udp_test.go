package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/ike"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// patience is how long a test waits for a datagram on loopback.
const patience = 10 * time.Second

var (
	addrA = netip.MustParseAddr("127.0.0.1")
	addrB = netip.MustParseAddr("127.0.0.2")
)

func listen(t testing.TB, addr netip.Addr, p Ports, opt Options) *Outside {
	t.Helper()
	o, err := Listen(addr, p, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// A datagram is a copy of what arrived.
type datagram struct {
	data  []byte
	from  netip.AddrPort
	local netip.Addr
	tos   uint8
}

// collect reads until n datagrams have arrived, trains taken apart, and says
// how many messages carried them.
func collect(t testing.TB, r *Reader, n int) (got []datagram, messages int) {
	t.Helper()
	if err := r.s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for len(got) < n {
		k, err := r.Read()
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", len(got), n, err)
		}
		for i := range k {
			m := r.Message(i)
			messages++
			for data := m.Data; len(data) > 0; data = data[min(m.Segment, len(data)):] {
				got = append(got, datagram{bytes.Clone(data[:min(m.Segment, len(data))]), m.From, m.Local, m.TOS})
			}
		}
	}
	return got, messages
}

// numbered are packets of the sizes given, each beginning with its number.
func numbered(sizes ...int) [][]byte {
	var pkts [][]byte
	for i, n := range sizes {
		p := bytes.Repeat([]byte{byte(i)}, n)
		binary.BigEndian.PutUint32(p, uint32(i))
		pkts = append(pkts, p)
	}
	return pkts
}

func same(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

func to(o *Outside, k Kind) netip.AddrPort {
	switch k {
	case IKE:
		return netip.AddrPortFrom(o.addr, o.ports.IKE)
	case NAT:
		return netip.AddrPortFrom(o.addr, o.ports.NAT)
	}
	return netip.AddrPortFrom(o.addr, 0)
}

func TestBatchesArriveWholeAndInOrder(t *testing.T) {
	a, b := listen(t, addrA, Ports{}, Options{RawESP: true}), listen(t, addrB, Ports{}, Options{RawESP: true})
	mixed := []int{100, 100, 60, 100, 1400, 1400, 1400, 8, 1400, 1401, 1400}
	for _, tt := range []struct {
		name  string
		sizes []int
		gso   bool
	}{
		{"none", nil, true},
		{"one", []int{4}, true},
		{"equal", same(300, 1400), true},
		{"equal, one by one", same(300, 1400), false},
		{"mixed", mixed, true},
		{"mixed, one by one", mixed, false},
		{"largest", []int{65507, 65507, 9000}, true},
		{"many small", same(200, 40), true},
	} {
		for _, k := range []Kind{NAT, Raw} {
			if k == Raw && tt.name == "largest" {
				tt.sizes = []int{65515, 9000} // no UDP header
			}
			t.Run(tt.name+" "+k.String(), func(t *testing.T) {
				s := a.Socket(k)
				if k == NAT {
					old := s.gso.Swap(tt.gso && s.gso.Load())
					t.Cleanup(func() { s.gso.Store(old) })
				}
				pkts := numbered(tt.sizes...)
				r := b.Socket(k).NewReader()
				sent, err := s.NewWriter().Write(pkts, netip.Addr{}, to(b, k))
				if err != nil || sent != len(pkts) {
					t.Fatalf("sent %d, %v, want %d", sent, err, len(pkts))
				}
				got, _ := collect(t, r, len(pkts))
				for i := range pkts {
					if !bytes.Equal(got[i].data, pkts[i]) {
						t.Fatalf("packet %d: got %d octets, want %d", i, len(got[i].data), len(pkts[i]))
					}
					if got[i].from != to(a, k) {
						t.Fatalf("packet %d: from %v, want %v", i, got[i].from, to(a, k))
					}
				}
			})
		}
	}
}

// TestEveryPacketKeepsItsMark sends marks that change in the middle of what
// would be a train, from a socket that needs IP_PKTINFO too.
func TestEveryPacketKeepsItsMark(t *testing.T) {
	any4, b := listen(t, netip.IPv4Unspecified(), Ports{}, Options{RawESP: true}), listen(t, addrB, Ports{}, Options{RawESP: true})
	pkts := numbered(same(200, 1200)...)
	tos := make([]uint8, len(pkts))
	for i := range tos {
		tos[i] = []uint8{0, 0xb8, 0xb9, 2, 3}[i/3%5] // default, EF, EF with ECT(1), ECT(0), CE
	}
	for _, k := range []Kind{NAT, Raw} {
		r := b.Socket(k).NewReader()
		sent, err := any4.Socket(k).NewWriter().WriteMarked(pkts, tos, addrA, to(b, k))
		if err != nil || sent != len(pkts) {
			t.Fatalf("%v: sent %d, %v, want %d", k, sent, err, len(pkts))
		}
		got, messages := collect(t, r, len(pkts))
		for i := range pkts {
			if !bytes.Equal(got[i].data, pkts[i]) || got[i].tos != tos[i] || got[i].from.Addr() != addrA {
				t.Fatalf("%v: packet %d: got %d octets of type of service %#x from %v, want %d of %#x from %v",
					k, i, len(got[i].data), got[i].tos, got[i].from, len(pkts[i]), tos[i], addrA)
			}
		}
		if k == NAT && any4.nat.gso.Load() && messages == len(pkts) {
			t.Errorf("%v: every packet came alone, want trains of one mark", k)
		}
	}
	if _, err := any4.nat.NewWriter().WriteMarked(pkts, tos[1:], addrA, to(b, NAT)); err == nil {
		t.Error("a mark too few: got no error")
	}
}

func TestKernelCarriesTrains(t *testing.T) {
	a, b := listen(t, addrA, Ports{}, Options{}), listen(t, addrB, Ports{}, Options{})
	if !a.nat.gso.Load() || !b.nat.gro {
		t.Fatal("UDP_SEGMENT and UDP_GRO: the kernel has not both, want Linux 5.0 or later")
	}
	pkts := numbered(same(128, 1400)...)
	if _, err := a.nat.NewWriter().Write(pkts, netip.Addr{}, to(b, NAT)); err != nil {
		t.Fatal(err)
	}
	if _, messages := collect(t, b.nat.NewReader(), len(pkts)); messages >= len(pkts)/8 {
		t.Errorf("%d packets came in %d messages, want far fewer", len(pkts), messages)
	}
}

func TestTrainThatDoesNotFitTheLinkGoesOneByOne(t *testing.T) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMTU(lo, 1280); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkSetMTU(lo, 65536) })
	a, b := listen(t, addrA, Ports{}, Options{}), listen(t, addrB, Ports{}, Options{})
	sendTwice(t, a, b, 1400)

	// A refused packet before the train makes nothing go twice.
	pkts := numbered(append([]int{70000, 1200}, same(10, 1400)...)...)
	if sent, err := a.nat.NewWriter().Write(pkts, netip.Addr{}, to(b, NAT)); sent != 11 || !errors.Is(err, unix.EMSGSIZE) {
		t.Fatalf("after a refused packet: sent %d, %v, want 11, %v", sent, err, unix.EMSGSIZE)
	}
	got, _ := collect(t, b.nat.NewReader(), 11)
	for i, d := range got {
		if !bytes.Equal(d.data, pkts[i+1]) {
			t.Errorf("after a refused packet: number %d is %x", i+1, d.data[:4])
		}
	}
}

func TestSegmentationIsSwitchedOffOnceWhenItFails(t *testing.T) {
	var log bytes.Buffer
	a := listen(t, addrA, Ports{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	b := listen(t, addrB, Ports{}, Options{})
	// Without checksums the kernel segments nothing: EINVAL.
	err := a.nat.sys.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	sendTwice(t, a, b, 1000)
	if n := strings.Count(log.String(), "segmentation offload switched off"); n != 1 || a.nat.gso.Load() {
		t.Errorf("said %d times, still on %v, want once and off: %s", n, a.nat.gso.Load(), log.String())
	}
}

// sendTwice sends a batch from a to b twice and wants all of it to arrive.
func sendTwice(t *testing.T, a, b *Outside, size int) {
	t.Helper()
	pkts := numbered(same(150, size)...)
	w := a.nat.NewWriter()
	for range 2 {
		sent, err := w.Write(pkts, netip.Addr{}, to(b, NAT))
		if err != nil || sent != len(pkts) {
			t.Fatalf("sent %d, %v, want %d", sent, err, len(pkts))
		}
	}
	got, _ := collect(t, b.nat.NewReader(), 2*len(pkts))
	for i, d := range got {
		if want := pkts[i%len(pkts)]; !bytes.Equal(d.data, want) {
			t.Fatalf("packet %d: got %d octets beginning %x, want %x", i, len(d.data), d.data[:4], want[:4])
		}
	}
}

func TestRefusedPacketsAreReportedAndTheRestGoes(t *testing.T) {
	a := listen(t, addrA, Ports{}, Options{DontFragment: true})
	b := listen(t, addrB, Ports{}, Options{})
	pkts := numbered(100, 70000, 100)
	sent, err := a.nat.NewWriter().Write(pkts, netip.Addr{}, to(b, NAT))
	if sent != 2 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("one too large: sent %d, %v, want 2, %v", sent, err, unix.EMSGSIZE)
	}
	got, _ := collect(t, b.nat.NewReader(), 2)
	if !bytes.Equal(got[1].data, pkts[2]) {
		t.Errorf("after the refused one: got %d octets, want %d", len(got[1].data), len(pkts[2]))
	}
	sent, err = a.nat.NewWriter().Write(pkts[:1], netip.Addr{}, netip.MustParseAddrPort("192.0.2.1:4500"))
	if sent != 0 || err == nil {
		t.Errorf("no route: sent %d, %v, want 0 and an error", sent, err)
	}
	if _, err := a.nat.NewWriter().Write(pkts[:1], netip.Addr{}, netip.MustParseAddrPort("[::1]:4500")); err == nil {
		t.Error("IPv6: got no error")
	}
}

func TestOuterPacketsHaveDFOnlyWhenAskedFor(t *testing.T) {
	b := listen(t, addrB, Ports{}, Options{RawESP: true})
	r := b.raw.NewReader()
	for _, df := range []bool{false, true} {
		a := listen(t, addrA, Ports{}, Options{RawESP: true, DontFragment: df})
		if _, err := a.raw.NewWriter().Write(numbered(100), netip.Addr{}, to(b, Raw)); err != nil {
			t.Fatal(err)
		}
		collect(t, r, 1)
		if got := r.bufs[0][6]&0x40 != 0; got != df {
			t.Errorf("DontFragment %v: got DF %v", df, got)
		}
	}
}

func TestUnspecifiedAddressTellsWhereADatagramWasSentTo(t *testing.T) {
	all := listen(t, netip.IPv4Unspecified(), Ports{}, Options{RawESP: true})
	b := listen(t, addrB, Ports{}, Options{RawESP: true})
	local := netip.MustParseAddr("127.0.0.9")
	for _, k := range []Kind{IKE, NAT} {
		dst := netip.AddrPortFrom(local, to(all, k).Port())
		if _, err := b.Socket(k).NewWriter().Write(numbered(50), netip.Addr{}, dst); err != nil {
			t.Fatal(err)
		}
		got, _ := collect(t, all.Socket(k).NewReader(), 1)
		if got[0].local != local {
			t.Errorf("%v: got local %v, want %v", k, got[0].local, local)
		}
	}
	// Answers leave from there too, in batches and alone.
	for _, k := range []Kind{NAT, Raw} {
		if _, err := all.Socket(k).NewWriter().Write(numbered(50, 50), local, to(b, k)); err != nil {
			t.Fatal(err)
		}
		got, _ := collect(t, b.Socket(k).NewReader(), 2)
		if got[1].from.Addr() != local {
			t.Errorf("%v: got from %v, want %v", k, got[1].from, local)
		}
	}
	err := all.SendIKE(ike.Datagram{Local: netip.AddrPortFrom(local, IKEPort), Remote: to(b, IKE), Data: []byte("ike")})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := collect(t, b.ike.NewReader(), 1); got[0].from.Addr() != local {
		t.Errorf("IKE: got from %v, want %v", got[0].from, local)
	}
}

func TestPathIsThatOfTheRoute(t *testing.T) {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	mtu := min(link.Attrs().MTU, 65535) // no IPv4 packet is larger
	if got, err := PathTo(addrB); err != nil || got != (Path{Local: addrA, MTU: mtu}) {
		t.Errorf("got %+v, %v, want from %v with the MTU of lo, %d", got, err, addrA, mtu)
	}
	if got, err := PathTo(netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Errorf("without a route: got %+v, want an error", got)
	}
}

func TestIKEGoesOutWithTheMarkerOfItsPort(t *testing.T) {
	a := listen(t, addrA, Ports{IKEPort, NATPort}, Options{})
	b := listen(t, addrB, Ports{IKEPort, NATPort}, Options{})
	for _, tt := range []struct {
		name string
		port uint16
		data string
		want string
	}{
		{"500", IKEPort, "hello", "hello"},
		{"4500", NATPort, "hello", "\x00\x00\x00\x00hello"},
		{"keepalive", NATPort, "\xff", "\xff"},
	} {
		d := ike.Datagram{Local: netip.AddrPortFrom(addrA, tt.port), Remote: netip.AddrPortFrom(addrB, tt.port), Data: []byte(tt.data)}
		if err := a.SendIKE(d); err != nil {
			t.Fatal(err)
		}
		s := b.ike
		if tt.port == NATPort {
			s = b.nat
		}
		got, _ := collect(t, s.NewReader(), 1)
		if string(got[0].data) != tt.want || got[0].from != d.Local {
			t.Errorf("%s: got %q from %v, want %q from %v", tt.name, got[0].data, got[0].from, tt.want, d.Local)
		}
	}
	if err := a.SendIKE(ike.Datagram{Local: netip.AddrPortFrom(addrA, 501), Remote: netip.AddrPortFrom(addrB, 500)}); err == nil {
		t.Error("from port 501: got no error")
	}
}

func TestAdoptedSocketsAreTheSame(t *testing.T) {
	for _, raw := range []bool{false, true} {
		a := listen(t, addrA, Ports{}, Options{RawESP: raw})
		b := listen(t, addrB, Ports{}, Options{RawESP: true})
		files, err := a.Files()
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := Adopt(files, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { adopted.Close() })
		if adopted.Addr() != addrA || adopted.Ports() != a.Ports() || len(adopted.Sockets()) != len(files) || adopted.String() != a.String() {
			t.Errorf("got %v, want %v", adopted, a)
		}
		a.Close()
		for _, s := range adopted.Sockets() {
			if _, err := s.NewWriter().Write(numbered(64), netip.Addr{}, to(b, s.Kind())); err != nil {
				t.Fatal(err)
			}
			if got, _ := collect(t, b.Socket(s.Kind()).NewReader(), 1); got[0].from != to(adopted, s.Kind()) {
				t.Errorf("%v: got from %v, want %v", s.Kind(), got[0].from, to(adopted, s.Kind()))
			}
		}
		if _, err := Adopt([]*os.File{files[1]}, Options{}); err == nil {
			t.Error("one descriptor: accepted")
		}
		if raw {
			if _, err := Adopt([]*os.File{files[2], files[1]}, Options{}); err == nil {
				t.Error("a raw socket for IKE: accepted")
			}
		}
		bFiles, err := b.Files()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Adopt([]*os.File{files[0], bFiles[1]}, Options{}); err == nil {
			t.Error("sockets of two addresses: accepted")
		}
		for _, f := range append(files, bFiles...) {
			f.Close()
		}
	}
}

func TestReadEndsOnInterruptAndOnClose(t *testing.T) {
	a := listen(t, addrA, Ports{}, Options{})
	r := a.nat.NewReader()
	result := make(chan error)
	read := func() { _, err := r.Read(); result <- err }
	go read()
	if err := a.nat.Interrupt(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("interrupted: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if err := a.nat.Resume(); err != nil {
		t.Fatal(err)
	}
	go read()
	a.Close()
	if err := <-result; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: got %v, want %v", err, net.ErrClosed)
	}
	if _, err := a.nat.NewWriter().Write(numbered(10), netip.Addr{}, to(a, NAT)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: got %v, want %v", err, net.ErrClosed)
	}
}

func TestWriteAndReadDoNotAllocate(t *testing.T) {
	a, b := listen(t, addrA, Ports{}, Options{RawESP: true}), listen(t, addrB, Ports{}, Options{RawESP: true})
	pkts, tos := numbered(same(32, 1400)...), bytes.Repeat([]byte{0xb8}, 32)
	for _, k := range []Kind{NAT, Raw} {
		w, r := a.Socket(k).NewWriter(), b.Socket(k).NewReader()
		dst, total := to(b, k), 0
		if n := testing.AllocsPerRun(50, func() {
			if _, err := w.WriteMarked(pkts, tos, netip.Addr{}, dst); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < len(pkts)*1400; {
				n, err := r.Read()
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					m := r.Message(i)
					got += len(m.Data)
				}
				total += n
			}
		}); n != 0 {
			t.Errorf("%v: got %v allocations, want 0", k, n)
		}
	}
}

func FuzzControlMessage(f *testing.F) {
	var ctrl [controlLen]byte
	putCmsg(ctrl[:], unix.IPPROTO_UDP, unix.UDP_GRO, 4)
	binary.NativeEndian.PutUint32(ctrl[unix.CmsgLen(0):], 1400)
	f.Add(ctrl[:unix.CmsgSpace(4)])
	putCmsg(ctrl[:], unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	f.Add(ctrl[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Message{Segment: 7}
		m.readControl(b)
		if m.Segment <= 0 {
			t.Fatalf("%x: segment of %d", b, m.Segment)
		}
		if p := stripIPv4(b); p != nil && len(b)-len(p) < 20 {
			t.Fatalf("%x: stripped %d octets", b, len(b)-len(p))
		}
	})
}
