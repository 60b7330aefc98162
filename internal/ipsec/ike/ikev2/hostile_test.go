package ikev2

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

func TestResponderWithoutNATDoesNotFollowARewrittenPort(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext() // IKE_SA_INIT
	d.DeliverNext()
	request := d.Queue[0] // IKE_AUTH
	d.Queue = nil
	rewritten := netip.AddrPortFrom(d.a.cfg.Local.Addr(), 666)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: rewritten, Data: request.Data})
	if got := d.b.State(); got.Phase != ike.Established || got.Remote != d.a.cfg.Local {
		t.Errorf("got %v with %v, want established with %v", got.Phase, got.Remote, d.a.cfg.Local)
	}
	if got := d.Queue[0].Remote; got != rewritten {
		t.Errorf("the answer goes to %v, want %v, where the request came from", got, rewritten)
	}
}

// lived is a pair that has been through both kinds of rekey, so that every
// kind of message has crossed the wire.
func lived(t testing.TB, change func(a, b *policy.Config)) *duo {
	t.Helper()
	d := upDuo(t, change)
	for i, ev := range []ike.Event{ike.RekeyChild{}, ike.RekeyIKE{}, ike.RekeyChild{}} {
		d.Step(i%2, ev)
		d.Run()
	}
	d.Wait(12 * time.Second)
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	return d
}

// mutate changes data as somebody without keys can.
func mutate(r *rand.Rand, data []byte, current ike.Header) []byte {
	data = bytes.Clone(data)
	for range 1 + r.IntN(3) {
		switch at := r.IntN(len(data)); r.IntN(9) {
		case 0:
			data[at] ^= 1 << r.IntN(8)
		case 1:
			data[at] = byte(r.Uint32())
		case 2:
			data = data[:max(1, at)]
		case 3:
			data = append(data, byte(r.Uint32()))
		case 4: // name the SA that is up
			if len(data) >= ike.HeaderLen {
				binary.BigEndian.PutUint64(data, current.SPIi)
				binary.BigEndian.PutUint64(data[8:], current.SPIr)
			}
		case 5: // the other kind of message, or the other end's
			if len(data) >= ike.HeaderLen {
				data[19] ^= []byte{ike.FlagResponse, ike.FlagInitiator, ike.FlagResponse | ike.FlagInitiator}[r.IntN(3)]
			}
		case 6: // another exchange
			if len(data) >= ike.HeaderLen {
				data[18] = byte(wire.IKESAInit + r.IntN(4))
			}
		case 7: // another message id
			if len(data) >= ike.HeaderLen {
				binary.BigEndian.PutUint32(data[20:], r.Uint32()>>r.IntN(32))
			}
		case 8: // another version
			if len(data) >= ike.HeaderLen {
				data[17] = byte(r.Uint32())
			}
		}
	}
	if len(data) >= ike.HeaderLen && r.IntN(4) > 0 {
		binary.BigEndian.PutUint32(data[24:], uint32(len(data)))
	}
	return data
}

func TestNothingUnauthenticTouchesAnEstablishedPair(t *testing.T) {
	for _, encap := range []bool{false, true} {
		d := lived(t, func(a, _ *policy.Config) { a.ForceEncap = encap })
		r := rand.New(rand.NewPCG(7, 7))
		genuine := d.Sent
		for i := range 12000 {
			end := i % 2
			m := []*Machine{d.a, d.b}[end]
			data := mutate(r, genuine[r.IntN(len(genuine))].Data, m.current.header(0, 0, false))
			if wasSent(d, data) {
				continue
			}
			before, seen, at, window := m.State(), m.live.seen, m.current.path, m.current.window
			actions := stepped(t, m, d.Now, ike.Datagram{
				Local:  m.current.path.local,
				Remote: netip.AddrPortFrom(m.current.path.remote.Addr(), uint16(r.Uint32())), Data: data,
			})
			if after := m.State(); !reflect.DeepEqual(before, after) {
				t.Fatalf("%x changed\n%+v to\n%+v", data, before, after)
			}
			if m.live.seen != seen || m.current.path != at || !reflect.DeepEqual(m.current.window, window) {
				t.Fatalf("%x changed liveness, path or window", data)
			}
			for _, a := range actions {
				if _, ok := a.(ike.Notice); !ok {
					t.Fatalf("%x led to %T", data, a)
				}
			}
			if len(m.sas) > maxHalfOpen+1 {
				t.Fatalf("got %d SAs kept, want at most %d", len(m.sas), maxHalfOpen+1)
			}
		}
		if err := d.Traffic(); err != nil {
			t.Error(err)
		}
	}
}

