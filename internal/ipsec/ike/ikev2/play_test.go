package ikev2

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// played is the pair of machines that kind chooses, up or not, for a program to
// do with as it says. The peers lie if kind says so, too.
func played(t testing.TB, kind byte) (*iketest.Play, *duo) {
	t.Helper()
	d := newDuo(t, func(a, b *policy.Config) {
		a.Restart, b.Initiator, b.Restart = true, kind&2 != 0, kind&2 != 0
		a.ForceEncap = kind&4 != 0
		if kind&8 != 0 {
			followedConfig(a, b)
			withPPK(a, b)
		}
		if kind&16 != 0 {
			withTickets(a, b)
		}
		if kind&32 != 0 {
			a.Extensions.FragmentSize, b.Extensions.FragmentSize = 576, 576
		}
	})
	d.Step(0, ike.Initiate{})
	if kind&1 != 0 {
		d.Run()
	}
	p := &iketest.Play{Net: d.Net, Bounds: d.bounds}
	if kind&64 != 0 {
		p.Seal = d.seal
	}
	return p, d
}

// seal is iketest.Play's Seal.
func (d *duo) seal(from int, pick, exchange, first byte, inner []byte) []byte {
	m := []*Machine{d.a, d.b}[from]
	if len(m.sas) == 0 {
		return nil
	}
	s := m.sas[int(pick>>2)%len(m.sas)]
	if s.seal == nil || s.state == gone {
		return nil
	}
	response := pick&1 != 0
	h := s.header(exchange, s.window.next, response)
	if response {
		h.MessageID = s.window.expect
	}
	if s.window.out != nil && pick&2 != 0 {
		h.MessageID = s.window.out.id
	}
	h.Next = uint8(wire.KindSK)
	n := 4 + s.seal.SealedLen(len(inner))
	data, err := s.seal.SealSK(append(h.Append(nil, ike.HeaderLen+n), first, 0, byte(n>>8), byte(n)), inner)
	if err != nil {
		return nil
	}
	return data
}

// bounds is iketest.Play's Bounds.
func (d *duo) bounds() error {
	for _, m := range []*Machine{d.a, d.b} {
		tasks := 0
		for _, s := range m.sas {
			tasks += len(s.tasks)
		}
		if len(m.sas) > maxSAs+maxHalfOpen || len(m.children) > maxChildren || m.halfOpen() > maxHalfOpen || tasks > 2*maxChildren {
			return fmt.Errorf("%d IKE SAs, %d CHILD SAs, %d half open, %d exchanges waiting", len(m.sas), len(m.children), m.halfOpen(), tasks)
		}
	}
	return nil
}

// FuzzMachines lets a program do anything to two machines: the wire, strangers
// and peers with the keys, in any state.
func FuzzMachines(f *testing.F) {
	f.Add(byte(1|64), []byte{6, 0, 1, 0, 0, 40, 3, 1, 2, 3, 13, 40, 0, 7})
	f.Add(byte(64), []byte{0, 1, 10, 0, 0, wire.Informational, byte(wire.KindDelete), 8, 0, 0, 0, 8, 1, 0, 0, 0, 13, 200, 0, 7})
	f.Add(byte(1|2|8|64), []byte{14, 0, 3, 14, 1, 3, 3, 1, 0, 0, 2, 14, 1, 1, 13, 200, 0, 7, 4, 1, 9})
	f.Add(byte(1|4|16), []byte{15, 0, 13, 255, 15, 1, 0, 7, 12, 3, 4, 5, 0, 7, 9, 0, 46, 32, 37, 8, 0, 2, 0, 4, 1, 2, 3, 4})
	f.Add(byte(1|32), []byte{10, 1, 0, wire.CreateChildSA, byte(wire.KindSA), 12, 40, 0, 0, 12, 0, 0, 0, 8, 1, 3, 0, 0, 0, 3, 8, 1, 5, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, kind byte, program []byte) {
		p, _ := played(t, kind)
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
		p, _ := played(t, byte(seed*37))
		err := p.Run(iketest.RandomProgram(r))
		if err == nil {
			err = p.Settle()
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, p.Log.String())
		}
	}
}
