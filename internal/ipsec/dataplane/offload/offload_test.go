package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"seikan/internal/packet"
)

// A flowSpec is what the packets of a flow have in common.
type flowSpec struct {
	v6, udp  bool
	port     uint16
	tos, ttl byte
	df       bool
	options  int // octets of TCP options
}

// plain builds a packet of a flow the slow way: header by header, with a
// checksum computed over all of it.
func plain(f flowSpec, id uint16, seq uint32, flags byte, payload []byte) []byte {
	var l4 []byte
	if f.udp {
		l4 = make([]byte, 8)
		binary.BigEndian.PutUint16(l4[4:], uint16(8+len(payload)))
	} else {
		l4 = make([]byte, 20+f.options)
		binary.BigEndian.PutUint32(l4[4:], seq)
		binary.BigEndian.PutUint32(l4[8:], 0x01020304)
		l4[12], l4[13] = byte(5+f.options/4)<<4, flags
		l4[14], l4[15] = 0x12, 0x34
		for i := range f.options {
			l4[20+i] = 1
		}
	}
	binary.BigEndian.PutUint16(l4, f.port)
	binary.BigEndian.PutUint16(l4[2:], 443)
	l4 = append(l4, payload...)
	var p, addrs []byte
	if f.v6 {
		p = make([]byte, 40)
		p[0], p[1], p[7] = 0x60|f.tos>>4, f.tos<<4, f.ttl
		binary.BigEndian.PutUint16(p[4:], uint16(len(l4)))
		p[8], p[23], p[24], p[39] = 0xfd, 1, 0xfd, 2
		addrs = p[8:40]
	} else {
		p = make([]byte, 20)
		p[0], p[1], p[8] = 0x45, f.tos, f.ttl
		binary.BigEndian.PutUint16(p[2:], uint16(20+len(l4)))
		binary.BigEndian.PutUint16(p[4:], id)
		if f.df {
			p[6] = 0x40
		}
		copy(p[12:], []byte{192, 168, 1, 10, 10, 0, 1, 4})
		addrs = p[12:20]
	}
	proto, at := byte(packet.ProtoTCP), 16
	if f.udp {
		proto, at = packet.ProtoUDP, 6
	}
	if f.v6 {
		p[6] = proto
	} else {
		p[9] = proto
		binary.BigEndian.PutUint16(p[10:], slowChecksum(p))
	}
	pseudo := append(bytes.Clone(addrs), 0, 0, byte(len(l4)>>8), byte(len(l4)), 0, 0, 0, proto)
	sum := slowChecksum(append(pseudo, l4...))
	if f.udp && sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(l4[at:], sum)
	return append(p, l4...)
}

// slowChecksum is RFC 1071 word by word.
func slowChecksum(b []byte) uint16 {
	sum := uint32(0)
	for i := range b {
		sum += uint32(b[i]) << (8 * (1 - i%2))
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum>>16 + sum)
}

// cut splits a frame into packets.
func cut(t testing.TB, frame []byte) (pkts [][]byte) {
	t.Helper()
	var s Splitter
	if err := s.Begin(frame); err != nil {
		t.Fatalf("%x: %v", frame[:min(80, len(frame))], err)
	}
	for n := s.NextLen(); n > 0; n = s.NextLen() {
		pkt := make([]byte, n)
		s.Next(pkt)
		pkts = append(pkts, pkt)
	}
	return pkts
}

// joined adds packets, copies of them, to a Joiner and returns its frames.
func joined(t testing.TB, pkts [][]byte) (frames [][]byte) {
	t.Helper()
	j := &Joiner{UDP: true}
	flush := func() {
		for i := range j.Len() {
			h, head, rest := j.Frame(i)
			frame := make([]byte, HeaderLen)
			h.Put(frame)
			frame = append(frame, head...)
			for _, p := range rest {
				frame = append(frame, p...)
			}
			frames = append(frames, frame)
		}
		j.Reset()
	}
	for _, p := range pkts {
		p = bytes.Clone(p)
		if !j.Add(p) {
			flush()
			if !j.Add(p) {
				t.Fatal("an empty Joiner has no room")
			}
		}
	}
	flush()
	return frames
}

