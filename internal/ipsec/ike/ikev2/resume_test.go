package ikev2

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// withTickets makes both ends take up lost sessions again.
func withTickets(a, b *policy.Config) {
	a.Extensions.Resumption, b.Extensions.Resumption = true, true
}

// lost is a duo with a ticket of which both ends have lost the IKE SA, after
// change has had its way with the responder's configuration.
func lost(t *testing.T, change func(b *policy.Config)) *duo {
	t.Helper()
	d := newDuo(t, withTickets)
	loseSession(t, d)
	if change != nil {
		change(&d.b.cfg)
	}
	return d
}

// loseSession brings d up and has both ends lose the IKE SA.
func loseSession(t *testing.T, d *duo) {
	t.Helper()
	d.Step(0, ike.Initiate{})
	d.Run()
	if d.a.session.held == nil {
		t.Fatal("no ticket")
	}
	d.Now = d.Now.Add(time.Second)
	turn := &turn{now: d.Now, out: &ike.Outputs{}}
	for _, m := range []*Machine{d.a, d.b} {
		s := m.current
		m.finish(s, d.Now)
		m.down(turn, "lost", dead)
		m.forget(s)
	}
	for _, e := range d.Ends {
		clear(e.Inbound)
	}
	d.Queue = nil
}

func TestLostSessionIsTakenUpAgainWithNewKeys(t *testing.T) {
	d := lost(t, nil)
	old := bytes.Clone(d.a.session.held.d.Reveal())
	d.Step(0, ike.Initiate{})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(d.a.current.keys.D.Reveal(), old) {
		t.Error("got the SK_d of before")
	}
	for _, m := range []*Machine{d.a, d.b} {
		if got := m.State(); !slices.Contains(got.Extensions, "resumed") || got.Auth != "PSK" {
			t.Errorf("got extensions %v, authenticated by %q, want resumed and PSK", got.Extensions, got.Auth)
		}
	}
	if d.a.session.held == nil || d.a.session.held.issued.Equal(begin) {
		t.Error("there is no new ticket")
	}
}

func TestTicketAllowsNothingThatTheConfigurationDoesNot(t *testing.T) {
	for name, change := range map[string]func(b *policy.Config){
		"another pre-shared key": func(b *policy.Config) { b.Auth.PSK = secret.FromString("another.horse_battery") },
		"suite not allowed":      func(b *policy.Config) { b.IKE[0].KeyBits = 256 },
		"PPK required":           func(b *policy.Config) { b.Extensions.PPKRequired = true },
		"another peer":           func(b *policy.Config) { b.RemoteID = ike.Identity{Type: ike.IDFQDN, Data: "other"} },
	} {
		d := lost(t, change)
		d.Step(0, ike.Initiate{})
		d.DeliverNext()
		msg := parse(t, d.Queue[0].Data)
		if _, ok := wire.FindNotify(msg.Payloads, wire.TicketNack); !ok || len(d.b.sas) != 0 {
			t.Errorf("%s: got %v and %d SAs, want TICKET_NACK and none", name, msg.Payloads, len(d.b.sas))
		}
	}
	d := lost(t, nil)
	d.b.session.void = d.Now
	if _, ok := d.b.takeTicket(&turn{now: d.Now}, d.a.session.octets); ok {
		t.Error("a ticket brings back what was ended by word")
	}
}

func TestResumptionMustBeByTheSamePeer(t *testing.T) {
	d := lost(t, nil)
	d.a.cfg.LocalID = ike.Identity{Type: ike.IDFQDN, Data: "somebody.else"}
	d.Step(0, ike.Initiate{})
	d.Run()
	if got := d.b.State().Reason; !strings.Contains(got, "takes up again was with 198.51.100.2") {
		t.Errorf("got %q, want the other identity named", got)
	}
	d = lost(t, nil)
	d.a.session.held.d = secret.New(make([]byte, 32)) // a thief has the ticket, not the key
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	d.DeliverNext()
	if d.b.current != nil || d.b.sas[0].state != keyed || len(d.Queue) != 0 {
		t.Errorf("got %d answers to an IKE_AUTH under other keys, want none", len(d.Queue))
	}
}

