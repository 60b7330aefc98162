package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// Limits on what a peer may send.
const (
	maxChain     = 6        // certificates
	maxNamesakes = 2        // of one subject, as where two roots have signed one CA
	maxChainSize = 32 << 10 // octets of DER
	minRSABits   = 2048
	minWeakBits  = 1024 // with Options.WeakKeys
	maxRSABits   = 8192 // larger ones cost more time than they are worth
)

// A Peer is what a verified chain says about its owner. It has proved nothing
// yet: that takes a signature, see Verify and VerifyIKEv1.
type Peer struct {
	leaf  *x509.Certificate
	key   crypto.PublicKey
	kind  kind
	above int // see weakest
}

// String is the subject of the peer's certificate.
func (p *Peer) String() string { return subject(p.leaf) }

// NotAfter is when the peer's certificate expires.
func (p *Peer) NotAfter() time.Time { return p.leaf.NotAfter }

// Verify checks a chain in DER as the peer sent it, its own certificate first,
// and that this belongs to id, the identity that the peer claims. At most 6
// certificates of 32 KiB together are looked at, and 2 of one subject. The error says in words what
// is wrong and what to change.
func (t *Trust) Verify(now time.Time, chain [][]byte, id ike.Identity) (*Peer, error) {
	if now.IsZero() {
		return nil, errors.New("verify certificate: no time given") // x509 would look at the clock
	}
	certs, err := t.parse(chain)
	if err != nil {
		return nil, err
	}
	leaf := certs[0]
	k, err := keyKind(leaf.PublicKey)
	if err == nil {
		err = usableLeaf(leaf)
	}
	if err != nil {
		return nil, fmt.Errorf("peer's certificate %q: %w", subject(leaf), err)
	}
	used, err := t.link(now, certs)
	if err != nil {
		return nil, err
	}
	if err := owns(leaf, id); err != nil {
		return nil, fmt.Errorf("peer's certificate %q does not belong to %v: %w", subject(leaf), id, err)
	}
	return &Peer{leaf: leaf, key: leaf.PublicKey, kind: k, above: weakest(used)}, nil
}

// parse reads a chain within the limits.
func (t *Trust) parse(chain [][]byte) ([]*x509.Certificate, error) {
	size := 0
	for _, der := range chain {
		size += len(der)
	}
	switch {
	case len(chain) == 0:
		return nil, errors.New("peer sent no certificate: let it send its certificate (strongSwan: send_cert = always)")
	case len(chain) > maxChain || size > maxChainSize:
		return nil, fmt.Errorf("peer sent %d certificates of %d octets, we take %d of %d: let it send its own and the intermediate ones only",
			len(chain), size, maxChain, maxChainSize)
	}
	var out []*x509.Certificate
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("peer's certificate %d of %d cannot be read: %w", i+1, len(chain), err)
		}
		if err := t.keySize(c); err != nil {
			return nil, fmt.Errorf("peer's certificate %q: %w", subject(c), err)
		}
		if !slices.ContainsFunc(out, c.Equal) {
			out = append(out, c)
		}
	}
	return out, fewNamesakes(out)
}

// fewNamesakes reports certificates of one subject beyond maxNamesakes. Each
// could be the issuer of whatever names that subject, and anybody can make some
// that have all signed each other: without this check a chain that leads nowhere
// costs a hundred signatures.
func fewNamesakes(certs []*x509.Certificate) error {
	count := map[string]int{}
	for _, c := range certs {
		count[string(c.RawSubject)]++
	}
	for _, c := range certs {
		if n := count[string(c.RawSubject)]; n > maxNamesakes {
			return fmt.Errorf("peer sent %d certificates of the name %q, we take %d: let it send its own and the intermediate ones only", n, subject(c), maxNamesakes)
		}
	}
	return nil
}

// keySize reports a key that is too weak, or so large that it serves only to
// keep us busy.
func (t *Trust) keySize(c *x509.Certificate) error {
	key, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		_, err := keyKind(c.PublicKey)
		return err
	}
	least := minRSABits
	if t.weak {
		least = minWeakBits
	}
	if bits := key.N.BitLen(); bits < least || bits > maxRSABits {
		hint := ""
		if bits >= minWeakBits && bits < least {
			hint = ", or allow weak keys (WeakKeys)"
		}
		return fmt.Errorf("its RSA key has %d bits, we take %d to %d: issue a certificate for another key%s", bits, least, maxRSABits, hint)
	}
	return nil
}

// ikeUsages are the extended key usages besides those of TLS under which peers
// certify IKE: id-kp-ipsecIKE and iKEIntermediate (RFC 4945 section
// 5.1.3.12).
var ikeUsages = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 17}, {1, 3, 6, 1, 5, 5, 8, 2, 2}}