// kernelFrame is what a TUN hands over for a flow's data: one large packet, the
// checksum left to us.
func kernelFrame(f flowSpec, id uint16, seq uint32, flags byte, size int, data []byte) []byte {
	pkt := plain(f, id, seq, flags, data)
	l4, hdr := 20, 40+f.options
	if f.v6 {
		l4, hdr = 40, 60+f.options
	}
	h := Header{NeedsChecksum: true, GSO: TCPv4, Size: uint16(size), ChecksumFrom: uint16(l4), ChecksumAt: 16}
	switch {
	case f.udp:
		h.GSO, h.ChecksumAt, hdr = UDP, 6, l4+8
	case f.v6:
		h.GSO = TCPv6
	}
	h.HeadersLen = uint16(hdr)
	pkt[l4+int(h.ChecksumAt)] ^= 0x55 // whatever stands there
	frame := make([]byte, HeaderLen)
	h.Put(frame)
	return append(frame, pkt...)
}

func flows() (all []flowSpec) {
	for _, v6 := range []bool{false, true} {
		for _, udp := range []bool{false, true} {
			for _, options := range []int{0, 12, 40} {
				if udp && options > 0 {
					continue
				}
				for _, df := range []bool{false, true} {
					all = append(all, flowSpec{v6: v6, udp: udp, port: 1000, tos: 0xb9, ttl: 61, df: df, options: options})
				}
			}
		}
	}
	return all
}

func name(f flowSpec) string { return fmt.Sprintf("%+v", f) }

// TestCutFramesAreWhatASlowStackSends compares every octet, for sizes that
// divide and sizes that do not, odd ones too.
func TestCutFramesAreWhatASlowStackSends(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range flows() {
		t.Run(name(f), func(t *testing.T) {
			for _, size := range []int{1, 7, 536, 1399, 1400, 9000} {
				for _, n := range []int{1, size, size + 1, 3*size - 1, 3 * size, 40 * size} {
					n = min(n, 30000)
					data := make([]byte, n)
					for i := range data {
						data[i] = byte(r.Uint32())
					}
					const flags = ack | psh | fin | cwr | 0x40 // ECE stays in all
					got := cut(t, kernelFrame(f, 0xfffe, 0xffffff00, flags, size, data))
					if want := (n + size - 1) / size; len(got) != want {
						t.Fatalf("%d octets by %d: got %d packets, want %d", n, size, len(got), want)
					}
					for i, p := range got {
						fl := byte(ack | 0x40)
						if i == 0 {
							fl |= cwr
						}
						if i == len(got)-1 {
							fl |= psh | fin
						}
						part := data[i*size : min(n, (i+1)*size)]
						want := plain(f, 0xfffe+uint16(i), 0xffffff00+uint32(i*size), fl, part)
						if !bytes.Equal(p, want) {
							t.Fatalf("%d octets by %d, packet %d:\ngot  %x\nwant %x", n, size, i, p[:min(len(p), 80)], want[:min(len(want), 80)])
						}
					}
				}
			}
		})
	}
}

// TestJoinedFramesCutIntoWhatWasJoined is the law of the Joiner, and that it
// does join.
func TestJoinedFramesCutIntoWhatWasJoined(t *testing.T) {
	for _, f := range flows() {
		t.Run(name(f), func(t *testing.T) {
			var pkts [][]byte
			seq := uint32(0xfffff000)
			for i := range 40 {
				payload := bytes.Repeat([]byte{byte(i), 3}, 600)
				flags := byte(ack)
				if i == 39 {
					payload, flags = payload[:311], ack|psh
				}
				pkts = append(pkts, plain(f, uint16(0xfff0+i), seq, flags, payload))
				seq += uint32(len(payload))
			}
			frames := joined(t, pkts)
			if len(frames) != 1 {
				t.Errorf("got %d frames, want 1", len(frames))
			}
			var got [][]byte
			for _, frame := range frames {
				got = append(got, cut(t, frame)...)
			}
			same(t, got, pkts)
		})
	}
}

func same(t testing.TB, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d packets, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("packet %d:\ngot  %x\nwant %x", i, got[i][:min(len(got[i]), 80)], want[i][:min(len(want[i]), 80)])
		}
	}
}

