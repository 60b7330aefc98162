package vpn

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// certified is a pair whose customer gateway has a certificate and no address.
func (c *cloud) certified() (p pair, authority resource.CertificateAuthority) {
	c.Helper()
	p = c.pair()
	c.do(func(tx *store.Tx) (err error) {
		if authority, err = CreateCertificateAuthority(tx, alice, CreateCertificateAuthorityInput{Subject: "Example"}); err != nil {
			return err
		}
		own, _, err := IssueCertificate(tx, alice, authority.ARN, "office")
		if err != nil {
			return err
		}
		p.customer, err = CreateCustomerGateway(tx, alice, CreateCustomerGatewayInput{Type: "ipsec.1", CertificateARN: own.ARN})
		return err
	})
	return p, authority
}

func leaf(t *testing.T, chain []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(chain)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestTunnelsOfACertifiedGatewayHaveCertificatesInThePlaceOfKeys(t *testing.T) {
	c := newCloud(t)
	p, authority := c.certified()
	c.attach(p.gateway.ID)
	row := c.connect(p.input())
	c.realise()
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, authority.Certificate))
	c.do(func(tx *store.Tx) error {
		worker := MakePlan(Load(tx)).Workers[0]
		for i, tunnel := range worker.Tunnels {
			if tunnel.Peer.IsValid() || !tunnel.Auth.PSK.IsZero() || tunnel.Auth.Key.IsZero() || string(tunnel.Auth.CA) != string(authority.Certificate) {
				t.Errorf("tunnel %d: got peer %v and auth %+v, want no address, no pre-shared key, a private key and the authority", i+1, tunnel.Peer, tunnel.Auth)
			}
			cert := leaf(t, tunnel.Auth.Chain)
			if want := fmt.Sprintf("%s.endpoint-%d", row.ID, i); cert.Subject.CommonName != want {
				t.Errorf("tunnel %d: got subject %s, want %s", i+1, cert.Subject.CommonName, want)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: tx.Now().Add(390 * 24 * time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Errorf("tunnel %d: its certificate in 390 days: %v", i+1, err)
			}
			if shown := fmt.Sprintf("%+v", tunnel); strings.Contains(shown, "PRIVATE KEY") {
				t.Errorf("tunnel %d: printing it shows the key", i+1)
			}
		}
		return nil
	})
	c.report(row.ID, 1, Report{Up: true})
	row, _ = c.connection(row.ID)
	if a, b := row.Telemetry[0].CertificateARN, row.Telemetry[1].CertificateARN; !strings.HasPrefix(string(a), "arn:aws:acm:us-east-1:111111111111:certificate/") || a == b || b == "" {
		t.Errorf("certificates in telemetry: got %s and %s, want two of the account", a, b)
	}
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, row.ID) })
	c.realise()
	c.do(func(tx *store.Tx) error {
		if list := store.Certificates.List(tx); len(list) != 1 || list[0].Subject != "office" {
			t.Errorf("certificates after the deletion: got %d, want the customer's alone", len(list))
		}
		return nil
	})
}

