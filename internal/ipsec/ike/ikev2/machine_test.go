package ikev2

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testConfig is that of end i; both use a fast group.
func testConfig(i int) Config {
	c := Config{
		Initiator: i == 0, PSK: secret.FromString("correct.horse_battery"),
		Local: netip.MustParseAddrPort("198.51.100.2:500"), Remote: netip.MustParseAddrPort("203.0.113.10:500"),
		IKE: []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 31}},
		ESP: []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 31}},
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

func newDuo(t testing.TB, change func(a, b *Config)) *duo {
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

// up is newDuo after IKE_AUTH.
func upDuo(t testing.TB, change func(a, b *Config)) *duo {
	t.Helper()
	d := newDuo(t, change)
	d.Step(0, ike.Initiate{})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	return d
}

// say delivers to b a request of a's that holds list, as if a had made it.
func (d *duo) say(t testing.TB, exchange uint8, list ...wire.Payload) []wire.Payload {
	t.Helper()
	s := d.a.current
	data, err := wire.Seal(s.header(exchange, s.window.next, false), list, s.seal)
	if err != nil {
		t.Fatal(err)
	}
	s.window.next++
	sent := len(d.Sent)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
	if len(d.Sent) == sent {
		return nil
	}
	m, err := wire.Parse(d.Sent[sent].Data)
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := wire.Open(m, s.open)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestUnknownCriticalPayloadIsRefused(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: 200, Critical: true})
	n, ok := wire.FindNotify(got, wire.UnsupportedCriticalPayload)
	if !ok || !bytes.Equal(n.Data, []byte{200}) {
		t.Errorf("got %v, want UNSUPPORTED_CRITICAL_PAYLOAD of 200", got)
	}
	if d.b.State().Phase != ike.Established {
		t.Errorf("got %v, want established", d.b.State().Phase)
	}
}

func TestWhatIsNotUnderstoodIsSkipped(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: 200}, &wire.VendorID{Data: []byte("x")},
		&wire.Notify{Type: 16431, SPI: []byte{}}, &wire.Notify{Type: 40000, SPI: []byte{}, Data: []byte{1}})
	if len(got) != 0 {
		t.Errorf("got %v, want an empty answer", got)
	}
}

func TestMalformedAuthenticRequestEndsTheSA(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: wire.KindDelete, Data: []byte{1}})
	if _, ok := wire.FindNotify(got, wire.InvalidSyntax); !ok {
		t.Errorf("got %v, want INVALID_SYNTAX", got)
	}
	if d.b.State().Phase != ike.Idle {
		t.Errorf("got %v, want idle", d.b.State().Phase)
	}
}

func TestRekeyOfUnknownChildIsNotFound(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.CreateChildSA, &wire.Notify{Protocol: wire.ProtoESP, SPI: []byte{1, 2, 3, 4}, Type: wire.RekeySA},
		&wire.SA{Proposals: espProposals(d.a.cfg.ESP, 0x01020304, true)}, &wire.Nonce{Data: make([]byte, 32)})
	n, ok := wire.FindNotify(got, wire.ChildSANotFound)
	if !ok || !bytes.Equal(n.SPI, []byte{1, 2, 3, 4}) || n.Protocol != wire.ProtoESP {
		t.Errorf("got %v, want CHILD_SA_NOT_FOUND with the SPI of the request", got)
	}
}

func TestRequestsOutsideTheWindowAreIgnored(t *testing.T) {
	d := upDuo(t, nil)
	d.a.current.window.next += 5
	if got := d.say(t, wire.Informational); got != nil {
		t.Errorf("ahead of the window: got %v, want silence", got)
	}
	d.a.current.window.next = 2
	d.say(t, wire.Informational)
	d.a.current.window.next = 1
	before := len(d.Sent)
	d.say(t, wire.Informational, &wire.Delete{Protocol: wire.ProtoIKE})
	if len(d.Sent) != before || d.b.State().Phase != ike.Established {
		t.Errorf("behind the window: got %d answers, %v, want none, established", len(d.Sent)-before, d.b.State().Phase)
	}
}

