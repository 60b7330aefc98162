package cert

import (
	"crypto/x509"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
)

func TestAWeakKeyIsMarkedAtBothEnds(t *testing.T) {
	isCA := func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }
	root := issue(t, nil, "root", "p256", isCA)
	weakCA := issue(t, &root, "sub", "rsa1024", isCA)
	tr := trust(t, Options{WeakKeys: true}, root)
	for _, c := range []struct {
		name       string
		chain      []issued
		hashes     []Hash
		ours, peer string
	}{
		{"leaf", []issued{issue(t, &root, "x", "rsa1024", nil)}, Hashes(), "RSA-SHA2-256 (1024 bits, weak)", "RSA-SHA2-256 (1024 bits, weak)"},
		{"leaf, old signature", []issued{issue(t, &root, "x", "rsa1024", nil)}, nil, "RSA-SHA1 (1024 bits, weak)", "RSA-SHA1 (1024 bits, weak)"},
		{"CA", []issued{issue(t, &weakCA, "x", "p256", nil), weakCA}, Hashes(), "ECDSA-P256", "ECDSA-P256 (certified by RSA of 1024 bits, weak)"},
		{"none", []issued{issue(t, &root, "x", "rsa", nil)}, Hashes(), "RSA-SHA2-256", "RSA-SHA2-256"},
	} {
		own := credential(t, c.chain[0])
		sig, err := own.Sign(c.hashes, octets)
		if err != nil || sig.Name != c.ours {
			t.Errorf("%s: got %q, %v, want %q", c.name, sig.Name, err, c.ours)
		}
		var chain [][]byte
		for _, one := range c.chain {
			chain = append(chain, one.Raw)
		}
		p, err := tr.Verify(today, chain, ike.Identity{Type: ike.IDDN, Data: string(c.chain[0].RawSubject)})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if name, err := p.Verify(sig.Method, sig.Data, octets, c.hashes != nil); err != nil || name != c.peer {
			t.Errorf("%s: got %q, %v, want %q", c.name, name, err, c.peer)
		}
		err = own.Weak()
		if weak := strings.Contains(c.ours, "1024"); weak != (err != nil) || weak && !strings.Contains(err.Error(), "has 1024 bits, which is weak") {
			t.Errorf("%s: got %v of our own key", c.name, err)
		}
	}
}
