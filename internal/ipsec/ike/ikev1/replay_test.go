package ikev1

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// A peer that wants our second group refuses the first one each time, so its
// refusals cross the wire for everybody to record.
func TestRecordedRefusalsDoNotStopARekey(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) {
		other := a.ESP[0]
		other.Group = 20
		a.ESP = []suite.ESP{other, a.ESP[0]}
	})
	var recorded []iketest.Packet
	for _, p := range d.Sent {
		if p.From == 1 && strings.Contains(d.a.Describe(p.Data), "N(NO-PROPOSAL-CHOSEN)") {
			recorded = append(recorded, p)
		}
	}
	if len(recorded) != 1 {
		t.Fatalf("got %d refusals on the wire, want 1", len(recorded))
	}
	d.Wait(20 * time.Minute) // of R-U-THERE
	d.Step(0, ike.RekeyChild{})
	for range d.a.cfg.ESP {
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: bytes.Clone(recorded[0].Data)})
	}
	d.Run()
	if got := d.a.counts.rekeys; got != 1 {
		t.Errorf("got %d rekeys, want 1", got)
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfAPeerWithTheKeyAreBounded(t *testing.T) {
	d := upDuo(t, nil)
	before := d.b.State()
	for range 3000 {
		d.say(t, &wire.Notify{Protocol: wire.ProtoESP, Type: wire.InvalidSPI})
		d.Queue = nil
	}
	ids := d.b.current.ids
	if got := len(ids.lasting); got > maxLastingIDs {
		t.Errorf("got %d message ids remembered, want at most %d", got, maxLastingIDs)
	}
	d.checkUnmoved(t, before, "errors")
}

// What an initiator sends, sent back to it as if it were the answer, makes the
// two hashes of main mode the same.
func TestInitiatorDoesNotTakeItselfForThePeer(t *testing.T) {
	d := newDuo(t, nil)
	back := func(data []byte) {
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: data})
	}
	d.Step(0, ike.Initiate{})
	own := d.Sent[0]
	d.Queue = nil
	msg, err := wire.Parse(bytes.Clone(own.Data))
	if err != nil {
		t.Fatal(err)
	}
	msg.Header.SPIr = msg.Header.SPIi
	back(msg.Append(nil))
	if got := d.a.sas[0].state; got != offered {
		t.Errorf("its own cookie as the responder's: got %v, want it to wait for the peer", got)
	}
	d.toB(own.Data)
	d.DeliverNext() // message 2
	third := d.Queue[len(d.Queue)-1]
	back(bytes.Clone(third.Data))
	if got := d.a.sas[0].state; got != keying {
		t.Errorf("its own key exchange value as the responder's: got %v, want it to wait for the peer", got)
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

// anybodyDuo is newDuo with certificates, whose b takes a peer from anywhere.
func anybodyDuo(t *testing.T, kindA, kindB string) *duo {
	t.Helper()
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	return newDuo(t, func(a, b *policy.Config) {
		b.Remote = netip.AddrPort{}
		for name, c := range map[string]*policy.Config{"a": a, "b": b} {
			kind := map[string]string{"a": kindA, "b": kindB}[name]
			if c.Auth.Credential, err = ca.Credential(name, kind, nil); err != nil {
				t.Fatal(err)
			}
			if c.Auth.Trust, err = ca.Trust(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOneStrangerDoesNotCrowdOutOthersFromElsewhere(t *testing.T) {
	d := anybodyDuo(t, "ecdsa256", "ecdsa256")
	stranger := netip.MustParseAddrPort("192.0.2.66:500")
	flood := func() {
		queue := d.Queue
		for i := range 2 * maxOffered {
			s := newDuo(t, func(a, _ *policy.Config) { a.Tuning.Rand, a.Auth = newRand(byte(i+100)), d.a.cfg.Auth })
			s.Step(0, ike.Initiate{})
			d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: stranger, Data: s.Sent[0].Data})
			s.Step(0, ike.Datagram{Local: s.a.cfg.Local, Remote: s.b.cfg.Local, Data: d.Sent[len(d.Sent)-1].Data})
			if len(s.Sent) > 1 && i%4 == 0 {
				d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: stranger, Data: s.Sent[1].Data})
			}
		}
		d.Queue = queue
	}
	d.Step(0, ike.Initiate{})
	for range 6 {
		d.DeliverNext()
		flood()
	}
	d.Run()
	if got := d.a.counts.retransmits; got != 0 {
		t.Errorf("got %d messages sent again, want none", got)
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

// Whoever has done the key exchange can send as many proofs as it likes, and
// each may come with certificates that take long to check.
func TestProofsByCertificateAreCheckedAFewTimesOnly(t *testing.T) {
	for _, tt := range []struct {
		bad  int
		want state
	}{{maxProofs - 1, up}, {maxProofs, proving}} {
		d := anybodyDuo(t, "ecdsa256", "ecdsa256")
		d.Step(0, ike.Initiate{})
		for range 4 {
			d.DeliverNext()
		}
		good := d.Queue
		s, turn := d.a.sas[0], &turn{now: d.Now, out: &ike.Outputs{}}
		for range tt.bad {
			list, err := d.a.prove(s, true)
			if err != nil {
				t.Fatal(err)
			}
			list[len(list)-1].(*wire.Sig).Data[9] ^= 1
			data, _ := d.a.seal(turn, s, headerOf{wire.MainMode, 0}, s.keys.IV(), list)
			d.toB(data)
		}
		d.Queue = good
		d.DeliverNext()
		if got := d.b.sas[0].state; got != tt.want {
			t.Errorf("after %d bad proofs a good one: got %v, want %v", tt.bad, got, tt.want)
		}
	}
}

func TestPeerProvesItselfByTheMethodAgreedUpon(t *testing.T) {
	d := anybodyDuo(t, "ecdsa256", "ecdsa256")
	other := anybodyDuo(t, "rsa", "rsa")
	other.a.method = d.a.method // it has another key than it says
	other.Ends[1].Machine, other.b = d.b, d.b
	other.Step(0, ike.Initiate{})
	other.Run()
	if got := d.b.current; got != nil {
		t.Errorf("got an SA with %v by a key for RSA, want none: %v was agreed upon", got.peer, d.b.method)
	}
	if got, want := lastReason(other, 1), "has a key for RSA signatures, but ECDSA P-256 signatures were agreed upon"; !strings.Contains(got, want) {
		t.Errorf("got %q, want …%s…", got, want)
	}
}
