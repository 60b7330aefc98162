package suite

import (
	"fmt"
	"sync"

	"filippo.io/bigmod"
)

// combs are the powers of the generators of the groups that peers agree on most,
// made when first needed.
var combs = map[*modpGroup]func() (*comb, error){
	&modp2048: sync.OnceValues(func() (*comb, error) { return newComb(&modp2048) }),
	&modp3072: sync.OnceValues(func() (*comb, error) { return newComb(&modp3072) }),
	&modp4096: sync.OnceValues(func() (*comb, error) { return newComb(&modp4096) }),
}

// A comb has the powers of a generator that its public values are made of: for
// each four bits of an exponent the fifteen possible factors. With it a public
// value takes a third of the multiplications of an exponentiation. It is 300 KB
// for 2048 bits.
type comb struct {
	p       *bigmod.Modulus
	windows [][15]*bigmod.Nat // from the least significant
}

// newComb computes the comb of g, whose exponents have g.exponent octets.
func newComb(g *modpGroup) (*comb, error) {
	p, err := modulus(g.prime)
	if err != nil {
		return nil, fmt.Errorf("prime: %w", err)
	}
	base, err := element(g.generator, p)
	if err != nil {
		return nil, fmt.Errorf("generator: %w", err)
	}
	c := &comb{p: p, windows: make([][15]*bigmod.Nat, 2*g.exponent)}
	for i := range c.windows {
		power := base
		for j := range c.windows[i] {
			c.windows[i][j] = power
			next, err := bigmod.NewNat().SetBytes(power.Bytes(p), p)
			if err != nil {
				return nil, err
			}
			power = next.Mul(base, p)
		}
		base = power // to the sixteenth
	}
	return c, nil
}

// power is the generator to the exponent, which has as many octets as the
// comb's group says. Neither time nor places in memory depend on it.
func (c *comb) power(exponent []byte) *bigmod.Nat {
	out, factor := bigmod.NewNat().ExpandFor(c.p), bigmod.NewNat().ExpandFor(c.p)
	out.Bits()[0] = 1
	for i := range c.windows {
		digit := uint(exponent[len(exponent)-1-i/2]>>(4*(i%2))) & 15
		c.choose(factor.Bits(), i, digit)
		out.Mul(factor, c.p)
	}
	return out
}

// choose puts factor digit of window i into out: 1 for 0. All of them are read.
func (c *comb) choose(out []uint, i int, digit uint) {
	clear(out)
	out[0] = sameMask(digit, 0) & 1
	for j, power := range &c.windows[i] {
		mask := sameMask(digit, uint(j+1))
		for k, limb := range power.Bits() {
			out[k] |= mask & limb
		}
	}
}

// sameMask is all ones if a and b, which are below 2^31, are the same, else 0.
func sameMask(a, b uint) uint { return -(((a ^ b) - 1) >> (bits - 1)) }

// bits is the size of a uint.
const bits = 32 << (^uint(0) >> 63)
