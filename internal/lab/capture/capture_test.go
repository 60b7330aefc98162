package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// packet makes an IPv4 packet from 192.0.2.1 to 198.51.100.2.
func packet(proto byte, fragment uint16, body []byte) []byte {
	b := make([]byte, 20, 20+len(body))
	b[0], b[8], b[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(b[6:], fragment)
	copy(b[12:], []byte{192, 0, 2, 1, 198, 51, 100, 2})
	return append(b, body...)
}

func udpDatagram(src, dst uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(body)))
	return append(append(b, 0, 0), body...)
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func query(t testing.TB, name string) []byte {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ikeHeader is an IKEv2 IKE_AUTH response, message 1.
const ikeHeader = "0102030405060708 1112131415161718 2e 20 23 20 00000001 00000100"

func samples(t testing.TB) map[string]struct {
	b    []byte
	kind Kind
	line string
} {
	type sample = struct {
		b    []byte
		kind Kind
		line string
	}
	return map[string]sample{
		"ping":      {packet(protoICMP, 0, unhex("0800 0000 0007 0009")), Clear, "192.0.2.1 > 198.51.100.2: ICMP echo request id 7 seq 9, length 28"},
		"too big":   {packet(protoICMP, 0, unhex("0304 0000 0000 0586")), Clear, "192.0.2.1 > 198.51.100.2: ICMP fragmentation needed, mtu 1414, length 28"},
		"syn":       {packet(protoTCP, 0, unhex("c000 01bb 00000007 00000000 5002 ffff 0000 0000")), Clear, "192.0.2.1:49152 > 198.51.100.2:443: TCP [S] seq 7, length 40"},
		"rst":       {packet(protoTCP, 0, unhex("c000 01bb 00000007 00000000 5014 ffff 0000 0000")), Clear, "192.0.2.1:49152 > 198.51.100.2:443: TCP [R.] seq 7, length 40"},
		"esp":       {packet(protoESP, 0, unhex("deadbeef 00000001 0000000000000000")), ESP, "192.0.2.1 > 198.51.100.2: ESP spi=0xdeadbeef seq=1, length 36"},
		"udp-encap": {packet(protoUDP, 0, udpDatagram(4500, 4500, unhex("deadbeef 00000002 00"))), ESP, "192.0.2.1:4500 > 198.51.100.2:4500: UDP-encap ESP spi=0xdeadbeef seq=2, length 37"},
		"keepalive": {packet(protoUDP, 0, udpDatagram(4500, 4500, []byte{0xff})), IKE, "192.0.2.1:4500 > 198.51.100.2:4500: NAT keepalive, length 29"},
		"ike 500":   {packet(protoUDP, 0, udpDatagram(500, 500, unhex(ikeHeader))), IKE, "192.0.2.1:500 > 198.51.100.2:500: IKEv2 IKE_AUTH response id 1, length 56"},
		"ike 4500":  {packet(protoUDP, 0, udpDatagram(1027, 4500, unhex("00000000"+ikeHeader))), IKE, "192.0.2.1:1027 > 198.51.100.2:4500: IKEv2 IKE_AUTH response id 1, length 60"},
		"ike v1":    {packet(protoUDP, 0, udpDatagram(500, 500, unhex("0102030405060708 1112131415161718 01 10 02 00 0000abcd 00000100"))), IKE, "192.0.2.1:500 > 198.51.100.2:500: IKEv1 main mode id 0000abcd, length 56"},
		"dns":       {packet(protoUDP, 0, udpDatagram(1027, 53, query(t, "service.example."))), Clear, "192.0.2.1:1027 > 198.51.100.2:53: DNS query A service.example., length 61"},
		"fragment":  {packet(protoUDP, 185, unhex("1194 1194")), Clear, "192.0.2.1 > 198.51.100.2: UDP fragment at 1480, length 24"},
		"first":     {packet(protoUDP, 0x2000, udpDatagram(1, 2, []byte("abc"))), Clear, "192.0.2.1:1 > 198.51.100.2:2: UDP 3 bytes (first fragment), length 31"},
		"gre":       {packet(47, 0, nil), Clear, "192.0.2.1 > 198.51.100.2: protocol 47, length 20"},
		"ipv6": {unhex("60000000 0008 3a 40 20010db8000000000000000000000001 20010db8000000000000000000000002 8000 0000 0001 0002"), Clear,
			"2001:db8::1 > 2001:db8::2: ICMPv6 echo request id 1 seq 2, length 48"},
	}
}

func TestPacketsAreNamed(t *testing.T) {
	for name, c := range samples(t) {
		p, ok := Decode(c.b)
		if !ok || p.Kind != c.kind || p.String() != c.line {
			t.Errorf("%s: got %v %v %q, want %v %q", name, ok, p.Kind, p.String(), c.kind, c.line)
		}
	}
}

func TestWhatIsNoIPIsRefused(t *testing.T) {
	for _, in := range []string{"", "45", "44000014000000000000000000000000000000ff", "60000000", "f5000000000000000000000000000000000000000000"} {
		if p, ok := Decode(unhex(in)); ok {
			t.Errorf("%s: got %v, want it refused", in, p)
		}
	}
}

func TestNamesOfStrangersCannotSteerATerminal(t *testing.T) {
	b := packet(protoUDP, 0, udpDatagram(1027, 53, query(t, "a.")))
	i := bytes.Index(b, []byte{1, 'a'})
	b[i+1] = 0x1b
	if p, _ := Decode(b); strings.ContainsRune(p.String(), 0x1b) {
		t.Errorf("got %q, want no escape in it", p.String())
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range samples(f) {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		p, ok := Decode(in)
		if !bytes.Equal(in, before) {
			t.Fatalf("Decode changed its input %x", before)
		}
		if !ok {
			return
		}
		if !p.Src.Addr().IsValid() || !p.Dst.Addr().IsValid() || p.Info == "" {
			t.Fatalf("%x: got %+v, want addresses and a description", in, p)
		}
		for _, r := range p.String() {
			if r < ' ' || r == 0x7f {
				t.Fatalf("%x: got control character %#x in %q", in, r, p.String())
			}
		}
		// What stands after the packet's own end changes nothing that tells its
		// kind.
		if q, ok := Decode(in[:len(in):len(in)]); !ok || q != p {
			t.Fatalf("%x: got %+v and %+v, want the same twice", in, p, q)
		}
	})
}

func TestCountTellsTunnelsFromClear(t *testing.T) {
	var c Count
	for _, s := range samples(t) {
		c.Add(Frame{Data: s.b})
	}
	// Neighbour discovery stays on its link.
	c.Add(Frame{Data: unhex("60000000 0008 3a ff fe800000000000000000000000000001 ff020000000000000000000000000002 8500 0000 0000 0000")})
	all := uint64(len(samples(t)) + 1)
	if c.Packets != all || c.IKE != 4 || c.ESP != 2 || c.Clear != all-1-6 || len(c.Sample) != maxSample {
		t.Errorf("got %+v, want %d packets: 4 IKE, 2 ESP, %d clear, %d of them kept", c, all, all-7, maxSample)
	}
}

func TestPcapFileIsLaidOutAsSpecified(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(Frame{Time: time.Unix(1, 2), Data: []byte{0x45, 0xff}}); err != nil {
		t.Fatal(err)
	}
	want := unhex("4d3cb2a1 0200 0400 00000000 00000000 00000100 65000000" + "01000000 02000000 02000000 02000000 45ff")
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got  %x\nwant %x", out.Bytes(), want)
	}
}

func TestLinkIsRead(t *testing.T) {
	src, err := Open("lo")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	conn, err := net.Dial("udp4", "127.0.0.1:4500")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(unhex("00000000" + ikeHeader)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var seen Packet
	if err := src.Each(ctx, func(f Frame) bool {
		seen, _ = Decode(f.Data)
		return seen.Kind != IKE
	}); err != nil {
		t.Fatal(err)
	}
	if seen.Kind != IKE || seen.Dst.Port() != 4500 {
		t.Errorf("got %v, want the IKE message that was sent", seen)
	}
	if n, err := src.Dropped(); n != 0 || err != nil {
		t.Errorf("got %d dropped, %v, want none", n, err)
	}
}

func TestCaptureEndsWithItsContext(t *testing.T) {
	src, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := src.Each(ctx, func(Frame) bool { return true }); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if _, err := Open("no-such-link"); err == nil {
		t.Errorf("got no error for a link that does not exist")
	}
}
