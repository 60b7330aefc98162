package packet

import "golang.org/x/sys/cpu"

// sumWide is a sum of the 32-bit words of b, as they stand in memory. b has a
// multiple of 32 octets, at least as many and at most 1<<30.
//
//go:noescape
func sumWide(b []byte) uint64

// copySumWide is sumWide of src, and copies it to dst.
//
//go:noescape
func copySumWide(dst *byte, src []byte) uint64

// canSumWide reports whether the processor can.
func canSumWide() bool { return cpu.X86.HasAVX2 }
