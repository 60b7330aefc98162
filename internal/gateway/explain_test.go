package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/secret"
)

// A talker is one end of a conversation without a network, and what its log
// would say.
type talker struct {
	machine ike.Machine
	said    []string
}

// step feeds ev and returns what is to be sent.
func (k *talker) step(t *testing.T, now time.Time, ev ike.Event) []ike.Datagram {
	t.Helper()
	var out ike.Outputs
	if err := k.machine.Step(now, ev, &out); err != nil {
		t.Fatal(err)
	}
	for _, a := range out.Actions {
		switch a := a.(type) {
		case ike.Notice:
			k.said = append(k.said, strings.TrimSpace(a.Text+" "+fmt.Sprintln(a.Attrs...)))
		case ike.StateChanged:
			if a.Reason != "" {
				k.said = append(k.said, a.Reason)
			}
		}
	}
	return out.Datagrams
}

// talk lets customer begin towards cloud and both go on for a virtual minute.
func talk(t *testing.T, customer, cloud Tunnel) (there, here *talker) {
	t.Helper()
	ends := [2]*talker{}
	for i, tunnel := range []Tunnel{customer, cloud} {
		g, err := New(Config{Name: "test", Tunnels: []Tunnel{tunnel}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.host.Close() })
		tunnel = tunnel.withDefaults()
		m, _, err := g.machine(tunnel, tunnel.Outside.Local, nil)
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = &talker{machine: m}
	}
	now := time.Now()
	end := now.Add(time.Minute)
	wire := [2][]ike.Datagram{1: ends[0].step(t, now, ike.Initiate{})} // what waits for each end
	for now.Before(end) {
		for len(wire[0])+len(wire[1]) > 0 {
			for i := range ends {
				waiting := wire[i]
				wire[i] = nil
				for _, d := range waiting {
					d.Local, d.Remote = d.Remote, d.Local
					wire[1-i] = append(wire[1-i], ends[i].step(t, now, d)...)
				}
			}
		}
		at := end
		for _, e := range ends {
			if d := e.machine.Deadline(); !d.IsZero() && d.Before(at) {
				at = d
			}
		}
		now = at
		for i, e := range ends {
			if d := e.machine.Deadline(); !d.IsZero() && !d.After(now) {
				wire[1-i] = append(wire[1-i], e.step(t, now, ike.TimerFired{})...)
			}
		}
	}
	return ends[0], ends[1]
}

// pair is a customer's tunnel and the cloud's end of it, which fit.
func pair() (customer, cloud Tunnel) {
	customer, cloud = waiting().Tunnels[0], waiting().Tunnels[0]
	customer.Initiate = true
	customer.Outside = Outside{Local: netip.MustParseAddr("127.0.0.8"), Remote: netip.MustParseAddr("127.0.0.1")}
	return customer, cloud
}

func TestTalkThatSucceedsHasNothingToExplain(t *testing.T) {
	customer, cloud := pair()
	for i, e := range func() []*talker { a, b := talk(t, customer, cloud); return []*talker{a, b} }() {
		if got := e.machine.State(); got.Phase != ike.Established || got.Reason != "" {
			t.Errorf("end %d: got %v, %q, %q", i, got.Phase, got.Reason, e.said)
		}
	}
}

// TestTypicalMistakesAreToldInWords makes each mistake of a configuration that
// people make, and looks for what they need in the logs of both ends: what the
// peer offered, what was wanted, and which option to change.
func TestTypicalMistakesAreToldInWords(t *testing.T) {
	for _, tt := range []struct {
		name            string
		change          func(customer, cloud *Tunnel)
		customer, cloud []string // what each end's log must hold
	}{
		{"another key", func(c, _ *Tunnel) { c.PSK = secret.FromString("AnotherKey_0123456789") },
			[]string{"its pre-shared key is another than ours, or it does not know us as 127.0.0.8: set PreSharedKey to the same text at both ends, or our local identity to what it expects"},
			[]string{"peer 127.0.0.8 has another pre-shared key than we: set PreSharedKey to the same text at both ends"}},
		{"no common group", func(c, _ *Tunnel) { c.IKE[0].Group = 20 },
			[]string{"none of the IKE algorithms that we offer (AES128-GCM-16/PRF-SHA2-256/DH20)", "make Phase1EncryptionAlgorithms, Phase1IntegrityAlgorithms and Phase1DHGroupNumbers overlap"},
			[]string{"peer offers IKE AES128-GCM-16/PRF-SHA2-256/DH20; we allow AES128-GCM-16/PRF-SHA2-256/DH19: no DH group in common; add DH20 to Phase1DHGroupNumbers"}},
		{"no common cipher in phase 2", func(c, _ *Tunnel) { c.ESP[0].KeyBits = 256 },
			[]string{"none of the ESP algorithms that we offer (AES256-GCM-16)", "make Phase2EncryptionAlgorithms"},
			[]string{"peer offers ESP AES256-GCM-16; we allow AES128-GCM-16: no encryption algorithm in common; add AES256-GCM-16 to Phase2EncryptionAlgorithms"}},
		{"address behind a NAT as a name", func(c, _ *Tunnel) { c.Outside.LocalID = "192.168.2.2" },
			[]string{"it does not know us as 192.168.2.2"},
			[]string{"peer says it is 192.168.2.2, we expect 127.0.0.8: set the peer's local identity, or our remote identity"}},
		{"another cloud", func(c, _ *Tunnel) { c.Outside.RemoteID = "203.0.113.99" },
			[]string{"peer says it is 127.0.0.1, we expect 203.0.113.99"},
			[]string{"does not believe that we are 127.0.0.1"}},
		{"other networks", func(c, cl *Tunnel) { c.LocalTS, cl.RemoteTS = prefix("192.168.1.0/24"), prefix("172.16.0.0/16") },
			[]string{"peer refuses traffic between our 192.168.1.0/24 and its 0.0.0.0/0", "make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair"},
			[]string{"peer wants traffic between its 192.168.1.0/24 and our 0.0.0.0/0; we allow its 172.16.0.0/16"}},
	} {
		customer, cloud := pair()
		tt.change(&customer, &cloud)
		a, b := talk(t, customer, cloud)
		a.mustSay(t, tt.name+", customer", tt.customer)
		b.mustSay(t, tt.name+", cloud", tt.cloud)
	}
}

