package ikev1

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testConfig is that of end i; both use a fast group.
func testConfig(i int) policy.Config {
	c := policy.Config{
		Initiator: i == 0, Auth: policy.Auth{PSK: secret.FromString("correct.horse_battery")},
		Local: netip.MustParseAddrPort("198.51.100.2:500"), Remote: netip.MustParseAddrPort("203.0.113.10:500"),
		IKE: []suite.IKE{{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 19}},
		ESP: []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
	}
	if i == 1 {
		c.Local, c.Remote = c.Remote, c.Local
	}
	c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i)})
	return c
}

// A duo is two machines on a wire, with a view inside.
type duo struct {
	*iketest.Net
	a, b *Machine
}

func newDuo(t testing.TB, change func(a, b *policy.Config)) *duo {
	t.Helper()
	ca, cb := testConfig(0), testConfig(1)
	if change != nil {
		change(&ca, &cb)
	}
	a, err := New(ca)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cb)
	if err != nil {
		t.Fatal(err)
	}
	return &duo{iketest.NewNet(begin, a, b), a, b}
}

// upDuo is newDuo after quick mode.
func upDuo(t testing.TB, change func(a, b *policy.Config)) *duo {
	t.Helper()
	d := newDuo(t, change)
	d.Step(0, ike.Initiate{})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	return d
}

// toB delivers data to b as if a had sent it.
func (d *duo) toB(data []byte) {
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
}

// say delivers to b an informational message of a's that holds list.
func (d *duo) say(t testing.TB, list ...wire.Payload) {
	t.Helper()
	s, turn := d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	id := d.a.newID(turn, s, false)
	data, _ := d.a.seal(turn, s, headerOf{wire.Informational, id}, s.keys.MessageIV(s.iv, id), s.hashed(id, nil, list))
	if turn.err != nil {
		t.Fatal(turn.err)
	}
	d.toB(data)
}

// clear is an informational message in the clear about the SA of both.
func (d *duo) clear(list ...wire.Payload) []byte {
	msg := wire.Message{Header: d.a.current.header(wire.Informational, 0), Chain: wire.Chain{Payloads: list}}
	return msg.Append(nil)
}

// checkUnmoved fails unless b is as it was, with traffic.
func (d *duo) checkUnmoved(t testing.TB, before *ike.Snapshot, what string) {
	t.Helper()
	after := d.b.State()
	if before.Phase != after.Phase || before.SPIi != after.SPIi || before.SPIr != after.SPIr || before.Remote != after.Remote ||
		after.Child == nil || before.Child.SPIIn != after.Child.SPIIn {
		t.Errorf("%s: got %+v, want %+v", what, after, before)
	}
	if err := d.Traffic(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestConfigThatIKEv1CannotServeIsRefused(t *testing.T) {
	c := testConfig(0)
	c.Auth.PSK = secret.Secret{}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "Auth.PSK") {
		t.Errorf("no key: got %v, want an error that names Auth.PSK", err)
	}
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	c = testConfig(0)
	if c.Auth.Trust, err = ca.Trust(); err != nil {
		t.Fatal(err)
	}
	if c.Auth.Credential, err = ca.Credential("a", "ed25519", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "Auth.Credential") {
		t.Errorf("Ed25519: got %v, want an error that names Auth.Credential", err)
	}
}

func TestAnotherPeerOfTheSameCATakesNothingOver(t *testing.T) {
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(name string) func(c *policy.Config) {
		return func(c *policy.Config) {
			if c.Auth.Trust, err = ca.Trust(); err == nil {
				c.Auth.Credential, err = ca.Credential(name, "ecdsa256", nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	d := upDuo(t, func(a, b *policy.Config) {
		sign("a")(a)
		sign("b")(b)
	})
	first := d.b.State().Child.SPIIn
	other := testConfig(0)
	sign("c")(&other)
	other.Tuning.Rand = newRand(9)
	m, err := New(other)
	if err != nil {
		t.Fatal(err)
	}
	m.children = []*child{{SA: &ike.ChildSA{}, state: childLingering}} // so that it does not say INITIAL-CONTACT
	d.Ends[0].Machine, d.Ends[0].Inbound, d.Ends[0].Outbound = m, map[uint32]*ike.ChildSA{}, nil
	d.Step(0, ike.Initiate{})
	d.Run()
	if d.Ends[1].Inbound[first] != nil {
		t.Error("the CHILD SA of the first peer is still there")
	}
	if got, want := d.b.State().RemoteID, "C=XX, O=Example, CN=c"; got != want {
		t.Errorf("peer: got %q, want %q", got, want)
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestNATKeepaliveIsOneOctet(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) {
		a.ForceEncap, a.Liveness.Interval, b.Liveness.Interval = true, time.Hour, time.Hour
	})
	sent := len(d.Sent)
	d.Wait(21 * time.Second)
	if got := d.Sent[sent:]; len(got) != 1 || string(got[0].Data) != "\xff" || got[0].Local.Port() != portNAT {
		t.Errorf("got %v, want one octet from port 4500", got)
	}
}

func TestStatusSaysWhatWasNegotiated(t *testing.T) {
	d := upDuo(t, nil)
	got := d.b.State()
	if got.Version != 1 || got.Auth != "PSK" || got.RemoteID != "198.51.100.2" || got.Initiator {
		t.Errorf("got %+v, want version 1, PSK, the peer's address and that it began", got)
	}
	if got, want := strings.Join(got.Extensions, " "), "NAT-T DPD"; got != want {
		t.Errorf("extensions: got %q, want %q", got, want)
	}
}

func TestPeerWithoutDeadPeerDetectionIsNotProbed(t *testing.T) {
	d := upDuo(t, nil)
	d.b.current.dpd.supported = false
	sent := len(d.Sent)
	d.a.cfg.Liveness.Action = policy.None
	d.Wait(10 * time.Minute)
	for _, p := range d.Sent[sent:] {
		t.Errorf("sent %s, want nothing", d.a.Describe(p.Data))
	}
	if got := d.b.State().Phase; got != ike.Established {
		t.Errorf("got %v, want established", got)
	}
}

func TestProbesGoOnFromWhereAnotherProbeEnded(t *testing.T) {
	d := upDuo(t, func(_, b *policy.Config) { b.Liveness.Action = policy.None })
	for range 3 {
		d.Wait(10 * time.Second)
	}
	s := d.a.current
	if got := s.dpd.next - s.dpd.first; got != 3 {
		t.Errorf("got %d sequence numbers used, want 3: each R-U-THERE has the next (RFC 3706 section 6.1)", got)
	}
	if got, want := d.b.current.dpd.theirs, s.dpd.next-1; got != want {
		t.Errorf("b has seen %d, want %d", got, want)
	}
}