// TestWhatDoesNotContinueIsNotJoined changes one thing of the second of two
// packets that would be joined.
func TestWhatDoesNotContinueIsNotJoined(t *testing.T) {
	tcp := flowSpec{port: 1000, ttl: 64}
	dgram := flowSpec{port: 1000, ttl: 64, udp: true}
	data := bytes.Repeat([]byte{1, 2}, 500)
	fix := func(p []byte) []byte { // the checksums, after a change
		l4 := 20
		binary.BigEndian.PutUint16(p[10:], 0)
		binary.BigEndian.PutUint16(p[10:], slowChecksum(p[:l4]))
		at := l4 + 16
		if p[9] == packet.ProtoUDP {
			at = l4 + 6
		}
		binary.BigEndian.PutUint16(p[at:], 0)
		n := len(p) - l4
		pseudo := append(bytes.Clone(p[12:20]), 0, p[9], byte(n>>8), byte(n))
		binary.BigEndian.PutUint16(p[at:], slowChecksum(append(pseudo, p[l4:]...)))
		return p
	}
	for what, change := range map[string]func(p []byte) []byte{
		"type of service":                   func(p []byte) []byte { p[1] = 4; return fix(p) },
		"identification":                    func(p []byte) []byte { p[5] = 9; return fix(p) },
		"DF":                                func(p []byte) []byte { p[6] = 0x40; return fix(p) },
		"a fragment":                        func(p []byte) []byte { p[6] = 0x20; return fix(p) },
		"TTL":                               func(p []byte) []byte { p[8] = 3; return fix(p) },
		"source":                            func(p []byte) []byte { p[15]++; return fix(p) },
		"a wrong checksum of the transport": func(p []byte) []byte { p[len(p)-1] ^= 1; return p },
		"a wrong checksum of IP":            func(p []byte) []byte { p[10] ^= 1; return p },
		"port":                              func(p []byte) []byte { p[21]++; return fix(p) },
		"larger": func(p []byte) []byte {
			p = append(p, 1, 2)
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
			return fix(p)
		},
		"TCP sequence":       func(p []byte) []byte { p[27]++; return fix(p) },
		"TCP acknowledgment": func(p []byte) []byte { p[31]++; return fix(p) },
		"TCP FIN":            func(p []byte) []byte { p[33] |= fin; return fix(p) },
		"TCP URG":            func(p []byte) []byte { p[33] |= 0x20; return fix(p) },
		"TCP window":         func(p []byte) []byte { p[35]++; return fix(p) },
	} {
		for _, f := range []flowSpec{tcp, dgram} {
			if f.udp && strings.HasPrefix(what, "TCP") || f.udp && what == "larger" {
				continue
			}
			first := plain(f, 1, 100, ack, data)
			second := change(plain(f, 2, 1100, ack, data))
			third := plain(f, 3, 2100, ack, data)
			frames := joined(t, [][]byte{first, second, third})
			if len(frames) != 3 {
				t.Errorf("%s, UDP %v: got %d frames, want 3", what, f.udp, len(frames))
			}
		}
	}
	// A checksum that is wrong in the first is not made right either.
	for _, at := range []int{11, 20 + 17} { // IP's and TCP's
		first := plain(tcp, 1, 100, ack, data)
		first[at] ^= 1
		if got := len(joined(t, [][]byte{first, plain(tcp, 2, 1100, ack, data)})); got != 2 {
			t.Errorf("first with a wrong checksum at %d: got %d frames, want 2", at, got)
		}
	}
}

// TestFlowsAreMixedAndStayInOrder has packets of many flows, some of which
// cannot be joined, come as they may: each flow's come out in order, and whole.
func TestFlowsAreMixedAndStayInOrder(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		pkts := mixedPackets(r, 400)
		var got [][]byte
		frames := joined(t, pkts)
		for _, frame := range frames {
			got = append(got, cut(t, frame)...)
		}
		byFlow := func(all [][]byte) map[string][][]byte {
			m := map[string][][]byte{}
			for _, p := range all {
				k := string(p[12:22])
				if p[0]>>4 == 6 {
					k = string(p[8:42])
				}
				m[k] = append(m[k], p)
			}
			return m
		}
		want, have := byFlow(pkts), byFlow(got)
		if len(want) != len(have) {
			t.Fatalf("seed %d: got %d flows, want %d", seed, len(have), len(want))
		}
		for k := range want {
			same(t, have[k], want[k])
		}
	}
}

