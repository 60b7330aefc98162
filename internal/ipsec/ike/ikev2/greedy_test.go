package ikev2

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func TestPeerThatStartsOverAndOverIsBounded(t *testing.T) {
	d := upDuo(t, nil)
	for range 3 * maxSAs {
		fresh, err := New(d.a.cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.a, d.Ends[0].Machine = fresh, fresh
		d.Ends[0].Inbound = map[uint32]*ike.ChildSA{}
		fresh.current = &sa{} // no INITIAL_CONTACT
		fresh.connect(&turn{now: d.Now, out: &ike.Outputs{}})
		d.exchange(t)
	}
	if got := len(d.b.sas); got > maxSAs {
		t.Errorf("got %d IKE SAs kept, want at most %d", got, maxSAs)
	}
	if got := len(d.b.children); got > maxChildren {
		t.Errorf("got %d CHILD SAs kept, want at most %d", got, maxChildren)
	}
	if got := d.b.State().Phase; got != ike.Established && got != ike.Authed {
		t.Errorf("got %v, want the last IKE SA up", got)
	}
}

// exchange plays IKE_SA_INIT and IKE_AUTH of a's attempt under way, and loses
// whatever else is sent.
func (d *duo) exchange(t *testing.T) {
	t.Helper()
	var in []byte
	last := d.a.sas[len(d.a.sas)-1]
	data := last.window.out.data[0]
	for range 4 {
		var out ike.Outputs
		if err := d.b.Step(d.Now, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data}, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Datagrams) == 0 {
			t.Fatal("b does not answer")
		}
		in = out.Datagrams[0].Data
		out.Reset()
		if err := d.a.Step(d.Now, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: in}, &out); err != nil {
			t.Fatal(err)
		}
		if last.state == up || len(out.Datagrams) == 0 {
			return
		}
		data = out.Datagrams[0].Data
	}
}

func TestPeerThatIsBusyForMinutesLosesItsSA(t *testing.T) {
	d := upDuo(t, nil)
	d.Step(0, ike.RekeyChild{})
	for began := d.Now; d.Now.Sub(began) < busyFor+busyGap; {
		if d.a.current == nil {
			return
		}
		if f := d.a.current.window.out; f == nil {
			d.Wait(time.Second)
			continue
		} else if f.task.exchange() == wire.CreateChildSA {
			d.answerAs(t, wire.CreateChildSA, &wire.Notify{Type: wire.TemporaryFailure})
		} else {
			d.answerAs(t, f.task.exchange())
		}
	}
	t.Errorf("got %v, want the IKE SA closed", d.a.State().Phase)
}

func TestNewBusynessBeginsAnew(t *testing.T) {
	var b busyness
	for i := range 20 {
		if b.tooLong(begin.Add(time.Duration(i) * (busyGap + time.Second))) {
			t.Fatalf("one TEMPORARY_FAILURE now and then ends the SA, at number %d", i+1)
		}
	}
}

// TestPeerWithTheKeyCannotMakeUsKeepMuch has an authenticated peer ask for
// everything it can, in any order, and answer nothing, or say it is busy.
func TestPeerWithTheKeyCannotMakeUsKeepMuch(t *testing.T) {
	for seed := range uint64(8) {
		d := upDuo(t, func(_, b *policy.Config) { b.ESP[0].Group = 0 })
		r := rand.New(rand.NewPCG(seed, 3))
		for i := range 600 {
			if d.b.current == nil || d.a.current.spiI != d.b.current.spiI {
				break // it ended the SA, or gave it up: that is its right
			}
			kind := r.IntN(12)
			if kind == rekeyAll && r.IntN(30) > 0 {
				kind = 0 // a rekey of the IKE SA that b takes ends the game
			}
			d.ask(t, r, kind)
			if r.IntN(20) == 0 {
				d.Step(1, []ike.Event{ike.RekeyChild{}, ike.RekeyIKE{}}[r.IntN(2)])
			}
			if r.IntN(40) == 0 {
				d.Wait(time.Duration(r.IntN(8)) * time.Second)
			}
			d.Queue = nil
			tasks := 0
			for _, s := range d.b.sas {
				tasks += len(s.tasks)
			}
			if len(d.b.sas) > maxSAs || len(d.b.children) > maxChildren || tasks > 2*maxChildren {
				t.Fatalf("seed %d: after %d requests: got %d IKE SAs, %d CHILD SAs, %d exchanges waiting", seed, i, len(d.b.sas), len(d.b.children), tasks)
			}
			if err := d.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// rekeyAll is the kind of request that replaces the IKE SA.
const rekeyAll = 9

// ask has a send b one request of the given kind.
func (d *duo) ask(t *testing.T, r *rand.Rand, kind int) {
	t.Helper()
	nonce := &wire.Nonce{Data: make([]byte, 32)}
	spi := binary.BigEndian.AppendUint32(nil, 300+r.Uint32N(8))
	child := []wire.Payload{
		&wire.SA{Proposals: proposal.ESP(d.b.cfg.ESP, 300+r.Uint32N(8), true)}, nonce,
		&wire.TS{Selectors: d.a.cfg.LocalTS}, &wire.TS{Responder: true, Selectors: d.a.cfg.RemoteTS},
	}
	if at := len(d.b.children); at > 0 {
		binary.BigEndian.PutUint32(spi, d.b.children[r.IntN(at)].SA.SPIOut)
	}
	switch kind {
	case 0, 1, 2:
		d.say(t, wire.CreateChildSA, child...)
	case 3, 4, 5:
		d.say(t, wire.CreateChildSA, append([]wire.Payload{&wire.Notify{Protocol: wire.ProtoESP, SPI: spi, Type: wire.RekeySA}}, child...)...)
	case 6, 7, 8:
		d.say(t, wire.Informational, &wire.Delete{Protocol: wire.ProtoESP, SPIs: []uint32{binary.BigEndian.Uint32(spi), 0, 0xffffffff}})
	case rekeyAll:
		x, err := suite.NewExchange(31, d.a.cfg.Tuning.Rand)
		if err != nil {
			t.Fatal(err)
		}
		d.say(t, wire.CreateChildSA, &wire.SA{Proposals: proposal.IKE(d.a.cfg.IKE, binary.BigEndian.AppendUint64(nil, r.Uint64()))},
			nonce, &wire.KE{Group: 31, Public: x.Public()})
	case 10:
		d.say(t, wire.Informational)
	case 11: // answer what b asks, with an excuse
		if f := d.b.current.window.out; f != nil {
			data, err := wire.Seal(d.a.current.header(f.task.exchange(), f.id, true), []wire.Payload{&wire.Notify{Type: wire.TemporaryFailure}}, d.a.current.seal)
			if err != nil {
				t.Fatal(err)
			}
			d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
		}
	}
}

func TestKeysAreWipedWhenTheirSAGoes(t *testing.T) {
	d := upDuo(t, nil)
	s, c := d.b.current, d.b.children[0]
	d.Now = d.Now.Add(time.Second)
	d.Step(0, ike.RekeyIKE{})
	d.Run()
	d.Step(1, ike.Close{})
	for name, k := range map[string]secret.Secret{
		"SK_d": s.keys.D, "SK_er": s.keys.Er, "SK_pi": s.keys.Pi, "ESP in": c.SA.KeysIn.Encr, "ESP out": c.SA.KeysOut.Encr,
	} {
		if !bytes.Equal(k.Reveal(), make([]byte, k.Len())) {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := s.seal.SealSK(nil, nil); err == nil {
		t.Error("the cipher is left")
	}
}