// wasSent reports whether data is genuine after all.
func wasSent(d *duo, data []byte) bool {
	for _, p := range d.Sent {
		if bytes.Equal(p.Data, data) {
			return true
		}
	}
	return false
}

// stepped feeds m a datagram past the net, and returns what it wants done.
func stepped(t *testing.T, m *Machine, now time.Time, in ike.Datagram) []ike.Action {
	t.Helper()
	var out ike.Outputs
	if err := m.Step(now, in, &out); err != nil {
		t.Fatal(err)
	}
	return out.Actions
}

func TestReplayedMessagesAreNoSignOfLife(t *testing.T) {
	d := lived(t, nil)
	d.Step(1, ike.RekeyChild{}) // so that b's last request is among what is repeated
	d.Run()
	d.Cut = true // b is dead from now on
	for range 60 {
		d.Now = d.Now.Add(time.Second)
		for _, p := range d.Sent {
			if p.From == 1 {
				stepped(t, d.a, d.Now, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: p.Data})
			}
		}
		if at := d.a.Deadline(); !at.IsZero() && !at.After(d.Now) {
			d.Step(0, ike.TimerFired{})
		}
		if d.a.State().Phase != ike.Established {
			return
		}
	}
	t.Errorf("got %v after a minute of nothing but replays, want the peer found dead", d.a.State().Phase)
}

func TestOwnInitReflectedIsNotAPeer(t *testing.T) {
	d := newDuo(t, func(a, _ *policy.Config) { a.RemoteID = ike.Identity{} })
	d.Step(0, ike.Initiate{})
	d.Queue = nil
	for i := 0; i < len(d.Sent) && i < 10; i++ { // everything a sends comes back to it
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: d.Sent[i].Data})
	}
	if got := d.a.State().Phase; got != ike.Connecting {
		t.Errorf("got %v, want connecting: it talked to itself", got)
	}
	if got := len(d.Sent); got != 1 {
		t.Errorf("got %d datagrams, want its first one only", got)
	}
}

func TestInitAnswerOfAnotherAttemptDoesNotMoveESP(t *testing.T) {
	// Both start at once; b's SA comes up first, then b answers a's INIT.
	d := newDuo(t, func(a, b *policy.Config) { a.ForceEncap, b.Initiator = true, true })
	d.Step(0, ike.Initiate{})
	late := d.Queue
	d.Queue = nil
	d.Step(1, ike.Initiate{})
	d.Run()
	if d.a.State().Phase != ike.Established {
		t.Fatalf("got %v, want established", d.a.State().Phase)
	}
	d.Deliver(late[0])
	for len(d.Queue) > 0 && d.Queue[0].From == 0 {
		d.Queue = d.Queue[1:]
	}
	answer := d.Queue[0]
	for _, a := range stepped(t, d.a, d.Now, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: answer.Data}) {
		if move, ok := a.(ike.MovePeer); ok {
			t.Errorf("got %+v on a message that proves nothing, want ESP to stay", move)
		}
	}
}

func TestInitiatorDoesNotFollowARewrittenPort(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext() // IKE_SA_INIT
	d.DeliverNext()
	d.DeliverNext() // IKE_AUTH request
	answer := d.Queue[0]
	d.Queue = nil
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: netip.AddrPortFrom(d.b.cfg.Local.Addr(), 666), Data: answer.Data})
	if got := d.a.State(); got.Phase != ike.Established || got.Remote != d.b.cfg.Local {
		t.Errorf("got %v with %v, want established with %v", got.Phase, got.Remote, d.b.cfg.Local)
	}
}