func TestSecondChildReplacesTheFirst(t *testing.T) {
	d := upDuo(t, nil)
	first := d.b.used()
	x, err := suite.NewExchange(31, d.a.cfg.Tuning.Rand)
	if err != nil {
		t.Fatal(err)
	}
	d.say(t, wire.CreateChildSA, &wire.SA{Proposals: espProposals(d.a.cfg.ESP, 0x01020304, true)}, &wire.Nonce{Data: make([]byte, 32)},
		&wire.KE{Group: 31, Public: x.Public()}, &wire.TS{Selectors: d.a.cfg.LocalTS}, &wire.TS{Responder: true, Selectors: d.a.cfg.RemoteTS})
	if got := d.b.used(); got == first || got.SA.SPIOut != 0x01020304 {
		t.Errorf("got child %08x in use, want 01020304", got.SA.SPIOut)
	}
	if first.state != childClosing {
		t.Errorf("got the first child in state %d, want closing", first.state)
	}
}

func TestForgedInitAnswersDoNotStopTheInitiator(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	h := d.a.sas[0].header(wire.IKESAInit, 0, true)
	h.Flags = ike.FlagResponse
	forge := func(list ...wire.Payload) {
		m := wire.Message{Header: h, Payloads: list}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: m.Append(nil)})
	}
	forge(&wire.Notify{Type: wire.InvalidKEPayload, Data: []byte{0, 2}}) // never offered
	forge(&wire.Notify{Type: wire.InvalidKEPayload, Data: []byte{0}})
	forge(&wire.Notify{Type: wire.CookieNotify, Data: make([]byte, 65)})
	forge(&wire.Notify{Type: wire.CookieNotify})
	forge(&wire.Raw{Type: 99, Critical: true})
	forge(&wire.SA{Proposals: ikeProposals(d.a.cfg.IKE, nil)})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	notices := d.Ends[0].Notices
	if len(notices) == 0 || !strings.Contains(notices[0].Text, "group") {
		t.Errorf("got notices %v, want one about the group", notices)
	}
}

func TestFloodOfStrangersChangesNothing(t *testing.T) {
	d := upDuo(t, nil)
	before, sas := d.b.State(), len(d.b.sas)
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	notices := len(d.Ends[1].Notices)
	for i := range 200 {
		msg.Header.SPIi = uint64(i + 1)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
		bad := *msg
		bad.Payloads = append([]wire.Payload{&wire.SA{Proposals: []wire.Proposal{{Protocol: wire.ProtoIKE}}}}, msg.Payloads[1:]...)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bad.Append(nil)})
	}
	after := d.b.State()
	if before.Phase != after.Phase || before.SPIi != after.SPIi || before.Child.SPIIn != after.Child.SPIIn || d.Traffic() != nil {
		t.Errorf("got %+v, want %+v", after, before)
	}
	if got := len(d.b.sas) - sas; got != 1 {
		t.Errorf("got %d half-open attempts kept, want 1: the others must show a cookie", got)
	}
	if got := len(d.Ends[1].Notices) - notices; got > 1 {
		t.Errorf("got %d notices, want at most 1", got)
	}
}

func TestHalfOpenAttemptsAreBounded(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	nonce, _ := wire.Find[*wire.Nonce](msg.Payloads)
	plain := msg.Payloads
	for i := range 3 * maxHalfOpen {
		msg.Header.SPIi = uint64(i + 1)
		c, err := d.b.cfg.Tuning.Cookies.make(d.Now, cookieClaim{d.a.cfg.Local, msg.Header.SPIi, nonce.Data})
		if err != nil {
			t.Fatal(err)
		}
		msg.Payloads = append([]wire.Payload{&wire.Notify{Type: wire.CookieNotify, Data: c}}, plain...)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	}
	if got := d.b.halfOpen(); got != maxHalfOpen {
		t.Errorf("got %d half-open attempts, want %d", got, maxHalfOpen)
	}
	d.Queue = nil
	d.Wait(31 * time.Second)
	if got := d.b.halfOpen(); got > 1 {
		t.Errorf("after 31 s: got %d half-open attempts, want at most that of the other end", got)
	}
}

