package suite

import (
	"math/big"
	"testing"
)

// number reads a table's hexadecimal number.
func number(t *testing.T, s string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		t.Fatalf("table holds %.20q…, want hexadecimal", s)
	}
	return n
}

// pi is 2^n times π, rounded down, by Machin's formula.
func pi(n uint) *big.Int {
	const guard = 64 // bits that absorb the rounding of each term
	one := new(big.Int).Lsh(big.NewInt(1), n+guard)
	arctan := func(x int64) *big.Int { // of 1/x
		power := new(big.Int).Quo(one, big.NewInt(x))
		sum, square := new(big.Int), big.NewInt(x*x)
		for k := int64(1); power.Sign() != 0; k += 2 {
			term := new(big.Int).Quo(power, big.NewInt(k))
			if k%4 == 1 {
				sum.Add(sum, term)
			} else {
				sum.Sub(sum, term)
			}
			power.Quo(power, square)
		}
		return sum
	}
	sum := arctan(5)
	sum.Lsh(sum, 2).Sub(sum, arctan(239)).Lsh(sum, 2)
	return sum.Rsh(sum, guard)
}

// The RFCs define these primes by a formula: 2^n - 2^(n-64) - 1 +
// 2^64 * ([2^(n-130) π] + k).
func TestSafePrimesFollowTheirFormula(t *testing.T) {
	cases := []struct {
		group Group
		bits  uint
		k     int64
	}{
		{2, 1024, 129093}, {5, 1536, 741804}, {14, 2048, 124476}, {15, 3072, 1690314},
		{16, 4096, 240904}, {17, 6144, 929484}, {18, 8192, 4743158},
	}
	one := big.NewInt(1)
	for _, c := range cases {
		want := new(big.Int).Add(pi(c.bits-130), big.NewInt(c.k))
		want.Lsh(want, 64)
		want.Add(want, new(big.Int).Lsh(one, c.bits))
		want.Sub(want, new(big.Int).Lsh(one, c.bits-64))
		want.Sub(want, one)
		if got := number(t, groups[c.group].modp.prime); got.Cmp(want) != 0 {
			t.Errorf("prime of %v: got %x, want %x", c.group, got, want)
		}
	}
}

// Without the guarantee that both are prime, small subgroups could leak the
// exponent although every public value is checked.
func TestModuliAreSafePrimesOrHaveTheirSubgroup(t *testing.T) {
	one := big.NewInt(1)
	for g, info := range groups {
		if info.modp == nil {
			continue
		}
		p := number(t, info.modp.prime)
		if got, want := p.BitLen(), info.publicLen*8; got != want {
			t.Errorf("prime of %v: got %d bits, want %d", g, got, want)
		}
		if testing.Short() && p.BitLen() > 2048 {
			continue
		}
		// Zero rounds is Baillie-PSW alone, no counterexample of which is
		// known; more rounds of the largest would take seconds.
		if !p.ProbablyPrime(0) {
			t.Errorf("modulus of %v is not prime", g)
		}
		pMinus1 := new(big.Int).Sub(p, one)
		if info.modp.order == "" {
			if !new(big.Int).Rsh(pMinus1, 1).ProbablyPrime(0) {
				t.Errorf("modulus of %v is no safe prime", g)
			}
			continue
		}
		q, gen := number(t, info.modp.order), number(t, info.modp.generator)
		if !q.ProbablyPrime(20) || new(big.Int).Mod(pMinus1, q).Sign() != 0 {
			t.Errorf("order of %v is not a prime that divides p-1", g)
		}
		if gen.Cmp(one) <= 0 || gen.Cmp(pMinus1) >= 0 || new(big.Int).Exp(gen, q, p).Cmp(one) != 0 {
			t.Errorf("generator of %v does not generate the subgroup", g)
		}
	}
}

func TestExponentsAreTwiceTheStrength(t *testing.T) {
	for g, info := range groups {
		if info.modp == nil || info.modp.order != "" {
			continue
		}
		if got, least := info.modp.exponent*8, 2*info.strength; got < least || got > info.publicLen*8 {
			t.Errorf("exponent of %v: got %d bits, want %d to %d", g, got, least, info.publicLen*8)
		}
	}
}