func TestResumedAuthIsVerified(t *testing.T) {
	for end := range 2 {
		d := lost(t, nil)
		d.Step(0, ike.Initiate{})
		d.DeliverNext()
		d.DeliverNext()
		s := []*Machine{d.b, d.a}[end].sas[0]
		// The message is not the one that the other end sent.
		message := []*[]byte{&s.shake.request, &s.shake.answer}[end]
		*message = append(bytes.Clone(*message), 0)
		d.Run()
		if got := d.a.State().Phase; got == ike.Established {
			t.Errorf("end %d believes an AUTH over another message", end)
		}
	}
}

func TestReplayedResumptionLeavesTheSessionAlone(t *testing.T) {
	d := lost(t, nil)
	d.Step(0, ike.Initiate{})
	request := d.Queue[0]
	d.Run()
	current := d.b.current
	for range 20 {
		d.Deliver(request)
	}
	if d.b.current != current || d.b.halfOpen() > 1 {
		t.Errorf("got another SA or %d half open, want the same and one at most", d.b.halfOpen())
	}
	d.Queue = nil
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestForgedAnswersToAResumptionCostAFullExchangeAtMost(t *testing.T) {
	for name, list := range map[string][]wire.Payload{
		"nack": {&wire.Notify{Type: wire.TicketNack}}, "error": {&wire.Notify{Type: wire.NoProposalChosen}},
		"nonsense": {&wire.VendorID{Data: []byte("x")}}, "empty cookie": {&wire.Notify{Type: wire.CookieNotify}},
	} {
		d := lost(t, nil)
		d.Step(0, ike.Initiate{})
		s := d.a.sas[0]
		h := ike.Header{SPIi: s.spiI, SPIr: 1, Version: wire.Version, Exchange: wire.IKESessionResume, Flags: ike.FlagResponse}
		m := wire.Message{Header: h, Payloads: list}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: m.Append(nil)})
		d.Run()
		if err := d.Traffic(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInitAnswerToAResumptionIsIgnored(t *testing.T) {
	for stage := range 2 {
		d := lost(t, nil)
		d.Step(0, ike.Initiate{})
		if stage == 1 {
			d.DeliverNext()
			d.DeliverNext()
		}
		s := d.a.sas[0]
		x, err := suite.NewExchange(31, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := ike.Header{SPIi: s.spiI, SPIr: 99, Version: wire.Version, Exchange: wire.IKESAInit, Flags: ike.FlagResponse}
		m := wire.Message{Header: h, Payloads: []wire.Payload{
			&wire.SA{Proposals: proposal.IKE(d.a.cfg.IKE, nil)}, &wire.KE{Group: 31, Public: x.Public()}, &wire.Nonce{Data: make([]byte, 32)},
		}}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: m.Append(nil)})
		if len(d.a.sas) != 1 {
			t.Errorf("stage %d: got %d attempts, want the one", stage, len(d.a.sas))
		}
		d.Run()
		if err := d.Traffic(); err != nil {
			t.Errorf("stage %d: %v", stage, err)
		}
	}
}

func TestLongIdentityGetsNoTicket(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) {
		withTickets(a, b)
		a.LocalID = ike.Identity{Type: ike.IDKeyID, Data: strings.Repeat("long ", 300)}
	})
	if d.a.session.held != nil {
		t.Errorf("got a ticket of %d octets, want none beyond %d", len(d.a.session.octets), maxTicket)
	}
}