func TestLaterMajorVersionIsRefused(t *testing.T) {
	d := newDuo(t, nil)
	h := ike.Header{SPIi: 5, Version: 0x30, Exchange: wire.IKESAInit, Flags: ike.FlagInitiator}
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	if len(d.Sent) != 1 || !strings.Contains(d.Log.String(), "INVALID_MAJOR_VERSION") {
		t.Errorf("got\n%s\nwant INVALID_MAJOR_VERSION", d.Log.String())
	}
	h.Flags |= ike.FlagResponse
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	if len(d.Sent) != 1 {
		t.Error("a response was answered")
	}
}

func TestSecretsNeverShow(t *testing.T) {
	d := upDuo(t, func(a, _ *Config) { a.PSK = secret.FromString("correct.horse_battery") })
	d.Step(0, ike.RekeyChild{})
	d.Run()
	log := d.Log.String()
	for _, e := range d.Ends {
		log += strings.Join(strings.Fields(strings.ReplaceAll(stringOf(e), "\n", " ")), " ")
	}
	if strings.Contains(log, "horse") {
		t.Error("the pre-shared key shows in notices or states")
	}
}

func stringOf(e *iketest.End) string {
	var b strings.Builder
	for _, n := range e.Notices {
		b.WriteString(n.Text)
		for _, a := range n.Attrs {
			if s, ok := a.(string); ok {
				b.WriteString(s)
			}
		}
	}
	return b.String()
}

func TestRekeyTimeFollowsTheFormula(t *testing.T) {
	for seed := range byte(20) {
		d := upDuo(t, func(a, _ *Config) {
			a.Tuning.Rand = rand.NewChaCha8([32]byte{seed})
			a.RekeyFuzz = 100
		})
		// vpn §2.2: a CHILD SA between 3060 s and 3330 s, an IKE SA between
		// 28260 s and 28530 s.
		if got := d.a.used().soft.Sub(begin); got < 3060*time.Second || got > 3330*time.Second {
			t.Errorf("CHILD SA: got a rekey after %v, want 3060 to 3330 s", got)
		}
		if got := d.a.current.soft.Sub(begin); got < 28260*time.Second || got > 28530*time.Second {
			t.Errorf("IKE SA: got a rekey after %v, want 28260 to 28530 s", got)
		}
	}
}

func TestConfigErrorsNameFieldAndRule(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Local = netip.AddrPort{} }, "Local"},
		{func(c *Config) { c.Remote = netip.AddrPort{} }, "Remote"},
		{func(c *Config) { c.PSK = secret.Secret{} }, "PSK"},
		{func(c *Config) { c.IKE = nil }, "IKE"},
		{func(c *Config) { c.ESP = nil }, "ESP"},
		{func(c *Config) { c.IKE = []suite.IKE{{}} }, "IKE[0]"},
		{func(c *Config) { c.ESP = []suite.ESP{{}} }, "ESP[0]"},
		{func(c *Config) { c.RekeyFuzz = 101 }, "RekeyFuzz"},
		{func(c *Config) { c.ChildLifetime = 300 * time.Second; c.RekeyFuzz = 100 }, "ChildLifetime"},
		{func(c *Config) { c.DPDTimeout = -1 }, "DPDTimeout"},
	} {
		cfg := testConfig(0)
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want+":") {
			t.Errorf("got %v, want an error that names %s", err, c.want)
		}
	}
}

func TestCookiesBindAddressSPIAndNonce(t *testing.T) {
	c := NewCookies(rand.NewChaCha8([32]byte{1}))
	claim := cookieClaim{netip.MustParseAddrPort("198.51.100.2:500"), 7, []byte("nonce")}
	got, err := c.make(begin, claim)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > 64 {
		t.Errorf("got %d octets, want at most 64", len(got))
	}
	other := []cookieClaim{
		{netip.MustParseAddrPort("198.51.100.3:500"), 7, []byte("nonce")},
		{netip.MustParseAddrPort("198.51.100.2:501"), 7, []byte("nonce")},
		{claim.remote, 8, []byte("nonce")},
		{claim.remote, 7, []byte("Nonce")},
	}
	for _, o := range other {
		if c.valid(begin, o, got) {
			t.Errorf("valid for %+v, made for %+v", o, claim)
		}
	}
	for _, at := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {59 * time.Second, true}, {61 * time.Second, true}, {2*cookieSecretLife + time.Second, false}} {
		if v := c.valid(begin.Add(at.after), claim, got); v != at.want {
			t.Errorf("after %v: got valid %v, want %v", at.after, v, at.want)
		}
	}
	if c.valid(begin, claim, nil) || c.valid(begin, claim, got[:10]) {
		t.Error("a cut cookie is valid")
	}
}

