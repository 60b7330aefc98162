package suite

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"filippo.io/bigmod"
)

// initMODP makes a key in g. All arithmetic on the private exponent takes
// constant time.
func (x *Exchange) initMODP(g *modpGroup, random io.Reader) error {
	exponent, err := g.drawExponent(random)
	if err != nil {
		return err
	}
	p, public, err := g.power(exponent)
	if err != nil {
		return err
	}
	x.public = public.Bytes(p)
	x.shared = func(peer []byte) ([]byte, error) {
		y, err := g.checkPublic(peer, p)
		if err != nil {
			return nil, err
		}
		return bigmod.NewNat().Exp(y, exponent, p).Bytes(p), nil
	}
	return nil
}

// power is the generator to the exponent, modulo p.
func (g *modpGroup) power(exponent []byte) (p *bigmod.Modulus, public *bigmod.Nat, err error) {
	if once := combs[g]; once != nil {
		c, err := once()
		if err != nil {
			return nil, nil, err
		}
		return c.p, c.power(exponent), nil
	}
	if p, err = modulus(g.prime); err != nil {
		return nil, nil, fmt.Errorf("prime: %w", err)
	}
	generator, err := element(g.generator, p)
	if err != nil {
		return nil, nil, fmt.Errorf("generator: %w", err)
	}
	return p, bigmod.NewNat().Exp(generator, exponent, p), nil
}

// drawExponent draws a private exponent: any of 1 … order-1 where the group
// has a prime order subgroup, else g.exponent octets with the highest bit set,
// which keeps 0 and other tiny exponents out.
func (g *modpGroup) drawExponent(random io.Reader) ([]byte, error) {
	if g.order == "" {
		exponent := make([]byte, g.exponent)
		if _, err := io.ReadFull(random, exponent); err != nil {
			return nil, fmt.Errorf("read random source: %w", err)
		}
		exponent[0] |= 0x80
		return exponent, nil
	}
	q, err := modulus(g.order)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	exponent := make([]byte, q.Size())
	for range maxTries {
		if _, err := io.ReadFull(random, exponent); err != nil {
			return nil, fmt.Errorf("read random source: %w", err)
		}
		if n, err := bigmod.NewNat().SetBytes(exponent, q); err == nil && n.IsZero() == 0 {
			return exponent, nil
		}
	}
	return nil, errRandom
}

// checkPublic reads the peer's public value y and checks 1 < y < p-1, and
// y^order = 1 where the subgroup is not the whole group of squares (RFC 6989
// sections 2.1 and 2.2).
func (g *modpGroup) checkPublic(peer []byte, p *bigmod.Modulus) (*bigmod.Nat, error) {
	y, err := bigmod.NewNat().SetBytes(peer, p)
	switch {
	case err != nil:
		return nil, errors.New("not below the prime")
	case y.IsZero() == 1 || y.IsOne() == 1 || y.IsMinusOne(p) == 1:
		return nil, errors.New("one of 0, 1 and p-1")
	case g.order == "":
		return y, nil
	}
	order, err := hex.DecodeString(g.order)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	if bigmod.NewNat().Exp(y, order, p).IsOne() == 0 {
		return nil, errors.New("not in the subgroup")
	}
	return y, nil
}

// modulus reads a table's number as a modulus.
func modulus(number string) (*bigmod.Modulus, error) {
	b, err := hex.DecodeString(number)
	if err != nil {
		return nil, err
	}
	return bigmod.NewModulus(b)
}

// element reads a table's number as an element modulo p.
func element(number string, p *bigmod.Modulus) (*bigmod.Nat, error) {
	b, err := hex.DecodeString(number)
	if err != nil {
		return nil, err
	}
	return bigmod.NewNat().SetBytes(b, p)
}