// mustSay fails for each text of want that the log lacks.
func (k *talker) mustSay(t *testing.T, name string, want []string) {
	t.Helper()
	slices.Sort(k.said) // what is said again and again is shown once
	log := strings.Join(slices.Compact(k.said), "\n")
	for _, text := range want {
		if !strings.Contains(log, text) {
			t.Errorf("%s: the log has no %q in\n%s", name, text, log)
		}
	}
}

// TestReasonsReachLogAndStatusWithTheTunnelsName has a gateway talk to itself,
// with another key at each end.
func TestReasonsReachLogAndStatusWithTheTunnelsName(t *testing.T) {
	customer, cloud := pair()
	customer.ID, customer.Interface, customer.Inside = "mine", "tun7", prefix("169.254.17.2/30")
	customer.PSK = secret.FromString("AnotherKey_0123456789")
	cloud.ID, cloud.Routes, customer.Routes = "theirs", nil, nil
	g, log, _ := run(t, Config{Name: "both", Tunnels: []Tunnel{cloud, customer}})
	for i, e := range []struct{ name, want string }{
		{"theirs", "peer 127.0.0.8 has another pre-shared key than we"},
		{"mine", "its pre-shared key is another than ours"},
	} {
		until(t, g, "the reason in the status", func(s Status) bool { return len(s.Tunnels) == 2 && strings.Contains(s.Tunnels[i].Reason, e.want) })
		if !strings.Contains(log.String(), e.want) {
			t.Errorf("the log has no %q: %s", e.want, log.String())
		}
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, e.want) && !strings.Contains(line, "tunnel="+e.name) {
				t.Errorf("the line %q does not name the tunnel %s", line, e.name)
			}
		}
	}
}

// TestMistakesWithCertificatesAreToldInWords is the same for certificates.
func TestMistakesWithCertificatesAreToldInWords(t *testing.T) {
	ca, other := certtest.New(t, "CA"), certtest.New(t, "Another CA")
	refused := []string{"it does not trust our certificate's CA or holds the certificate for invalid"}
	for _, tt := range []struct {
		name            string
		change          func(customer, cloud *Tunnel)
		customer, cloud []string
	}{
		{"of another CA", func(c, _ *Tunnel) {
			*c = withCertificate(t, *c, other, certtest.Request{Name: "customer"})
			c.Certificates.CA = ca.PEM()
		}, refused, []string{`peer's certificate "O=Example, CN=customer" was issued by "O=Example, CN=Another CA", which we do not know; we believe "O=Example, CN=CA": add that CA's certificate to ours`}},
		{"expired", func(c, _ *Tunnel) {
			*c = withCertificate(t, *c, ca, certtest.Request{Name: "customer", Until: time.Now().Add(-time.Minute)})
		}, refused, []string{`certificate "O=Example, CN=customer" expired at`, "renew it, or set the clock"}},
		{"revoked", func(c, cl *Tunnel) { cl.Certificates.CRL = ca.CRL(c.Certificates.Own) },
			refused, []string{`certificate "O=Example, CN=customer" was revoked at`, "issue another one"}},
		{"not the peer that is expected", func(c, _ *Tunnel) { c.Outside.RemoteID = "O=Example, CN=somebody" },
			[]string{"peer says it is O=Example, CN=cloud, we expect O=Example, CN=somebody"}, []string{"or it does not expect O=Example, CN=cloud"}},
		{"a key at the other end", func(_, cl *Tunnel) {
			cl.Certificates, cl.PSK = Certificates{}, secret.FromString("ExampleKey_0123456789")
		}, []string{"it uses a pre-shared key"}, []string{"we use a pre-shared key (2): configure pre-shared keys at the peer, or a certificate here"}},
	} {
		customer, cloud := pair()
		customer = withCertificate(t, customer, ca, certtest.Request{Name: "customer"})
		cloud = withCertificate(t, cloud, ca, certtest.Request{Name: "cloud"})
		tt.change(&customer, &cloud)
		a, b := talk(t, customer, cloud)
		a.mustSay(t, tt.name+", customer", tt.customer)
		b.mustSay(t, tt.name+", cloud", tt.cloud)
	}
}

// withCertificate is tunnel with a certificate of ca instead of its key.
func withCertificate(t *testing.T, tunnel Tunnel, ca *certtest.Authority, r certtest.Request) Tunnel {
	t.Helper()
	chain, key := ca.Issue(r)
	tunnel.PSK = secret.Secret{}
	tunnel.Certificates = Certificates{Own: chain, Key: secret.New(key), CA: ca.PEM()}
	return tunnel
}