func TestCertifiedConnectionsAreRefusedWhatNeedsAnAddressOrAKey(t *testing.T) {
	c := newCloud(t)
	p, authority := c.certified()
	create := func(edit func(*CreateVPNConnectionInput)) func(*store.Tx) error {
		in := p.input()
		edit(&in)
		return func(tx *store.Tx) error {
			_, err := CreateVPNConnection(tx, alice, in)
			return err
		}
	}
	c.refused("InvalidParameterCombination", create(func(in *CreateVPNConnectionInput) { in.Tunnels[1].PreSharedKey = secret.FromString("ExampleKey_01") }), "TunnelOptions.2.PreSharedKey")
	c.refused("InvalidParameterValue", create(func(in *CreateVPNConnectionInput) { in.Tunnels[0].StartupAction = "start" }), "TunnelOptions.1.StartupAction", "address")
	c.refused("InvalidParameterValue", create(func(in *CreateVPNConnectionInput) { in.Tunnels[0].DPDTimeoutAction = "restart" }), "TunnelOptions.1.DPDTimeoutAction", "address")
	c.refused("ResourceNotFoundException", func(tx *store.Tx) error {
		_, _, err := IssueCertificate(tx, bob, authority.ARN, "theirs")
		return err
	}, string(authority.ARN))
	c.refused("InvalidParameterValue", func(tx *store.Tx) error {
		_, _, err := IssueCertificate(tx, alice, authority.ARN, strings.Repeat("x", 65))
		return err
	}, "65")
	c.refused("ResourceNotFoundException", func(tx *store.Tx) error {
		_, err := CreateCustomerGateway(tx, alice, CreateCustomerGatewayInput{Type: "ipsec.1", CertificateARN: "arn:aws:acm:none"})
		return err
	}, "arn:aws:acm:none")

	// With an address beside the certificate the cloud may begin.
	c.do(func(tx *store.Tx) (err error) {
		p.customer, err = CreateCustomerGateway(tx, alice, CreateCustomerGatewayInput{Type: "ipsec.1", CertificateARN: p.customer.CertificateARN, IPAddress: netip.MustParseAddr("198.51.100.9")})
		return err
	})
	c.do(create(func(in *CreateVPNConnectionInput) { in.Tunnels[0].StartupAction = "start" }))
	c.do(func(tx *store.Tx) error {
		for _, own := range store.Certificates.List(tx) {
			if own.TunnelID == "" {
				continue
			}
			if _, err := CreateCustomerGateway(tx, alice, CreateCustomerGatewayInput{Type: "ipsec.1", CertificateARN: own.ARN}); resource.CodeOf(err) != "InvalidParameterValue" {
				t.Errorf("the certificate of the cloud's own end: got %v, want it refused", err)
			}
		}
		return nil
	})
}

// The certificates of the cloud's ends are renewed before they end, year after
// year: the same ones by name, on the same endpoints, while the customer gateway's
// is its owner's to renew (vpn §3.7).
func TestCertificatesOfTheCloudsEndsNeverEnd(t *testing.T) {
	c := newCloud(t)
	p, authority := c.certified()
	c.attach(p.gateway.ID)
	row := c.available(p.input())
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, authority.Certificate))
	chains := func() (out [2]string) {
		c.do(func(tx *store.Tx) error {
			for i, tunnel := range MakePlan(Load(tx)).Workers[0].Tunnels {
				cert := leaf(t, tunnel.Auth.Chain)
				_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: tx.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
				if want := fmt.Sprintf("%s.endpoint-%d", row.ID, i); err != nil || cert.Subject.CommonName != want || tunnel.Auth.Key.IsZero() {
					t.Errorf("after %v: tunnel %d has a certificate of %s, %v, want one of %s that holds, and its key", tx.Now(), i+1, cert.Subject.CommonName, err, want)
				}
				if tunnel.Endpoint.Generation != 0 || tunnel.Endpoint.Draining {
					t.Errorf("tunnel %d: got endpoint %+v, want that of before", i+1, tunnel.Endpoint)
				}
				out[i] = string(tunnel.Auth.Chain)
			}
			return nil
		})
		return out
	}
	before, renewals := chains(), 0
	for began := c.now; c.now.Sub(began) < 5*365*24*time.Hour; {
		again := c.advance()
		if again <= 0 || again > certificateLifetime-renewBefore {
			t.Fatalf("at %v: call again in %v, want one in at most %v", c.now, again, certificateLifetime-renewBefore)
		}
		now := chains()
		if now[0] != before[0] && now[1] != before[1] {
			renewals++
		}
		before = now
		c.now = c.now.Add(again - time.Second)
		if c.advance(); chains() != now {
			t.Fatalf("at %v: renewed before it is due", c.now)
		}
		c.now = c.now.Add(time.Second)
	}
	after, _ := c.connection(row.ID)
	if renewals != 5 || after.Telemetry[0].CertificateARN != row.Telemetry[0].CertificateARN || after.State != resource.StateAvailable {
		t.Errorf("in five years: got %d renewals, certificate %s, %s, want 5, %s, available", renewals, after.Telemetry[0].CertificateARN, after.State, row.Telemetry[0].CertificateARN)
	}
	// Without its authority nothing can be renewed; it is tried again.
	c.do(func(tx *store.Tx) error { store.CertificateAuthorities.Delete(tx, authority.ARN); return nil })
	c.now = c.now.Add(certificateLifetime)
	if again := c.advance(); again != renewAgain {
		t.Errorf("without the authority: call again in %v, want %v", again, renewAgain)
	}
}
