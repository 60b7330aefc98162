package esp

import (
	"bytes"
	"testing"

	"seikan/internal/ipsec/ike/suite"
)

// FuzzOpen gives Open what the network may: nothing may panic, and nothing but
// what was sealed with the keys may open. A seed that is authentic is refused
// when cut; one that was made longer opens as far as it is authentic.
func FuzzOpen(f *testing.F) {
	suites := []suite.ESP{
		{Encr: suite.AESGCM16, KeyBits: 128},
		{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256, ESN: true},
	}
	for i, s := range suites {
		out, _ := newPair(f, s, 0)
		f.Add(byte(i), seal(f, out, inner4(60)))
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		_, open := newPair(t, suites[int(which)%len(suites)], 64)
		for n := range in {
			if inner, err := open.Open(nil, bytes.Clone(in[:n])); err == nil && !bytes.Equal(inner, inner4(60)) {
				t.Fatalf("accepted %d of the %d octets of %x: %x", n, len(in), in, inner)
			}
		}
		inner, err := open.Open(make([]byte, 0, len(in)), bytes.Clone(in))
		if err == nil && !bytes.Equal(inner, inner4(60)) {
			t.Fatalf("forgery opened: %x to %x", in, inner)
		}
	})
}

// FuzzContent gives the content behind the ICV to strip: a peer may seal
// anything. What comes out is a prefix of it with the length its header says.
func FuzzContent(f *testing.F) {
	f.Add(append(inner4(28), 1, 2, 2, 4))
	f.Add(append(inner6(48), 0, 41))
	f.Add([]byte{0, 59})
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) < espTrailer {
			return // Open lets no content shorter than a block pass
		}
		_, open := newPair(t, suite.ESP{Encr: suite.AESGCM16, KeyBits: 128}, 64)
		inner, err := open.strip(plain)
		if err != nil {
			return
		}
		if len(inner) < 20 || !bytes.HasPrefix(plain, inner) {
			t.Fatalf("%x became %x", plain, inner)
		}
		for n := range inner {
			if _, ok := innerPacket(inner[:n], plain[len(plain)-1]); ok {
				t.Fatalf("accepted %d of the %d octets of %x", n, len(inner), inner)
			}
		}
	})
}