// mixedPackets are n packets of several flows, mostly such as can be joined.
func mixedPackets(r *rand.Rand, n int) (pkts [][]byte) {
	type state struct {
		spec flowSpec
		id   uint16
		seq  uint32
		size int
	}
	var all []*state
	for i, f := range flows() {
		f.port += uint16(i)
		all = append(all, &state{spec: f, id: uint16(r.Uint32()), seq: r.Uint32(), size: 1 + r.IntN(1400)})
	}
	s := all[0]
	for range n {
		if r.IntN(4) == 0 {
			s = all[r.IntN(len(all))]
		}
		size, flags := s.size, byte(ack)
		switch r.IntN(12) {
		case 0:
			size = 1 + r.IntN(s.size)
		case 1:
			flags |= psh
		case 2:
			flags |= fin
		case 3:
			s.seq++ // lost on the way
		case 4:
			s.id++
		case 5:
			s.spec.tos ^= 8
		}
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		p := plain(s.spec, s.id, s.seq, flags, payload)
		s.id++
		s.seq += uint32(size)
		pkts = append(pkts, p)
	}
	return pkts
}

func TestFramesThatLieAreRefused(t *testing.T) {
	f := flowSpec{port: 1, ttl: 64}
	good := kernelFrame(f, 1, 1, ack, 100, make([]byte, 1000))
	put16 := func(b []byte, at int, v uint16) []byte { binary.NativeEndian.PutUint16(b[at:], v); return b }
	for what, frame := range map[string][]byte{
		"nothing":                   nil,
		"half a header":             good[:5],
		"no packet":                 good[:10],
		"half an IP header":         good[:20],
		"IP only":                   good[:10+20],
		"half a TCP header":         good[:10+30],
		"shorter than it says":      good[:500],
		"size 0":                    put16(bytes.Clone(good), 4, 0),
		"UFO":                       append([]byte{1, 3}, good[2:]...),
		"of version 6":              append([]byte{1, 4}, good[2:]...),
		"checksum beyond the end":   put16(append([]byte{1, 0}, good[2:]...), 8, 60000),
		"checksum in the IP header": put16(append([]byte{1, 0}, good[2:]...), 6, 19),
	} {
		var s Splitter
		if err := s.Begin(frame); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// FuzzSplitter cuts whatever comes: it must not read or write beyond, and what
// it cuts are whole packets that hold all the payload there is.
func FuzzSplitter(f *testing.F) {
	for i, spec := range flows() {
		f.Add(kernelFrame(spec, 5, 9, ack|psh, 100+i, make([]byte, 1000)))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var s Splitter
		if s.Begin(bytes.Clone(frame)) != nil {
			return
		}
		hdr, total, count := s.hdr, 0, 0
		for n := s.NextLen(); n > 0; n = s.NextLen() {
			pkt := make([]byte, n)
			s.Next(pkt)
			if got, err := whole(pkt); err != nil || len(got) != n {
				t.Fatalf("cut a packet of %d octets that is not whole: %v", n, err)
			}
			total += n - hdr
			count++
		}
		if count != s.Packets() {
			t.Fatalf("cut %d packets, want %d", count, s.Packets())
		}
		if total != len(s.pkt)-hdr {
			t.Fatalf("cut %d octets of payload of %d", total, len(s.pkt)-hdr)
		}
	})
}

// FuzzJoiner joins two packets out of arbitrary octets and one good one: all
// come out as they were.
func FuzzJoiner(f *testing.F) {
	for _, spec := range flows() {
		f.Add(plain(spec, 1, 100, ack, []byte("some data")), plain(spec, 2, 109, ack, []byte("and more")))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var pkts [][]byte
		for _, p := range [][]byte{a, b} {
			if p, err := whole(p); err == nil {
				pkts = append(pkts, p)
			}
		}
		var got [][]byte
		for _, frame := range joined(t, pkts) {
			got = append(got, cut(t, frame)...)
		}
		if len(got) != len(pkts) {
			t.Fatalf("got %d packets of %d", len(got), len(pkts))
		}
		for i := range got {
			if !bytes.Equal(meaning(got[i]), meaning(pkts[i])) {
				t.Fatalf("packet %d: got %x, want %x", i, got[i], pkts[i])
			}
		}
	})
}

