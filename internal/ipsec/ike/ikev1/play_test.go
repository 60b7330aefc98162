package ikev1

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev1/wire"
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
			a.ESP[0].Group, b.ESP[0].Group = 0, 0
		}
	})
	d.Step(0, ike.Initiate{})
	if kind&1 != 0 {
		d.Run()
	}
	p := &iketest.Play{Net: d.Net, Covers: covers, Bounds: d.bounds}
	if kind&64 != 0 {
		p.Seal = d.sealed
	}
	return p, d
}

// covers is iketest.Play's Covers. What stands behind the proof in the last two
// messages of main mode, a notify, is not proven.
func covers(data []byte) bool {
	h, _, err := ike.ParseHeader(data)
	return err != nil || h.Exchange != wire.MainMode || h.Flags&wire.FlagEncrypted == 0
}

// sealed is iketest.Play's Seal.
func (d *duo) sealed(from int, pick, exchange, first byte, inner []byte) []byte {
	m := []*Machine{d.a, d.b}[from]
	if len(m.sas) == 0 {
		return nil
	}
	s := m.sas[int(pick>>4)%len(m.sas)]
	if s.keys == nil || s.state == gone {
		return nil
	}
	id := uint32(pick & 15)
	iv := s.keys.MessageIV(s.iv, id)
	if id == 0 {
		iv = s.iv
	}
	if pick&1 != 0 && len(s.quicks) > 0 {
		q := s.quicks[0]
		id, iv = q.id, q.iv
	}
	hash := s.keys.Message(id, inner)
	plain := append([]byte{first, 0, 0, byte(4 + len(hash))}, hash...)
	data, err := s.keys.Cipher().Seal(iv, wire.Pad(append(plain, inner...), s.keys.Cipher().BlockSize()))
	if err != nil {
		return nil
	}
	return wire.AppendSealed(nil, s.header(exchange, id), wire.KindHash, data)
}

// bounds is iketest.Play's Bounds.
func (d *duo) bounds() error {
	for _, m := range []*Machine{d.a, d.b} {
		states, quicks := map[state]int{}, 0
		for _, s := range m.sas {
			states[s.state]++
			quicks = max(quicks, len(s.quicks))
			if len(s.ids.lasting) > maxLastingIDs || len(s.ids.recent) > recentIDs {
				return fmt.Errorf("%d and %d message ids remembered", len(s.ids.lasting), len(s.ids.recent))
			}
		}
		if states[offered] > 2 || states[keying] > maxOffered+2 || states[proving] > m.mostProving()+2 || states[up]+states[fading] > maxSAs+2 ||
			len(m.children) > maxChildren || quicks > maxAnswered+maxDone+maxChildren {
			return fmt.Errorf("ISAKMP SAs %v, %d CHILD SAs, %d quick modes", states, len(m.children), quicks)
		}
	}
	return nil
}

// FuzzMachines lets a program do anything to two machines: the wire, strangers
// and peers with the keys, in any state.
func FuzzMachines(f *testing.F) {
	f.Add(byte(1|64), []byte{6, 0, 1, 0, 0, 40, 3, 1, 2, 3, 13, 40, 0, 7})
	f.Add(byte(64), []byte{0, 3, 10, 0, 3, wire.Informational, byte(wire.KindDelete), 12, 0, 0, 0, 12, 0, 0, 0, 1, 3, 4, 0, 0, 13, 200, 0, 7})
	f.Add(byte(1|2|8|64), []byte{14, 0, 3, 14, 1, 3, 3, 1, 0, 0, 2, 14, 1, 1, 13, 200, 0, 7, 4, 1, 9})
	f.Add(byte(1|4), []byte{15, 0, 13, 255, 15, 1, 0, 7, 12, 3, 4, 5, 0, 7, 9, 0, 8, 16, 5, 0, 0, 2, 0, 4, 1, 2, 3, 4})
	f.Add(byte(1|64), []byte{10, 1, 5, wire.QuickMode, byte(wire.KindSA), 12, 10, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 8, 1, 5, 1, 2, 3, 4, 5})
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
