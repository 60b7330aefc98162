package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

var (
	v4a = netip.MustParseAddr("192.168.1.10")
	v4b = netip.MustParseAddr("10.0.1.20")
	v6a = netip.MustParseAddr("2001:db8::a")
	v6b = netip.MustParseAddr("2001:db8::b")
)

// build4 is an IPv4 packet with options, which must be whole words.
func build4(proto uint8, flags uint16, options, payload []byte) IPv4 {
	n := 20 + len(options)
	b := make([]byte, n+len(payload))
	b[0] = 0x40 | byte(n/4)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[4:], 0x1234)
	binary.BigEndian.PutUint16(b[6:], flags)
	b[8], b[9] = 64, proto
	copy(b[12:], v4a.AsSlice())
	copy(b[16:], v4b.AsSlice())
	copy(b[20:], options)
	copy(b[n:], payload)
	p := IPv4(b)
	p.SetChecksum()
	return p
}

// build6 is an IPv6 packet.
func build6(next uint8, payload []byte) IPv6 {
	b := make([]byte, 40+len(payload))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6], b[7] = next, 64
	copy(b[8:], v6a.AsSlice())
	copy(b[24:], v6b.AsSlice())
	copy(b[40:], payload)
	return IPv6(b)
}

// buildTCP is a segment with a right checksum between src and dst.
func buildTCP(src, dst netip.Addr, flags uint8, options, payload []byte) []byte {
	n := 20 + len(options)
	b := make([]byte, n+len(payload))
	binary.BigEndian.PutUint16(b, 40000)
	binary.BigEndian.PutUint16(b[2:], 443)
	b[12], b[13] = byte(n/4)<<4, flags
	copy(b[20:], options)
	copy(b[n:], payload)
	binary.BigEndian.PutUint16(b[16:], Fold(Sum(b, pseudo(src.AsSlice(), dst.AsSlice(), ProtoTCP, len(b)))))
	return b
}

// tcpChecksumOK computes the checksum of the segment in pkt from nothing.
func tcpChecksumOK(pkt []byte) bool {
	if pkt[0]>>4 == 6 {
		p := IPv6(pkt)
		return Fold(Sum(p.Payload(), pseudo(pkt[8:24], pkt[24:40], ProtoTCP, len(p.Payload())))) == 0
	}
	p := IPv4(pkt)
	return Fold(Sum(p.Payload(), pseudo(pkt[12:16], pkt[16:20], ProtoTCP, len(p.Payload())))) == 0
}

func TestChecksumOfTheExampleInRFC1071(t *testing.T) {
	// Section 3: 0001 f203 f4f5 f6f7 sums to ddf2.
	if got, want := Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}), ^uint16(0xddf2); got != want {
		t.Errorf("got %04x, want %04x", got, want)
	}
	if got, want := Checksum([]byte{0xab}), ^uint16(0xab00); got != want {
		t.Errorf("odd length: got %04x, want %04x", got, want)
	}
}

func TestAdjustAgreesWithComputingAnew(t *testing.T) {
	b := []byte{0x45, 0, 0, 100, 0xff, 0xff, 0x40, 0, 1, 2}
	for _, to := range []uint16{0, 1, 0x1234, 0x8000, 0xfffe, 0xffff} {
		sum, old := Checksum(b), binary.BigEndian.Uint16(b[4:])
		binary.BigEndian.PutUint16(b[4:], to)
		if got, want := Adjust(sum, old, to), Checksum(b); got != want {
			t.Errorf("%04x to %04x: got %04x, want %04x", old, to, got, want)
		}
	}
}

func TestParseRefusesWhatIsNotWhole(t *testing.T) {
	p4, p6 := build4(ProtoUDP, 0, nil, make([]byte, 8)), build6(ProtoUDP, make([]byte, 8))
	for n := range p4 {
		if _, err := ParseIPv4(p4[:n]); err == nil {
			t.Errorf("IPv4: accepted %d of %d octets", n, len(p4))
		}
	}
	for n := range p6 {
		if _, err := ParseIPv6(p6[:n]); err == nil {
			t.Errorf("IPv6: accepted %d of %d octets", n, len(p6))
		}
	}
	if _, err := ParseIPv4(p6); !errors.Is(err, ErrVersion) {
		t.Errorf("IPv6 as IPv4: got %v, want %v", err, ErrVersion)
	}
	if _, err := ParseIPv6(append(p4, make([]byte, 40)...)); !errors.Is(err, ErrVersion) {
		t.Errorf("IPv4 as IPv6: got %v, want %v", err, ErrVersion)
	}
	for _, ihl := range []byte{0, 4, 8} { // 8 words exceed the total length
		bad := bytes.Clone(p4)
		bad[0] = 0x40 | ihl
		if _, err := ParseIPv4(bad); !errors.Is(err, ErrHeader) {
			t.Errorf("header of %d words: got %v, want %v", ihl, err, ErrHeader)
		}
	}
}

