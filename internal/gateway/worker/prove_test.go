package worker

import (
	"strings"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/secret"
)

// TestOtherCertificatesAreTakenOver changes the certificates of both ends and what
// they believe under traffic: nothing is lost and the SAs are those of before,
// until the list of revocations has the peer.
func TestOtherCertificatesAreTakenOver(t *testing.T) {
	w, ca := newWorld(t), certtest.New(t, "CA")
	here, there := roaming(t, true, ca), roaming(t, false, ca)
	cloud := w.start("right", there, w.sockets(), nil)
	customer := w.start("left", here, nil, nil)
	spi := func(s *side) (in string) {
		s.until("the tunnel", func(st gateway.Status) bool {
			if up(st) != "tunnel-1" || carrier(st) == "" {
				return false
			}
			in = st.Tunnels[0].Child.SPIIn
			return true
		})
		return in
	}
	before := spi(customer)
	spi(cloud) // answers have a way back, too
	proved := here.Tunnels[0].Certificates.Own
	over := w.traffic(6)
	set := func(s *side, cfg *gateway.Config, change func(*gateway.Certificates)) {
		t.Helper()
		cfg.Tunnels = append([]gateway.Tunnel(nil), cfg.Tunnels...)
		change(&cfg.Tunnels[0].Certificates)
		notices := strings.Count(s.log.String(), "other certificates are in force")
		if err := s.Set(*cfg); err != nil {
			t.Fatal(err)
		}
		s.until("other certificates", func(gateway.Status) bool {
			return strings.Count(s.log.String(), "other certificates are in force") > notices
		})
	}
	stranger, _ := ca.Issue(certtest.Request{Name: "stranger"})
	renew := func(cfg gateway.Config) func(*gateway.Certificates) {
		return func(c *gateway.Certificates) {
			own, private := ca.Issue(certtest.Request{Name: cfg.Name})
			c.Own, c.Key = own, secret.New(private)
		}
	}
	set(cloud, &there, renew(there))
	set(customer, &here, renew(here))
	set(cloud, &there, func(c *gateway.Certificates) { c.CRL = ca.CRL(stranger) })
	set(customer, &here, func(c *gateway.Certificates) { c.CRL = ca.CRL(stranger) })
	sent, lost, ended := over()
	if lost != 0 || ended || sent == 0 {
		t.Errorf("under traffic: got %d of %d packets lost, and its end before that of the changes %v, want none and false", lost, sent, ended)
	}
	if now := spi(customer); now != before {
		t.Errorf("got SA %s, want that of before, %s", now, before)
	}
	// The customer proved itself by its first certificate, and comes back by its second.
	set(cloud, &there, func(c *gateway.Certificates) { c.CRL = ca.CRL(proved, stranger) })
	cloud.until("another SA", func(st gateway.Status) bool { return up(st) == "tunnel-1" && st.Tunnels[0].Child.SPIOut != before })
	st := cloud.Status()
	if downs := st.Tunnels[0].Downs; len(downs) != 1 || !strings.Contains(downs[0].Reason, `peer O=Example, CN=customer is not believed any more: certificate "O=Example, CN=customer" was revoked at`) {
		t.Errorf("the tunnel went down: got %+v, want once, because the certificate was revoked", downs)
	}
}