func TestProposalsSayTheSameAsTheSuites(t *testing.T) {
	all := suite.Combine(
		[]suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}, {Encr: suite.AESCBC, KeyBits: 256}, {Encr: suite.AESGCM16, KeyBits: 128}, {Encr: suite.AESGCM16, KeyBits: 256}},
		[]suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512},
		[]suite.Group{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	offered := ikeProposals(all, nil)
	if got := len(offered); got != 2 {
		t.Errorf("got %d proposals for AWS's whole list, want 2", got)
	}
	if got := len((&wire.Message{Payloads: []wire.Payload{&wire.SA{Proposals: offered}}}).Append(nil)); got > 400 {
		t.Errorf("got %d octets, want at most 400, so that the message with its key stays below a usual MTU", got)
	}
	mixed := suite.IKE{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA512, Integ: suite.IntegSHA1, Group: 14}
	if got, ok := acceptIKE(all, ikeProposals([]suite.IKE{mixed}, nil)[0]); !ok || got != mixed {
		t.Errorf("a mixture that the proposals allow: got %v, %v, want it accepted", got, ok)
	}
	mixed.KeyBits, mixed.Group = 128, 31
	if got, ok := acceptIKE(all, ikeProposals([]suite.IKE{mixed}, nil)[0]); ok {
		t.Errorf("a group that was not offered: got %v accepted", got)
	}
	for _, s := range all {
		if got, _, ok := chooseIKE([]suite.IKE{s}, offered); !ok || got != s {
			t.Errorf("%v is not in the proposals", s)
		}
	}
	few := []suite.IKE{all[0], all[len(all)-1], {Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 14}}
	offered = ikeProposals(few, nil)
	for _, s := range all {
		_, _, ok := chooseIKE([]suite.IKE{s}, offered)
		want := s == few[0] || s == few[1] || s == few[2]
		if ok != want {
			t.Errorf("%v: got offered %v, want %v", s, ok, want)
		}
	}
}

func TestStrangeTransformsAreNotChosen(t *testing.T) {
	s := testConfig(0).IKE
	offered := ikeProposals(s, nil)
	offered[0].Transforms[0].Strange = true
	if _, _, ok := chooseIKE(s, offered); ok {
		t.Error("a transform with an unknown attribute was chosen")
	}
	offered = ikeProposals(s, nil)
	offered[0].Transforms = append(offered[0].Transforms, wire.Transform{Type: 6, ID: 1})
	if _, _, ok := chooseIKE(s, offered); ok {
		t.Error("a proposal with an unknown transform type was chosen")
	}
}

func TestNATKeepaliveIsOneOctet(t *testing.T) {
	d := upDuo(t, func(a, b *Config) { a.ForceEncap, a.DPDInterval, b.DPDInterval = true, time.Hour, time.Hour })
	sent := len(d.Sent)
	d.Wait(21 * time.Second)
	if got := d.Sent[sent:]; len(got) != 1 || !bytes.Equal(got[0].Data, []byte{0xff}) || got[0].Local.Port() != portNAT {
		t.Errorf("got %v, want one octet from port 4500", got)
	}
}

func TestLateAnswersOfOldExchangesAreIgnored(t *testing.T) {
	d := upDuo(t, nil)
	for _, p := range d.Sent {
		d.Deliver(p)
	}
	d.Run()
	if d.b.State().Phase != ike.Established || d.a.State().Phase != ike.Established || d.Traffic() != nil {
		t.Errorf("got %v and %v, %v", d.a.State().Phase, d.b.State().Phase, d.Traffic())
	}
}

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
