package ikev2

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

func FuzzDatagram(f *testing.F) {
	f.Add(byte(0), uint16(0), []byte{0})
	f.Add(byte(1), uint16(16), []byte{35})
	f.Add(byte(2), uint16(40), []byte{1, 2, 3})
	f.Add(byte(3), uint16(24), []byte{0, 0, 0, 28})
	f.Fuzz(func(t *testing.T, stage byte, at uint16, patch []byte) {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		for range int(stage>>1) % 5 {
			d.DeliverNext()
		}
		end := int(stage & 1)
		m := []*Machine{d.a, d.b}[end]
		base := d.Sent[int(stage>>4)%len(d.Sent)].Data
		// A change to a real message, made to fit, or the patch alone.
		data := bytes.Clone(patch)
		if int(at) < len(base) {
			data = append(bytes.Clone(base[:at]), patch...)
			data = append(data, base[min(len(base), int(at)+len(patch)):]...)
			if len(data) >= ike.HeaderLen && stage&8 != 0 {
				binary.BigEndian.PutUint32(data[24:], uint32(len(data)))
			}
		}
		for _, p := range d.Sent {
			if bytes.Equal(p.Data, data) {
				return
			}
		}
		before, children := m.State(), len(m.children)
		d.Step(end, ike.Datagram{Local: m.cfg.Local, Remote: m.cfg.Remote, Data: data})
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		after := m.State()
		if len(m.children) != children {
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
	f.Add(byte(wire.Informational), byte(42), []byte{0, 0, 0, 8, 1, 0, 0, 0})
	f.Add(byte(wire.CreateChildSA), byte(33), []byte{40, 0, 0, 12, 0, 0, 0, 8, 1, 3, 0, 0})
	f.Add(byte(wire.IKEAuth), byte(0), []byte{})
	f.Fuzz(func(t *testing.T, exchange, first byte, inner []byte) {
		if len(inner) > 2000 || exchange == wire.IKESAInit {
			return
		}
		d := upDuo(t, nil)
		s := d.a.current
		h := s.header(exchange, s.window.next, false)
		h.Next = uint8(wire.KindSK)
		n := 4 + s.seal.SealedLen(len(inner))
		msg := h.Append(nil, ike.HeaderLen+n)
		data, err := s.seal.SealSK(append(msg, first, 0, byte(n>>8), byte(n)), inner)
		if err != nil {
			t.Fatal(err)
		}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
		d.Queue = nil
		d.Cut = true
		d.Wait(100 * time.Second)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
	})
}