// benchFlows are the frames of which cutting and joining is measured.
var benchFlows = map[string]flowSpec{
	"TCPv4": {port: 1000, ttl: 64, options: 12},
	"TCPv6": {port: 1000, ttl: 64, options: 12, v6: true},
	"UDPv4": {port: 1000, ttl: 64, udp: true},
	"UDPv6": {port: 1000, ttl: 64, udp: true, v6: true},
}

const benchPackets, benchPayload = 45, 1386

// benchFrame is one of benchPackets packets.
func benchFrame(f flowSpec) []byte {
	return kernelFrame(f, 1, 1, ack, benchPayload, make([]byte, benchPackets*benchPayload))
}

// cutTo cuts frame into packets within slab.
func cutTo(tb testing.TB, s *Splitter, frame, slab []byte) {
	if err := s.Begin(frame); err != nil {
		tb.Fatal(err)
	}
	for i := range benchPackets {
		s.Next(slab[i*1500:][:s.NextLen()])
	}
}

// joinAll makes one frame of pkts, and writes its header over that of the first.
func joinAll(tb testing.TB, j *Joiner, pkts [][]byte) {
	j.Reset()
	for _, p := range pkts {
		j.Add(p)
	}
	j.Frame(0)
	if j.Len() != 1 {
		tb.Fatalf("%d frames, want 1", j.Len())
	}
}

// meaning is pkt without what may differ after it was joined and cut: an
// identification that means nothing (RFC 6864 section 4.1), if the checksum of
// its header is right, and which of the two zeros a checksum of TCP is.
func meaning(pkt []byte) []byte {
	p, l4 := bytes.Clone(pkt), ipv6Len
	if p[0]>>4 == 4 {
		l4 = int(p[0]&15) * 4
		if p[6]&0x40 != 0 && packet.IPv4(p).ChecksumOK() {
			p[4], p[5] = 0, 0
			packet.IPv4(p).SetChecksum()
		}
	}
	proto := p[6]
	if p[0]>>4 == 4 {
		proto = p[9]
	}
	if at := l4 + tcpCsum; proto == packet.ProtoTCP && len(p) >= at+2 && p[at] == 0xff && p[at+1] == 0xff {
		p[at], p[at+1] = 0, 0
	}
	return p
}

func TestNothingIsAllocated(t *testing.T) {
	for name, f := range benchFlows {
		var s Splitter
		j := &Joiner{UDP: true}
		frame, slab := benchFrame(f), make([]byte, 1500*benchPackets)
		pkts := cut(t, frame)
		head := bytes.Clone(pkts[0])
		if got := testing.AllocsPerRun(20, func() { cutTo(t, &s, frame, slab) }); got != 0 {
			t.Errorf("%s: cutting: %v allocations, want 0", name, got)
		}
		if got := testing.AllocsPerRun(20, func() { copy(pkts[0], head); joinAll(t, j, pkts) }); got != 0 {
			t.Errorf("%s: joining: %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	for name, f := range benchFlows {
		b.Run(name, func(b *testing.B) {
			var s Splitter
			frame, slab := benchFrame(f), make([]byte, 1500*benchPackets)
			b.SetBytes(benchPackets * benchPayload)
			b.ReportAllocs()
			for b.Loop() {
				cutTo(b, &s, frame, slab)
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	for name, f := range benchFlows {
		b.Run(name, func(b *testing.B) {
			j, pkts := &Joiner{UDP: true}, cut(b, benchFrame(f))
			head := bytes.Clone(pkts[0])
			b.SetBytes(benchPackets * benchPayload)
			b.ReportAllocs()
			for b.Loop() {
				copy(pkts[0], head)
				joinAll(b, j, pkts)
			}
		})
	}
}