func TestResumedSessionKeepsItsAdditionalKeyExchanges(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) { hybrid(suite.MLKEM768)(a, b); withTickets(a, b) })
	held := d.a.session.held
	if held == nil || held.suite.AddKE[0] != suite.MLKEM768 {
		t.Fatalf("got ticket %v, want one with ML-KEM-768", held)
	}
	s := &sa{suite: held.suite, shake: &handshake{resume: held}}
	if got := s.more(); got != 0 {
		t.Errorf("got %v to do in IKE_INTERMEDIATE, want nothing: the old keys have it", got)
	}
}

// TestTicketIsNoWayAroundRevocation: what is known of certificates may have
// changed since it was given out.
func TestTicketIsNoWayAroundRevocation(t *testing.T) {
	d := newDuo(t, func(a, b *policy.Config) { certified(t, "ecdsa256")(a, b); withTickets(a, b) })
	loseSession(t, d)
	octets := d.a.session.octets
	if _, ok := d.b.takeTicket(&turn{now: d.Now}, octets); !ok {
		t.Fatal("the ticket is not taken at all")
	}
	ca, err := iketest.NewAuthority("test", begin.Add(time.Minute)) // the same key, a newer list
	if err != nil {
		t.Fatal(err)
	}
	if d.b.cfg.Auth.Trust, err = ca.Trust(); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.b.takeTicket(&turn{now: d.Now}, octets); ok {
		t.Error("a ticket is taken though the revocations are others")
	}
}

// TestTicketDoesNotOutliveTheCertificate, not even one that was renewed many
// times.
func TestTicketDoesNotOutliveTheCertificate(t *testing.T) {
	soon := begin.Add(10 * time.Minute)
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	d := newDuo(t, func(a, b *policy.Config) {
		certified(t, "ecdsa256")(a, b)
		withTickets(a, b)
		for i, c := range []*policy.Config{a, b} {
			if c.Auth.Credential, err = ca.Credential(string(rune('a'+i)), "ecdsa256", func(c *x509.Certificate) { c.NotAfter = soon }); err != nil {
				t.Fatal(err)
			}
			if c.Auth.Trust, err = ca.Trust(); err != nil {
				t.Fatal(err)
			}
		}
	})
	for round := range 3 {
		loseSession(t, d)
		if got := d.a.session.held.expires; got.After(soon) {
			t.Errorf("round %d: the initiator holds its ticket until %v, its peer's certificate ends at %v", round, got, soon)
		}
		if _, ok := d.b.takeTicket(&turn{now: soon.Add(-time.Second)}, d.a.session.octets); !ok {
			t.Errorf("round %d: the ticket is not taken while the certificate is good", round)
		}
		if _, ok := d.b.takeTicket(&turn{now: soon}, d.a.session.octets); ok {
			t.Errorf("round %d: the ticket is taken after the certificate's end", round)
		}
	}
	if !slices.Contains(d.b.State().Extensions, "resumed") && d.b.current != nil {
		t.Error("the session was not resumed")
	}
}

// TestForgedAnswerToAResumptionDelaysTheTunnelBySecondsAtMost: the keys that
// come of it fit nobody's, and the right answer comes too late.
func TestForgedAnswerToAResumptionDelaysTheTunnelBySecondsAtMost(t *testing.T) {
	d := lost(t, nil)
	d.Step(0, ike.Initiate{})
	s := d.a.sas[0]
	h := ike.Header{SPIi: s.spiI, SPIr: 1, Version: wire.Version, Exchange: wire.IKESessionResume, Flags: ike.FlagResponse}
	forged := wire.Message{Header: h, Payloads: []wire.Payload{&wire.Nonce{Data: make([]byte, 32)}}}
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: forged.Append(nil)})
	d.Run()
	d.Wait(refusedFor + time.Second)
	if err := d.Traffic(); err != nil || d.a.State().Phase != ike.Established {
		t.Errorf("got %v (%s), %v, want the tunnel up by a full exchange", d.a.State().Phase, d.a.State().Reason, err)
	}
}