func TestLaterVersionsAreAnsweredSeldom(t *testing.T) {
	d := upDuo(t, nil)
	sent := len(d.Sent)
	for i := range 500 {
		h := ike.Header{SPIi: uint64(i + 1), Version: 0x30, Exchange: wire.IKESAInit, Flags: ike.FlagInitiator}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	}
	if got := len(d.Sent) - sent; got != 1 {
		t.Errorf("got %d answers at one moment, want 1", got)
	}
}

func TestForgedRefusalDoesNotEndTheAttempt(t *testing.T) {
	for _, n := range []*wire.Notify{
		{Type: wire.NoProposalChosen}, {Type: wire.InvalidSyntax}, {Type: wire.InvalidMajorVersion}, {Type: 9999},
	} {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		h := d.a.sas[0].header(wire.IKESAInit, 0, true)
		h.Flags = ike.FlagResponse
		forged := wire.Message{Header: h, Payloads: []wire.Payload{n}}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: forged.Append(nil)})
		d.Run()
		if err := d.Traffic(); err != nil {
			t.Errorf("%v: got %v, want the true answer to count", n.Type, err)
		}
	}
}

func TestPeersSPIOfZeroIsRefused(t *testing.T) {
	d := upDuo(t, nil)
	props := proposal.ESP(d.a.cfg.ESP, 0, true)
	got := d.say(t, wire.CreateChildSA, &wire.SA{Proposals: props}, &wire.Nonce{Data: make([]byte, 32)},
		&wire.TS{Selectors: d.a.cfg.LocalTS}, &wire.TS{Responder: true, Selectors: d.a.cfg.RemoteTS})
	if _, ok := wire.FindNotify(got, wire.NoProposalChosen); !ok {
		t.Errorf("got %v, want NO_PROPOSAL_CHOSEN: ESP with SPI 0 in UDP would look like IKE", got)
	}
}

func TestLongListsOfAPeerAreClippedInWords(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	var long []wire.Transform
	for i := range 250 {
		long = append(long, wire.Transform{Type: wire.TypeEncr, ID: uint16(1000 + i), KeyBits: 128})
	}
	msg.Payloads[0] = &wire.SA{Proposals: []wire.Proposal{{Number: 1, Protocol: wire.ProtoIKE, Transforms: long}}}
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	if got := len(d.b.State().Reason); got == 0 || got > maxReason+len("…") {
		t.Errorf("got a reason of %d octets, want 1 to %d", got, maxReason)
	}
}

func TestStrangersWithoutTheKeyAreReportedSeldom(t *testing.T) {
	d := upDuo(t, nil)
	before, notices := d.b.State(), len(d.Ends[1].Notices)
	for i := range 50 {
		cfg := testConfig(0)
		cfg.Auth.PSK, cfg.Tuning.Rand = secret.FromString("a_guess_1234"), rand.NewChaCha8([32]byte{9, byte(i)})
		stranger, err := New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Ends[0].Machine = stranger
		d.Step(0, ike.Initiate{})
		d.Run()
	}
	if got := len(d.Ends[1].Notices) - notices; got != 1 {
		t.Errorf("got %d notices about 50 wrong keys at one moment, want 1", got)
	}
	if after := d.b.State(); !reflect.DeepEqual(before, after) {
		t.Errorf("got %+v, want %+v", after, before)
	}
}

func TestStrangerWithoutTheKeyDoesNotHideOurOwnAttempt(t *testing.T) {
	d := newDuo(t, func(a, b *policy.Config) {
		b.Initiator, b.Restart = true, true
		a.Auth.PSK = secret.FromString("a_guess_1234")
	})
	d.Step(1, ike.Initiate{})
	d.Queue = nil
	d.Step(0, ike.Initiate{})
	d.Run()
	if got := d.b.State().Phase; got != ike.Connecting {
		t.Errorf("got %v, want connecting: our own attempt goes on", got)
	}
}

func TestMessagesOf3000OctetsAreTaken(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		msg.Payloads = append(msg.Payloads, &wire.VendorID{Data: make([]byte, 1000)})
	}
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	if got := d.b.halfOpen(); got != 1 {
		t.Errorf("got %d attempts half open, want 1", got)
	}
}
