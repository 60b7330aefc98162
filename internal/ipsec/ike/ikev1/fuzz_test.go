package ikev1

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

func FuzzDatagram(f *testing.F) {
	f.Add(byte(0), uint16(0), []byte{0})
	f.Add(byte(3), uint16(16), []byte{1})
	f.Add(byte(8), uint16(18), []byte{5, 0})
	f.Add(byte(11), uint16(19), []byte{0})
	f.Add(byte(40), uint16(30), []byte{1, 2, 3})
	f.Add(byte(63), uint16(24), []byte{0, 0, 0, 28})
	f.Fuzz(func(t *testing.T, stage byte, at uint16, patch []byte) {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		for range int(stage>>1) % 16 {
			d.DeliverNext()
		}
		end := int(stage & 1)
		m := []*Machine{d.a, d.b}[end]
		base := d.Sent[int(stage>>3)%len(d.Sent)].Data
		// A change to a real message, made to fit, or the patch alone.
		data := bytes.Clone(patch)
		if int(at) < len(base) {
			data = append(bytes.Clone(base[:at]), patch...)
			data = append(data, base[min(len(base), int(at)+len(patch)):]...)
			if len(data) >= ike.HeaderLen && at%2 == 0 {
				binary.BigEndian.PutUint32(data[24:], uint32(len(data)))
			}
		}
		// Hashes do not cover the header.
		for _, p := range d.Sent {
			if len(data) >= ike.HeaderLen && bytes.Equal(p.Data[ike.HeaderLen:], data[ike.HeaderLen:]) {
				return
			}
		}
		before, children := m.State(), len(m.children)
		d.Step(end, ike.Datagram{Local: m.cfg.Local, Remote: m.cfg.Remote, Data: data})
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		after := m.State()
		// The notify in message 5 is behind the proof, which does not cover it:
		// a changed message may say less, never prove another peer.
		if len(m.children) != children && before.Phase == ike.Established {
			t.Fatalf("a forged datagram made or removed a CHILD SA: %x", data)
		}
		if before.Phase == ike.Established && (after.Phase != before.Phase || after.SPIi != before.SPIi || after.SPIr != before.SPIr) {
			t.Fatalf("a forged datagram changed %+v to %+v: %x", before, after, data)
		}
		if before.Phase != ike.Established && after.Phase == ike.Established {
			t.Fatalf("a forged datagram established: %x", data)
		}
	})
}

func FuzzAuthentic(f *testing.F) {
	f.Add(byte(wire.Informational), byte(wire.KindDelete), []byte{0, 0, 0, 12, 0, 0, 0, 1, 3, 4, 0, 0})
	f.Add(byte(wire.Informational), byte(wire.KindNotify), []byte{0, 0, 0, 16, 0, 0, 0, 1, 1, 0, 0x8d, 0x28, 0, 0, 0, 1})
	f.Add(byte(wire.QuickMode), byte(wire.KindSA), []byte{10, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1})
	f.Add(byte(wire.QuickMode), byte(0), []byte{})
	f.Fuzz(func(t *testing.T, exchange, first byte, inner []byte) {
		if len(inner) > 2000 {
			return
		}
		d := upDuo(t, nil)
		s := d.a.current
		const id = 77
		hash := s.keys.Message(id, inner)
		plain := append([]byte{first, 0, 0, byte(4 + len(hash))}, hash...)
		plain = wire.Pad(append(plain, inner...), s.keys.Cipher().BlockSize())
		sealed, err := s.keys.Cipher().Seal(s.keys.MessageIV(s.iv, id), plain)
		if err != nil {
			t.Fatal(err)
		}
		d.toB(wire.AppendSealed(nil, s.header(exchange, id), wire.KindHash, sealed))
		d.Queue = nil
		d.Cut = true
		d.Wait(100 * time.Second)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
	})
}
