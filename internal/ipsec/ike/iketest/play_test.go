package iketest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"seikan/internal/ipsec/ike"
	onewire "seikan/internal/ipsec/ike/ikev1/wire"
)

// playedBoth is a pair of ends of which one speaks both versions and the other
// what kind says, up or not.
func playedBoth(t testing.TB, kind byte) *Play {
	t.Helper()
	words := []string{"a.version=both", "a.flag=initiator", "a.flag=restart", fmt.Sprintf("seed=%d", kind>>4)}
	words = append(words, []string{"b.version=both", "b.version=2", "b.version=1", "b.version=both"}[kind>>1&3])
	if kind&8 != 0 {
		words = append(words, "b.flag=initiator", "b.flag=restart")
	}
	n, err := makePair(words)
	if err != nil {
		t.Fatal(err)
	}
	n.Step(0, ike.Initiate{})
	if kind&1 != 0 {
		n.Run()
	}
	return &Play{Net: n, Covers: func(data []byte) bool {
		h, _, err := ike.ParseHeader(data)
		return err != nil || h.Major() != 1 || h.Exchange != onewire.MainMode || h.Flags&onewire.FlagEncrypted == 0
	}}
}

// FuzzBothVersions lets a program do anything that the wire and strangers can
// do to ends that speak both versions of IKE.
func FuzzBothVersions(f *testing.F) {
	f.Add(byte(1), []byte{6, 0, 1, 0, 0, 40, 3, 1, 2, 3, 13, 40, 0, 7})
	f.Add(byte(4), []byte{13, 200, 0, 7, 13, 200, 0, 7, 9, 0, 1, 16, 2, 0, 0, 0, 0, 4, 1, 2, 3, 4})
	f.Add(byte(1|8), []byte{14, 0, 3, 14, 1, 3, 3, 1, 0, 0, 2, 14, 1, 1, 13, 200, 0, 7, 4, 1, 9})
	f.Fuzz(func(t *testing.T, kind byte, program []byte) {
		p := playedBoth(t, kind)
		if err := p.Run(program); err != nil {
			t.Fatal(err)
		}
		if err := p.Settle(); err != nil {
			t.Fatalf("%v\n%s", err, p.Log.String())
		}
	})
}

func TestRandomProgramsLeaveNothingBroken(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := playedBoth(t, byte(seed*37))
		err := p.Run(RandomProgram(r))
		if err == nil {
			err = p.Settle()
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, p.Log.String())
		}
	}
}
