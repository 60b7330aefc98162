package ikev2

import (
	"encoding/binary"
	"testing"

	"seikan/internal/ipsec/ike"
)

// BenchmarkFlood is a message of a flood of first messages, at a machine whose
// tunnel is up.
func BenchmarkFlood(b *testing.B) {
	d := upDuo(b, nil)
	first, out := d.Sent[0].Data, ike.Outputs{}
	b.ReportAllocs()
	for i := range b.N {
		data := append([]byte(nil), first...)
		binary.BigEndian.PutUint64(data, uint64(i)+1)
		out.Reset()
		if err := d.b.Step(d.Now, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data}, &out); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkState(b *testing.B) {
	d := upDuo(b, nil)
	b.ReportAllocs()
	for range b.N {
		d.b.State()
	}
}
