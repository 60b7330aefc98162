package lanes

// haveAES and haveSHA report whether the processor has what the assembly uses.
// All of it works on the registers of SSE, which every operating system saves.
func haveAES() bool {
	_, _, c, _ := cpuid(1, 0)
	return c&(1<<25) != 0 // AES
}

func haveSHA() bool {
	most, _, _, _ := cpuid(0, 0)
	if most < 7 {
		return false
	}
	_, _, c, _ := cpuid(1, 0)
	_, b, _, _ := cpuid(7, 0)
	return c&(1<<9) != 0 && b&(1<<29) != 0 // SSSE3, SHA
}

//go:noescape
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// subWord is SubWord of FIPS 197 section 5.2.
func subWord(w uint32) uint32

// invert makes the round keys of decryption from those of encryption, for
// AESDEC: in the opposite order, all but the outermost through InvMixColumns.
//
//go:noescape
func invert(dec, enc *schedule, rounds int)

// encrypt8 encrypts n blocks of eight messages, from the second block on: the
// first is what the second is chained to. Some of at may be the same.
//
//go:noescape
func encrypt8(enc *schedule, rounds int, at *[width]*byte, n int)

// decrypt decrypts n blocks, of which the first stands 16 octets behind src and
// is chained to what stands before it.
//
//go:noescape
func decrypt(dec *schedule, rounds int, dst, src *byte, n int)

// hash2 takes n blocks, of 64 octets each, into either state.
//
//go:noescape
func hash2(a, b *digest, fromA, fromB *byte, n int)
