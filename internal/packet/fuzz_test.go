package packet

import (
	"bytes"
	"testing"
)

// FuzzPacket holds the parsers to their laws: what they accept has the length
// its header says and no proper prefix of it is accepted; clamping keeps a TCP
// checksum that was right; fragments join to the packet.
func FuzzPacket(f *testing.F) {
	f.Add([]byte(build4(ProtoTCP, 0, nil, buildTCP(v4a, v4b, 2, []byte{2, 4, 5, 180}, []byte("data")))))
	f.Add([]byte(build4(ProtoICMP, flagDF, []byte{148, 4, 0, 0}, []byte{8, 0, 0, 0, 0, 0, 0, 0})))
	f.Add([]byte(build6(ProtoTCP, buildTCP(v6a, v6b, 2, []byte{1, 2, 4, 5, 180, 1, 1, 0}, nil))))
	f.Fuzz(func(t *testing.T, in []byte) {
		if p, err := ParseIPv4(in); err == nil {
			fuzzIPv4(t, p)
		}
		if p, err := ParseIPv6(in); err == nil {
			for n := range p {
				if _, err := ParseIPv6(p[:n]); err == nil {
					t.Fatalf("accepted %d of the %d octets of %x", n, len(p), []byte(p))
				}
			}
			fuzzClamp(t, p, p.NextHeader(), p.Payload())
			if out, ok := AppendPacketTooBig(nil, p, p.Dst(), 1280); ok && len(out) > MaxPacketTooBig {
				t.Fatalf("packet too big of %d octets, want at most %d", len(out), MaxPacketTooBig)
			}
		}
		ParseUDP(in)
		ParseTCP(in)
		ParseICMP(in)
	})
}

func fuzzIPv4(t *testing.T, p IPv4) {
	for n := range p {
		if _, err := ParseIPv4(p[:n]); err == nil {
			t.Fatalf("accepted %d of the %d octets of %x", n, len(p), []byte(p))
		}
	}
	if out, ok := AppendFragNeeded(nil, p, p.Dst(), 576); ok && len(out) > MaxFragNeeded {
		t.Fatalf("fragmentation needed of %d octets, want at most %d", len(out), MaxFragNeeded)
	}
	fuzzClamp(t, p, p.Protocol(), p.Payload())
	fr, ok := NewFragments(p, 100)
	if ok != (p.FragmentOffset()+len(p) <= 0xffff) {
		t.Fatalf("fragments of 100 octets of %x: got %v", []byte(p), ok)
	}
	if !ok {
		return
	}
	var joined []byte
	buf := make([]byte, 100)
	for n := fr.Next(buf); n > 0; n = fr.Next(buf) {
		q, err := ParseIPv4(buf[:n])
		if err != nil || !q.ChecksumOK() {
			t.Fatalf("fragment %x of %x: %v", buf[:n], []byte(p), err)
		}
		joined = append(joined, q.Payload()...)
	}
	if !bytes.Equal(joined, p.Payload()) {
		t.Fatalf("fragments of %x join to %x", []byte(p), joined)
	}
}

// fuzzClamp makes the checksum right, clamps, and looks at it again.
func fuzzClamp(t *testing.T, pkt []byte, proto uint8, l4 []byte) {
	if proto != ProtoTCP || len(l4) < 20 {
		return
	}
	pkt = bytes.Clone(pkt)
	seg := pkt[len(pkt)-len(l4):]
	seg[16], seg[17] = 0, 0
	var sum uint16
	if pkt[0]>>4 == 4 {
		sum = Fold(Sum(seg, pseudo(pkt[12:16], pkt[16:20], ProtoTCP, len(seg))))
	} else {
		sum = Fold(Sum(seg, pseudo(pkt[8:24], pkt[24:40], ProtoTCP, len(seg))))
	}
	seg[16], seg[17] = byte(sum>>8), byte(sum)
	ClampMSS(pkt, 1000)
	if !tcpChecksumOK(pkt) {
		t.Fatalf("clamping broke the checksum: %x", pkt)
	}
}
