package packet

import (
	"bytes"
	"testing"
)

// marked is a packet of IP version 4 or 6 with a traffic class.
func marked(version int, class uint8) []byte {
	if version == 6 {
		b := make([]byte, 48)
		b[0], b[1], b[2], b[3], b[5], b[6] = 0x60|class>>4, class<<4|0xa, 0xbc, 0xde, 8, ProtoUDP
		return b
	}
	b := make([]byte, 28)
	copy(b, []byte{0x45, class, 0, 28, 0, 1, 0, 0, 64, ProtoUDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	IPv4(b).SetChecksum()
	return b
}

// TestECNLeavesATunnelAsRFC6040Says is figure 4 of its section 4.2.
func TestECNLeavesATunnelAsRFC6040Says(t *testing.T) {
	const n, e0, e1, c, drop = 0, 2, 1, 3, 0xff
	outers := [4]uint8{n, e0, e1, c}
	for inner, want := range map[uint8][4]uint8{
		n:  {n, n, n, drop},
		e0: {e0, e0, e1, c},
		e1: {e1, e1, e1, c},
		c:  {c, c, c, c},
	} {
		for i, outer := range outers {
			for _, version := range []int{4, 6} {
				const dscp = 46 << 2
				pkt := marked(version, dscp|inner)
				ok := CombineECN(pkt, 10<<2|outer)
				if ok != (want[i] != drop) {
					t.Errorf("IPv%d, inner %d, outer %d: got %v", version, inner, outer, ok)
				}
				if ok && !bytes.Equal(pkt, marked(version, dscp|want[i])) {
					t.Errorf("IPv%d, inner %d, outer %d: got %x, want %x", version, inner, outer, pkt, marked(version, dscp|want[i]))
				}
			}
		}
	}
}

func TestTrafficClassIsReadFromBothVersions(t *testing.T) {
	for _, class := range []uint8{0, 1, 0xb8, 0xff} {
		for _, version := range []int{4, 6} {
			if got := TrafficClass(marked(version, class)); got != class {
				t.Errorf("IPv%d: got %#x, want %#x", version, got, class)
			}
		}
	}
}
