package ikev2

import (
	"bytes"
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// certified gives both ends a certificate for that kind of key and no
// pre-shared key.
func certified(t testing.TB, kind string) func(a, b *policy.Config) {
	t.Helper()
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	return func(a, b *policy.Config) {
		for i, c := range []*policy.Config{a, b} {
			c.Auth.PSK = secret.Secret{}
			if c.Auth.Credential, err = ca.Credential(string(rune('a'+i)), kind, nil); err != nil {
				t.Fatal(err)
			}
			if c.Auth.Trust, err = ca.Trust(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// noticed is everything that end i has noticed, in one text.
func noticed(n *iketest.Net, i int) string {
	var b strings.Builder
	for _, one := range n.Ends[i].Notices {
		b.WriteString(one.Text)
		for _, a := range one.Attrs {
			if s, ok := a.(string); ok {
				b.WriteString(" " + s)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestIdentityOfAnotherCertificateIsRefused(t *testing.T) {
	d := newDuo(t, certified(t, "ecdsa256"))
	d.a.cfg.LocalID = ike.Identity{Type: ike.IDFQDN, Data: "b.example"}
	d.Step(0, ike.Initiate{})
	d.Run()
	if got, want := noticed(d.Net, 1), `peer's certificate "C=XX, O=Example, CN=a" does not belong to @b.example`; !strings.Contains(got, want) {
		t.Errorf("got %s, want …%s…", got, want)
	}
	if d.b.current != nil {
		t.Error("b has an SA with it")
	}
}

func TestOwnIdentityMustBeInOwnCertificate(t *testing.T) {
	c := testConfig(0)
	other := testConfig(1)
	certified(t, "ecdsa256")(&c, &other)
	c.LocalID = ike.Identity{Type: ike.IDFQDN, Data: "b.example"}
	if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), "field LocalID") {
		t.Errorf("got %v, want an error about LocalID", err)
	}
}

func TestSignatureOfAnotherKeyIsRefused(t *testing.T) {
	d, stranger := newDuo(t, certified(t, "ecdsa256")), newDuo(t, certified(t, "ecdsa256"))
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	// b has keys now, and a's request is on the wire; another one says that it
	// is a, with a's certificate and its own key.
	s, id := d.a.sas[0], &wire.ID{Identity: d.a.cfg.LocalID}
	sig, err := stranger.a.cfg.Auth.Credential.Sign(s.shake.hashes, d.a.authOctets(s, true, id))
	if err != nil {
		t.Fatal(err)
	}
	err = d.b.verify(&turn{now: d.Now}, d.b.sas[0], id, []wire.Payload{
		&wire.Cert{Encoding: wire.CertX509Signature, Data: d.a.cfg.Auth.Credential.Chain()[0]}, &wire.Auth{Method: sig.Method, Data: sig.Data},
	})
	if err == nil || !strings.Contains(err.Error(), "does not prove that it owns its certificate") {
		t.Errorf("got %v, want that it does not own it", err)
	}
}

func TestCertificatesInOtherEncodingsAreRefusedInWords(t *testing.T) {
	list := []wire.Payload{&wire.Cert{Encoding: 12, Data: []byte("x")}}
	if _, err := certificates(list); err == nil || !strings.Contains(err.Error(), "encoding 12") {
		t.Errorf("got %v, want an error about encoding 12", err)
	}
	list = append(list, &wire.Cert{Encoding: wire.CertX509Signature, Data: []byte("y")})
	if chain, err := certificates(list); err != nil || len(chain) != 1 || !bytes.Equal(chain[0], []byte("y")) {
		t.Errorf("got %q, %v, want the one of encoding 4", chain, err)
	}
}

// withoutHashes is an IKE_SA_INIT message as a peer sends it that does not know
// RFC 7427.
func withoutHashes(t testing.TB, data []byte) []byte {
	t.Helper()
	msg, err := wire.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	msg.Payloads = slices.DeleteFunc(msg.Payloads, func(p wire.Payload) bool {
		n, ok := p.(*wire.Notify)
		return ok && n.Type == wire.SignatureHashAlgorithms
	})
	return msg.Append(nil)
}

func TestPeerWithoutRFC7427IsSignedForInTheOldWay(t *testing.T) {
	for kind, want := range map[string]string{"rsa": "RSA-SHA1 (weak)", "rsa-pss": "RSA-SHA1 (weak)", "ecdsa256": "ECDSA-P256", "ecdsa384": "ECDSA-P384", "ecdsa521": "ECDSA-P521"} {
		d := newDuo(t, certified(t, kind))
		d.Step(0, ike.Initiate{})
		d.Queue[0].Data = withoutHashes(t, d.Queue[0].Data)
		d.a.sas[0].shake.request = d.Queue[0].Data
		d.DeliverNext()
		if msg, err := wire.Parse(d.Queue[0].Data); err != nil || len(hashesOf(msg.Payloads)) > 0 {
			t.Errorf("%s: b announces hashes to a peer that does not: %v", kind, err)
		}
		d.Run()
		if got := d.a.State().Auth; got != want {
			t.Errorf("%s: got %q at a, want %q; %s", kind, got, want, noticed(d.Net, 1))
		}
		if got := d.b.State().Auth; got != want {
			t.Errorf("%s: got %q at b, want %q", kind, got, want)
		}
	}
}

func TestHowBothProvedThemselvesOutlivesRekeying(t *testing.T) {
	d := upDuo(t, certified(t, "ed25519"))
	d.Step(0, ike.RekeyIKE{})
	d.Run()
	if got := d.a.State(); got.Auth != "Ed25519" || got.RemoteID != "C=XX, O=Example, CN=b" || got.Rekeys != 1 {
		t.Errorf("got %q, %q after %d rekeys", got.Auth, got.RemoteID, got.Rekeys)
	}
	if got := upDuo(t, nil).a.State().Auth; got != "PSK" {
		t.Errorf("with a pre-shared key: got %q", got)
	}
}

func TestExpiredCertificateOfTheResponderIsRefused(t *testing.T) {
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	d := newDuo(t, func(a, b *policy.Config) {
		certified(t, "ecdsa256")(a, b)
		end := func(c *x509.Certificate) { c.NotAfter = begin.Add(-1) }
		if b.Auth.Credential, err = ca.Credential("b", "ecdsa256", end); err != nil {
			t.Fatal(err)
		}
	})
	d.Step(0, ike.Initiate{})
	d.Run()
	if got := d.a.State(); got.Phase == ike.Established || !strings.Contains(got.Reason, "expired") {
		t.Errorf("got %v, %q, want an attempt that failed", got.Phase, got.Reason)
	}
}

func TestAnnouncementsOfAPeerAreReadWithCare(t *testing.T) {
	for data, want := range map[string]int{"": 0, "\x00": 0, "\x00\x02\x00": 1, "\x00\x02\x00\x02": 1, "\x00\x01\xff\xff": 0, "\x00\x05\x00\x04\x00\x03\x00\x02": 4} {
		got := hashesOf([]wire.Payload{&wire.Notify{Type: wire.SignatureHashAlgorithms, Data: []byte(data)}})
		if len(got) != want {
			t.Errorf("%x: got %v, want %d of them", data, got, want)
		}
	}
}

// said is what of an IKE_AUTH request its AUTH stands for.
func said(list []wire.Payload) (id wire.ID, leaf string, auth wire.Auth) {
	if p, ok := findID(list, false); ok {
		id = *p
	}
	if chain, err := certificates(list); err == nil && len(chain) > 0 {
		leaf = string(chain[0])
	}
	if p, ok := wire.Find[*wire.Auth](list); ok {
		auth = *p
	}
	return id, leaf, auth
}

// FuzzCertified is a stranger that has come to IKE_AUTH, where anybody comes,
// and changes what a peer with a certificate would say.
func FuzzCertified(f *testing.F) {
	change := certified(f, "ecdsa256")
	ca, cb := testConfig(0), testConfig(1)
	change(&ca, &cb)
	f.Add(uint16(0), []byte{})
	f.Add(uint16(4), []byte{2})
	f.Add(uint16(60), []byte{37, 0, 0, 6, 4, 0})
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		if len(patch) > 2000 {
			return
		}
		d := newDuo(t, func(a, b *policy.Config) { a.Auth, b.Auth = ca.Auth, cb.Auth })
		d.Step(0, ike.Initiate{})
		d.DeliverNext()
		d.DeliverNext()
		msg, err := wire.Parse(d.Queue[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := wire.Open(msg, d.b.sas[0].open)
		if err != nil {
			t.Fatal(err)
		}
		first, inner := wire.AppendChain(nil, list)
		copy(inner[min(len(inner), int(at)):], patch)
		s := d.a.sas[0]
		h := s.header(wire.IKEAuth, 1, false)
		h.Next = uint8(wire.KindSK)
		n := 4 + s.seal.SealedLen(len(inner))
		data, err := s.seal.SealSK(append(h.Append(nil, ike.HeaderLen+n), byte(first), 0, byte(n>>8), byte(n)), inner)
		if err != nil {
			t.Fatal(err)
		}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
		if d.b.current == nil {
			return
		}
		id, leaf, auth := said(list)
		changed, err := wire.ParseChain(first, inner)
		if err != nil {
			t.Fatalf("established with what cannot be read: %x", inner)
		}
		id2, leaf2, auth2 := said(changed)
		if id2 != id || leaf2 != leaf || auth2.Method != auth.Method || !bytes.Equal(auth2.Data, auth.Data) {
			t.Fatalf("established with another identity, certificate or signature: %x", inner)
		}
	})
}
