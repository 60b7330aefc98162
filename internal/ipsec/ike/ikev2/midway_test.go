package ikev2

import (
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// midway is a duo with every extension of keys, stopped after some datagrams
// of: IKE_SA_INIT, IKE_INTERMEDIATE and IKE_AUTH; a rekey of the CHILD SA, or
// of the IKE SA, with IKE_FOLLOWUP_KE, from one end or from both.
func midway(t testing.TB, stage byte) *duo {
	t.Helper()
	d := newDuo(t, func(a, b *policy.Config) { followedConfig(a, b); withPPK(a, b); withTickets(a, b) })
	d.Step(0, ike.Initiate{})
	events := [][2]ike.Event{{nil, nil}, {ike.RekeyChild{}, nil}, {ike.RekeyIKE{}, nil}, {ike.RekeyChild{}, ike.RekeyChild{}}, {ike.RekeyIKE{}, ike.RekeyIKE{}}, {ike.RekeyIKE{}, ike.RekeyChild{}}}
	ev := events[int(stage>>4)%len(events)]
	if ev[0] != nil {
		d.Run()
	}
	for end, e := range ev {
		if e != nil {
			d.Step(end, e)
		}
	}
	for range int(stage>>1) % 8 {
		d.DeliverNext()
	}
	return d
}

// FuzzMidway delivers anything, authentic, to either end in the middle of any
// exchange that makes keys, and then lets both ends go on.
func FuzzMidway(f *testing.F) {
	f.Add(byte(3<<1), byte(wire.IKEIntermediate), byte(wire.KindKE), []byte{0, 0, 0, 8, 0, 36, 0, 0})
	f.Add(byte(5<<1|1), byte(wire.IKEAuth), byte(wire.KindNotify), []byte{0, 0, 0, 8, 0, 0, 64, 52})
	f.Add(byte(1<<4|2<<1), byte(wire.IKEFollowupKE), byte(wire.KindNotify), []byte{0, 0, 0, 8, 0, 0, 64, 57})
	f.Add(byte(4<<4|3<<1|1), byte(wire.CreateChildSA), byte(wire.KindNotify), []byte{0, 0, 0, 8, 0, 0, 0, 47})
	f.Add(byte(2<<4|2<<1), byte(wire.IKESessionResume), byte(wire.KindNonce), make([]byte, 20))
	f.Fuzz(func(t *testing.T, stage, exchange, first byte, inner []byte) {
		if len(inner) > 2000 || exchange == wire.IKESAInit {
			return
		}
		d := midway(t, stage)
		from, to := d.a, d.b
		if stage&1 != 0 {
			from, to = d.b, d.a
		}
		at := slices.IndexFunc(from.sas, func(s *sa) bool { return s.seal != nil })
		if at < 0 {
			return
		}
		s := from.sas[at]
		h := s.header(exchange, s.window.next, stage&0x80 != 0)
		if s.window.out != nil {
			h.MessageID = s.window.out.id
		}
		h.Next = uint8(wire.KindSK)
		n := 4 + s.seal.SealedLen(len(inner))
		data, err := s.seal.SealSK(append(h.Append(nil, ike.HeaderLen+n), first, 0, byte(n>>8), byte(n)), inner)
		if err != nil {
			t.Fatal(err)
		}
		d.Step(int(1-stage&1), ike.Datagram{Local: to.cfg.Local, Remote: from.cfg.Local, Data: data})
		d.Wait(100 * time.Second)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		if got := len(to.sas) + len(to.children); got > maxSAs+maxChildren {
			t.Errorf("got %d SAs, want at most %d", got, maxSAs+maxChildren)
		}
	})
}
