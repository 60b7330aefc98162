package suite

import (
	"bytes"
	"crypto/rand"
	"testing"

	"filippo.io/bigmod"
)

// TestCombGivesWhatExponentiationGives compares both ways to a public value, at
// the edges of the digits and at random.
func TestCombGivesWhatExponentiationGives(t *testing.T) {
	for g, once := range combs {
		c, err := once()
		if err != nil {
			t.Fatal(err)
		}
		generator, err := element(g.generator, c.p)
		if err != nil {
			t.Fatal(err)
		}
		exponents := [][]byte{
			bytes.Repeat([]byte{0}, g.exponent), bytes.Repeat([]byte{0xff}, g.exponent), bytes.Repeat([]byte{0x10}, g.exponent),
			append(bytes.Repeat([]byte{0}, g.exponent-1), 1), append([]byte{0x80}, bytes.Repeat([]byte{0}, g.exponent-1)...),
		}
		for range 5 {
			e := bytes.Repeat([]byte{0}, g.exponent)
			rand.Read(e)
			exponents = append(exponents, e)
		}
		for _, e := range exponents {
			got := c.power(e).Bytes(c.p)
			if want := bigmod.NewNat().Exp(generator, e, c.p).Bytes(c.p); !bytes.Equal(got, want) {
				t.Errorf("%d bits, exponent %x: got %x, want %x", c.p.BitLen(), e, got, want)
			}
		}
	}
}

func TestSameMask(t *testing.T) {
	for a := range uint(16) {
		for b := range uint(16) {
			want := uint(0)
			if a == b {
				want = ^uint(0)
			}
			if got := sameMask(a, b); got != want {
				t.Errorf("%d and %d: got %x, want %x", a, b, got, want)
			}
		}
	}
}
