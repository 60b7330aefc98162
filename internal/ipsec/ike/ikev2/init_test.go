package ikev2

import (
	"bytes"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

func TestNoncesServeEveryPRF(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	nonce, _ := wire.Find[*wire.Nonce](msg.Payloads)
	for _, prf := range []suite.PRF{suite.PRFSHA1, suite.PRFSHA256, suite.PRFSHA384, suite.PRFSHA512} {
		if got, want := len(nonce.Data), max(16, prf.Size()/2); got < want {
			t.Errorf("%v: got a nonce of %d octets, want %d at least", prf, got, want)
		}
	}
}

func TestEveryAttemptHasItsOwnKeyAndNonce(t *testing.T) {
	d := newDuo(t, func(a, _ *policy.Config) { a.Restart = true })
	d.Cut = true
	d.Step(0, ike.Initiate{})
	d.Wait(35 * time.Second)
	first, last := d.Sent[0], d.Sent[len(d.Sent)-1]
	var kes, nonces [2][]byte
	for i, p := range [][]byte{first.Data, last.Data} {
		msg, err := wire.Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		ke, _ := wire.Find[*wire.KE](msg.Payloads)
		nonce, _ := wire.Find[*wire.Nonce](msg.Payloads)
		kes[i], nonces[i] = ke.Public, nonce.Data
	}
	if bytes.Equal(kes[0], kes[1]) || bytes.Equal(nonces[0], nonces[1]) {
		t.Error("the second attempt takes the key or the nonce of the first")
	}
}

func TestMinorVersionAndReservedBitsAreIgnored(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	data := bytes.Clone(d.Sent[0].Data)
	data[17], data[19] = 0x2f, data[19]|0xc7
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
	if got := d.b.halfOpen(); got != 1 {
		t.Fatalf("got %d attempts half open, want 1", got)
	}
	if got := d.Sent[1].Data; got[17] != wire.Version || got[19] != ike.FlagResponse {
		t.Errorf("got version %#x and flags %#x, want %#x and %#x", got[17], got[19], wire.Version, ike.FlagResponse)
	}
}
