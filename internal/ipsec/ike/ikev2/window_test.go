package ikev2

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

func TestSAWhoseMessageIDsRunLowIsRekeyed(t *testing.T) {
	for name, low := range map[string]func(d *duo) (a, b *uint32){
		"our requests":  func(d *duo) (a, b *uint32) { return &d.a.current.window.next, &d.b.current.window.expect },
		"the peer's":    func(d *duo) (a, b *uint32) { return &d.a.current.window.expect, &d.b.current.window.next },
		"while resting": func(d *duo) (a, b *uint32) { return &d.b.current.window.next, &d.a.current.window.expect },
	} {
		d := upDuo(t, nil)
		old := d.a.current.spiI
		a, b := low(d)
		*a, *b = lowIDs-1, lowIDs-1
		d.Step(0, ike.RekeyChild{})
		d.Run()
		d.Step(1, ike.RekeyChild{})
		d.Run()
		d.Wait(20 * time.Second)
		if d.a.current == nil || d.a.current.spiI == old || d.a.current.window.next > 1000 {
			t.Errorf("%s: got the IKE SA of before, want another", name)
		}
		checkTraffic(t, d)
	}
}

func TestLastMessageIDIsNeverUsed(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) { a.Restart = true })
	d.a.current.window.next, d.b.current.window.expect = lastID, lastID
	sent := len(d.Sent)
	if got := d.say(t, wire.Informational); got != nil {
		t.Errorf("got %v to a request with the last id, want silence: the next would be 0 again", got)
	}
	d.a.current.window.next = lastID
	d.Step(0, ike.RekeyChild{})
	if d.a.State().Phase != ike.Failed || len(d.Sent) != sent {
		t.Errorf("got %v and %d requests, want the SA ended and none", d.a.State().Phase, len(d.Sent)-sent)
	}
	d.Wait(2 * time.Second)
	checkTraffic(t, d)
}

func TestPeersWiderWindowIsNotUsed(t *testing.T) {
	d := upDuo(t, nil)
	if got := d.say(t, wire.Informational, &wire.Notify{Type: wire.SetWindowSize, Data: []byte{0, 0, 0, 9}}); len(got) != 0 {
		t.Errorf("got %v to SET_WINDOW_SIZE, want an empty answer", got)
	}
	sent := len(d.Sent)
	for range 3 {
		d.b.current.tasks = append(d.b.current.tasks, &probe{})
	}
	d.Step(1, ike.PeerAlive{At: d.Now})
	if got := len(d.Sent) - sent; got != 1 {
		t.Errorf("got %d requests under way, want 1", got)
	}
	d.Run()
	if got := len(d.Sent) - sent; got != 6 {
		t.Errorf("got %d datagrams in all, want three requests and their answers, one by one", got)
	}
}

func TestRequestsOfUnknownSAsAreAnsweredSeldom(t *testing.T) {
	d := upDuo(t, nil)
	h := d.a.current.header(wire.Informational, 7, false)
	h.SPIr ^= 1
	send := func() []ike.Datagram {
		var out ike.Outputs
		if err := d.b.Step(d.Now, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)}, &out); err != nil {
			t.Fatal(err)
		}
		return out.Datagrams
	}
	got := send()
	if len(got) != 1 {
		t.Fatalf("got %d answers, want 1", len(got))
	}
	m, err := wire.Parse(got[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := wire.FindNotify(m.Payloads, wire.InvalidIKESPI); !ok || len(n.Data) != 0 ||
		m.Header.SPIr != h.SPIr || m.Header.SPIi != h.SPIi || m.Header.MessageID != 7 || m.Header.Flags != ike.FlagResponse {
		t.Errorf("got %+v with %v, want INVALID_IKE_SPI with the SPIs and the id of the request", m.Header, m.Payloads)
	}
	for range 10 {
		if len(send()) != 0 {
			t.Fatal("got an answer to each request, want few")
		}
	}
	h.Flags |= ike.FlagResponse
	d.Now = d.Now.Add(time.Minute)
	if len(send()) != 0 {
		t.Error("a response was answered")
	}
}

func TestNothingIsAnsweredBeforeAuthentication(t *testing.T) {
	for _, exchange := range []uint8{wire.CreateChildSA, wire.Informational, wire.IKEFollowupKE, 38} {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		d.DeliverNext()
		d.DeliverNext()
		auth := d.Queue
		d.Queue = nil
		d.a.current = d.a.sas[0]
		d.a.current.window.next = 1
		if got := d.say(t, exchange, &wire.Delete{Protocol: wire.ProtoIKE}); got != nil {
			t.Errorf("exchange %d: got %v before IKE_AUTH, want silence", exchange, got)
		}
		if got := d.b.sas[0].window.expect; got != 1 || d.b.halfOpen() != 1 {
			t.Errorf("exchange %d: got message %d awaited of %d attempts, want 1 of 1: the request counted", exchange, got, d.b.halfOpen())
		}
		d.a.current = nil
		d.Queue = auth
		d.Run()
		checkTraffic(t, d)
	}
}

func TestForgedInitAnswerThatComesFirstDoesNotWin(t *testing.T) {
	d := newDuo(t, nil)
	cfg := testConfig(1)
	cfg.Auth.PSK = secret.FromString("another.secret_key")
	var forgeries [][]byte
	d.Step(0, ike.Initiate{})
	for range maxRivals + 2 {
		stranger, err := New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out ike.Outputs
		if err := stranger.Step(d.Now, ike.Datagram{Local: cfg.Local, Remote: cfg.Remote, Data: d.Sent[0].Data}, &out); err != nil {
			t.Fatal(err)
		}
		forgeries = append(forgeries, out.Datagrams[0].Data)
	}
	forge := func(data []byte) {
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: data})
	}
	forge(forgeries[0])
	forge(forgeries[1])
	forge(forgeries[1]) // again: nothing new
	if got := len(d.a.sas); got != 2 {
		t.Errorf("got %d answers followed, want 2", got)
	}
	d.Run() // the peer's own comes third
	checkTraffic(t, d)
	if got := len(d.a.sas); got != 1 {
		t.Errorf("got %d IKE SAs once one is up, want 1", got)
	}
	d = newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.Queue = nil
	for _, data := range forgeries {
		forge(data)
	}
	if got := len(d.a.sas); got > maxRivals {
		t.Errorf("got %d answers followed, want at most %d", got, maxRivals)
	}
}