func TestViewsShowTheFields(t *testing.T) {
	b := append(build4(ProtoUDP, flagDF, []byte{1, 1, 1, 0}, []byte{0x13, 0x88, 0, 53, 0, 9, 0, 7, 0xaa}), 0xee)
	p, err := ParseIPv4(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.HeaderLen() != 24 || len(p) != 33 || p.ID() != 0x1234 || !p.DF() || p.MF() || p.TTL() != 64 ||
		p.Protocol() != ProtoUDP || p.Src() != v4a || p.Dst() != v4b || !p.ChecksumOK() || p.FragmentOffset() != 0 || p.TOS() != 0 {
		t.Errorf("IPv4: got %x", []byte(p))
	}
	u, err := ParseUDP(p.Payload())
	if err != nil || u.SrcPort() != 5000 || u.DstPort() != 53 || u.Checksum() != 7 || !bytes.Equal(u.Payload(), []byte{0xaa}) {
		t.Errorf("UDP: got %x, %v", []byte(u), err)
	}
	p6, err := ParseIPv6(build6(ProtoICMPv6, []byte{128, 1, 0, 2, 0, 3, 0, 4, 9}))
	if err != nil || p6.Src() != v6a || p6.Dst() != v6b || p6.NextHeader() != ProtoICMPv6 || p6.HopLimit() != 64 {
		t.Fatalf("IPv6: got %x, %v", []byte(p6), err)
	}
	m, err := ParseICMP(p6.Payload())
	if err != nil || m.Type() != 128 || m.Code() != 1 || m.Checksum() != 2 || m.Rest() != 0x30004 || !bytes.Equal(m.Body(), []byte{9}) {
		t.Errorf("ICMP: got %x, %v", []byte(m), err)
	}
	seg, err := ParseTCP(buildTCP(v4a, v4b, 2, []byte{1, 1, 1, 0}, []byte("hi")))
	if err != nil || seg.SrcPort() != 40000 || seg.DstPort() != 443 || !seg.SYN() || seg.HeaderLen() != 24 || string(seg.Payload()) != "hi" {
		t.Errorf("TCP: got %x, %v", []byte(seg), err)
	}
}

func TestClearDFKeepsTheChecksumRight(t *testing.T) {
	p := build4(ProtoUDP, flagDF, nil, []byte("payload"))
	p.ClearDF(0xbeef)
	if p.DF() || p.ID() != 0xbeef || !p.ChecksumOK() {
		t.Errorf("got DF %v, id %04x, checksum right %v, want false, beef, true", p.DF(), p.ID(), p.ChecksumOK())
	}
}

func TestClampMSSLowersOnlyLargerOffersOfSYN(t *testing.T) {
	mss := func(v uint16) []byte { return []byte{2, 4, byte(v >> 8), byte(v)} }
	odd := append([]byte{1}, append(mss(1460), 1, 1, 0)...) // the value stands at an odd offset
	late := append([]byte{3, 3, 7, 1, 4, 2, 1, 1}, mss(1460)...)
	tests := []struct {
		name    string
		flags   uint8
		options []byte
		at      int // of the value, in the options
		want    uint16
	}{
		{"SYN", 0x02, mss(1460), 2, 1398},
		{"SYN and ACK", 0x12, mss(9000), 2, 1398},
		{"other options first", 0x02, late, 10, 1398},
		{"odd offset", 0x02, odd, 3, 1398},
		{"equal", 0x02, mss(1398), 2, 1398},
		{"smaller", 0x02, mss(536), 2, 536},
		{"no SYN", 0x10, mss(1460), 2, 1460},
	}
	for _, tt := range tests {
		for name, pkt := range map[string][]byte{
			"IPv4": build4(ProtoTCP, 0, nil, buildTCP(v4a, v4b, tt.flags, tt.options, []byte("data"))),
			"IPv6": build6(ProtoTCP, buildTCP(v6a, v6b, tt.flags, tt.options, []byte("data"))),
		} {
			before := bytes.Clone(pkt)
			changed := ClampMSS(pkt, 1398)
			hdr := len(pkt) - 4 - len(tt.options)
			if got := binary.BigEndian.Uint16(pkt[hdr+tt.at:]); got != tt.want {
				t.Errorf("%s over %s: got %d, want %d", tt.name, name, got, tt.want)
			}
			if changed == bytes.Equal(before, pkt) {
				t.Errorf("%s over %s: reported %v, bytes equal %v", tt.name, name, changed, bytes.Equal(before, pkt))
			}
			if !tcpChecksumOK(pkt) {
				t.Errorf("%s over %s: the TCP checksum is wrong afterwards", tt.name, name)
			}
		}
	}
}

func TestClampMSSLeavesBrokenOptionsAlone(t *testing.T) {
	for _, options := range [][]byte{
		{0, 2, 4, 5},              // after the end
		{2, 0, 5, 0xb4},           // length 0 would never end
		{3, 40, 2, 4},             // past the end
		{1, 1, 1, 2},              // no length
		{2, 3, 5, 0},              // an MSS of three octets
		{254, 8, 2, 4, 5, 180, 1}, // inside another option, cut short
	} {
		for len(options)%4 != 0 {
			options = append(options, 0)
		}
		pkt := build4(ProtoTCP, 0, nil, buildTCP(v4a, v4b, 2, options, nil))
		if ClampMSS(pkt, 500) {
			t.Errorf("options %x: changed", options)
		}
	}
	fragment := build4(ProtoTCP, 8, nil, buildTCP(v4a, v4b, 2, []byte{2, 4, 5, 180}, nil))
	if ClampMSS(fragment, 500) {
		t.Error("a later fragment: changed")
	}
}

func TestFragmentationNeededQuotesThePacketAndNamesTheMTU(t *testing.T) {
	orig := build4(ProtoTCP, flagDF, nil, bytes.Repeat([]byte{0x5a}, 1480))
	out, ok := AppendFragNeeded(nil, orig, v4b, 1398)
	if !ok || len(out) != MaxFragNeeded {
		t.Fatalf("got %d octets, %v, want %d, true", len(out), ok, MaxFragNeeded)
	}
	p, err := ParseIPv4(out)
	if err != nil || !p.ChecksumOK() || p.Src() != v4b || p.Dst() != v4a || p.Protocol() != ProtoICMP {
		t.Fatalf("got %x, %v", out[:20], err)
	}
	m, err := ParseICMP(p.Payload())
	if err != nil || m.Type() != 3 || m.Code() != 4 || m.Rest() != 1398 || Checksum(m) != 0 || !bytes.HasPrefix(orig, m.Body()) {
		t.Errorf("got %x, %v", []byte(m[:8]), err)
	}
}

func TestPacketTooBigQuotesThePacketAndNamesTheMTU(t *testing.T) {
	orig := build6(ProtoTCP, bytes.Repeat([]byte{0x5a}, 1460))
	out, ok := AppendPacketTooBig(nil, orig, v6b, 1398)
	if !ok || len(out) != MaxPacketTooBig {
		t.Fatalf("got %d octets, %v, want %d, true", len(out), ok, MaxPacketTooBig)
	}
	p, err := ParseIPv6(out)
	if err != nil || p.Src() != v6b || p.Dst() != v6a || p.NextHeader() != ProtoICMPv6 {
		t.Fatalf("got %x, %v", out[:40], err)
	}
	m, err := ParseICMP(p.Payload())
	if err != nil || m.Type() != 2 || m.Rest() != 1398 || !bytes.HasPrefix(orig, m.Body()) {
		t.Errorf("got %x, %v", []byte(m[:8]), err)
	}
	if Fold(Sum(m, pseudo(out[8:24], out[24:40], ProtoICMPv6, len(m)))) != 0 {
		t.Error("the ICMPv6 checksum is wrong")
	}
}

func TestNoICMPErrorWhereTheRFCForbidsIt(t *testing.T) {
	multicast := build4(ProtoUDP, flagDF, nil, make([]byte, 20))
	copy(multicast[12:], []byte{224, 0, 0, 5})
	for name, p := range map[string]IPv4{
		"about an ICMP error":   build4(ProtoICMP, flagDF, nil, []byte{3, 1, 0, 0, 0, 0, 0, 0}),
		"about a short ICMP":    build4(ProtoICMP, flagDF, nil, []byte{8}),
		"about a late fragment": build4(ProtoUDP, flagDF|1, nil, make([]byte, 20)),
		"to multicast":          multicast,
	} {
		if out, ok := AppendFragNeeded(nil, p, v4b, 1400); ok || len(out) != 0 {
			t.Errorf("%s: got %d octets, %v, want none", name, len(out), ok)
		}
	}
	if _, ok := AppendFragNeeded(nil, build4(ProtoICMP, flagDF, nil, []byte{8, 0, 0, 0, 0, 0, 0, 0}), v4b, 1400); !ok {
		t.Error("about an echo request: got none, want one")
	}
	if _, ok := AppendPacketTooBig(nil, build6(ProtoICMPv6, []byte{1, 0, 0, 0, 0, 0, 0, 0}), v6b, 1400); ok {
		t.Error("about an ICMPv6 error: got one, want none")
	}
	if _, ok := AppendFragNeeded(nil, build4(ProtoUDP, 0, nil, nil), v6b, 1400); ok {
		t.Error("from an IPv6 address: got one, want none")
	}
}

func TestFragmentsJoinToThePacket(t *testing.T) {
	payload := make([]byte, 3000)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	// Record route (7) is not copied, router alert (148) is.
	options := []byte{148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0}
	for _, tt := range []struct {
		name  string
		pkt   IPv4
		mtu   int
		count int
	}{
		{"plain", build4(ProtoUDP, 0, nil, payload), 1400, 3},
		{"mtu not a multiple of eight", build4(ProtoUDP, 0, nil, payload), 1399, 3},
		{"options", build4(ProtoUDP, 0, options, payload), 1000, 4},
		{"the middle of another packet", build4(ProtoUDP, flagMF|100, nil, payload), 576, 6},
		{"smallest", build4(ProtoUDP, 0, nil, payload[:64]), 28, 8},
		{"fits", build4(ProtoUDP, 0, nil, payload[:64]), 1400, 1},
	} {
		f, ok := NewFragments(tt.pkt, tt.mtu)
		if !ok {
			t.Fatalf("%s: refused", tt.name)
		}
		joined, buf := make([]byte, len(tt.pkt.Payload())), make([]byte, tt.mtu)
		count, sawLast := 0, false
		for n := f.Next(buf); n > 0; n = f.Next(buf) {
			p, err := ParseIPv4(buf[:n])
			if err != nil || len(p) != n || !p.ChecksumOK() || p.ID() != tt.pkt.ID() {
				t.Fatalf("%s: fragment %d: %x, %v", tt.name, count, buf[:20], err)
			}
			if want := map[bool]int{true: tt.pkt.HeaderLen(), false: min(tt.pkt.HeaderLen(), 24)}[count == 0]; p.HeaderLen() != want {
				t.Errorf("%s: fragment %d: header of %d, want %d", tt.name, count, p.HeaderLen(), want)
			}
			sawLast = !p.MF()
			copy(joined[p.FragmentOffset()-tt.pkt.FragmentOffset():], p.Payload())
			count++
		}
		if count != tt.count || !bytes.Equal(joined, tt.pkt.Payload()) || sawLast == tt.pkt.MF() {
			t.Errorf("%s: got %d fragments, joined right %v, last seen %v; want %d", tt.name, count, bytes.Equal(joined, tt.pkt.Payload()), sawLast, tt.count)
		}
	}
	if _, ok := NewFragments(build4(ProtoUDP, 0, options, payload), 39); ok {
		t.Error("an mtu without room for eight octets: accepted")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	pkt := build4(ProtoTCP, 0, nil, buildTCP(v4a, v4b, 2, []byte{2, 4, 5, 180}, make([]byte, 1400)))
	buf, icmp := make([]byte, 1500), make([]byte, 0, MaxFragNeeded)
	if n := testing.AllocsPerRun(100, func() {
		ClampMSS(pkt, 1300)
		f, _ := NewFragments(pkt, 800)
		for f.Next(buf) > 0 {
			continue
		}
		icmp, _ = AppendFragNeeded(icmp[:0], pkt, v4b, 1300)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestFragmentThatEndsBeyondTheLargestPacketIsRefused(t *testing.T) {
	if _, ok := NewFragments(build4(ProtoUDP, 0x1fff, nil, make([]byte, 200)), 100); ok {
		t.Error("got fragments, want none")
	}
}