// usableLeaf reports what keeps c from signing AUTH.
func usableLeaf(c *x509.Certificate) error {
	// "[...] if present, [...] MUST contain digitalSignature or nonRepudiation"
	// is what RFC 4945 section 5.1.3.2 comes to.
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return errors.New("its key usage does not allow digital signatures: issue it with digitalSignature")
	}
	if !forIKE(c) {
		return errors.New("its extended key usage is not for IKE: issue it without one, or with ipsecIKE, serverAuth or clientAuth")
	}
	return nil
}

// forIKE reports whether the extended key usages of c, if it has any, are among
// those under which peers certify IKE.
func forIKE(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth,
			x509.ExtKeyUsageIPSECEndSystem, x509.ExtKeyUsageIPSECTunnel, x509.ExtKeyUsageIPSECUser:
			return true
		}
	}
	return slices.ContainsFunc(c.UnknownExtKeyUsage, func(u asn1.ObjectIdentifier) bool { return slices.ContainsFunc(ikeUsages, u.Equal) })
}

// betweenForIKE reports an intermediate CA of a verified chain that may certify
// other uses only. The library asks for one usage out of a few, which are not
// ours; and of a root the owner of the configuration has decided.
func betweenForIKE(chain []*x509.Certificate) error {
	for _, c := range chain[1:max(1, len(chain)-1)] {
		if !forIKE(c) {
			return fmt.Errorf("certificate %q has an extended key usage that is not for IKE, so neither is what it has issued: issue it without one, or with ipsecIKE, serverAuth or clientAuth", subject(c))
		}
	}
	return nil
}

// link finds a chain, the leaf first, from certs[0] to an anchor of t that may be used for IKE and
// of which nothing is revoked.
func (t *Trust) link(now time.Time, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range t.anchors {
		roots.AddCert(c)
	}
	for _, c := range slices.Concat(t.cas, certs[1:]) {
		between.AddCert(c)
	}
	leaf := certs[0]
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, t.explain(now, certs, err)
	}
	for _, chain := range chains {
		if err = betweenForIKE(chain); err == nil {
			err = t.revoked(now, chain)
		}
		if err == nil {
			return chain, nil
		}
	}
	return nil, err
}

// explain puts into words why no chain was found. x509 tells about its first
// try only, so the way up is walked once more.
func (t *Trust) explain(now time.Time, certs []*x509.Certificate, err error) error {
	known := slices.Concat(t.cas, certs[1:])
	at := certs[0]
	for range maxChain {
		if err := ofToday(now, at); err != nil {
			return err
		}
		if slices.ContainsFunc(t.anchors, at.Equal) {
			break
		}
		if selfIssued(at) {
			return fmt.Errorf("peer's certificate chain ends in %q, which we do not believe; we believe %v: add that CA's certificate to ours", subject(at), t)
		}
		next, why := issuerAmong(at, known)
		if next == nil {
			return fmt.Errorf("peer's certificate %q was issued by %q, %s; we believe %v: add that CA's certificate to ours, or let the peer send the intermediate ones",
				subject(at), dn(at.RawIssuer), why, t)
		}
		at = next
	}
	return fmt.Errorf("peer's certificate %q: no chain to a CA that we believe (%v): %w", subject(certs[0]), t, err)
}

// issuerAmong is the certificate in list that has signed c, or why there is
// none.
func issuerAmong(c *x509.Certificate, list []*x509.Certificate) (ca *x509.Certificate, why string) {
	why = "which we do not know"
	for _, ca := range list {
		if !bytes.Equal(ca.RawSubject, c.RawIssuer) {
			continue
		}
		err := c.CheckSignatureFrom(ca)
		if err == nil {
			return ca, ""
		}
		why = fmt.Sprintf("but not by the one of that name that we know (%v)", err)
	}
	return nil, why
}

// ofToday reports whether c is expired or not yet valid.
func ofToday(now time.Time, c *x509.Certificate) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("certificate %q expired at %s, it is %s now: renew it, or set the clock", subject(c), stamp(c.NotAfter), stamp(now))
	case now.Before(c.NotBefore):
		return fmt.Errorf("certificate %q is not valid before %s, it is %s now: set the clock", subject(c), stamp(c.NotBefore), stamp(now))
	}
	return nil
}

// stamp is a time as messages show it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A kind is a kind of key.
type kind uint8

const (
	kindRSA kind = iota + 1
	kindP256
	kindP384
	kindP521
	kindEd25519
)

// keyKind is the kind of a public key.
func keyKind(key crypto.PublicKey) (kind, error) {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return kindRSA, nil
	case ed25519.PublicKey:
		return kindEd25519, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return kindP256, nil
		case elliptic.P384():
			return kindP384, nil
		case elliptic.P521():
			return kindP521, nil
		}
		return 0, fmt.Errorf("its curve is %s, we take P-256, P-384 and P-521: issue a certificate for another key", key.Curve.Params().Name)
	}
	return 0, errors.New("its key is of a kind that we do not know: RSA, ECDSA and Ed25519 are")
}
