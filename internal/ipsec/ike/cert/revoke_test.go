package cert

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// response is what an OCSP responder says about c. By is who signs it: the
// issuer, or somebody with a certificate from it.
func response(t testing.TB, c, issuer, by issued, change func(*ocsp.Response)) []byte {
	t.Helper()
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: c.SerialNumber, ThisUpdate: today.Add(-time.Hour), NextUpdate: today.Add(day)}
	if !by.Equal(issuer.Certificate) {
		r.Certificate = by.Certificate
	}
	if change != nil {
		change(&r)
	}
	der, err := ocsp.CreateResponse(issuer.Certificate, by.Certificate, r, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func revokedNow(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, today.Add(-time.Hour) }

func TestRevokedCertificatesAreRefused(t *testing.T) {
	h := newHouse(t)
	leaf := issue(t, &h.sub, "leaf", "p256", nil)
	chain := []issued{leaf, h.sub}
	answerer := issue(t, &h.sub, "answerer", "p256", withUsage([]x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}))
	retired := issue(t, &h.sub, "retired", "p256", func(c *x509.Certificate) {
		until(-time.Hour)(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	})
	from, to := today.Add(-time.Hour), today.Add(day)
	fresh, stale := list(t, h.sub, from, to), list(t, h.sub, today.Add(-2*day), from)
	crls := func(all ...[]byte) Options { return Options{CRLs: all} }
	says := func(all ...[]byte) Options { return Options{OCSP: all} }
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"nothing given", Options{}, ""},
		{"list without it", crls(fresh), ""},
		{"leaf in the list", crls(list(t, h.sub, from, to, leaf)), `"C=XX, O=Example, CN=leaf" was revoked at 2026-01-02T02:04:05Z`},
		{"intermediate in the list of the root", crls(fresh, list(t, h.root, from, to, h.sub)), `"C=XX, O=Example, CN=sub" was revoked`},
		{"list of another CA", crls(list(t, h.other, from, to, leaf)), ""},
		{"list expired", crls(stale), `the CRL of "C=XX, O=Example, CN=sub" expired at`},
		{"list of tomorrow", crls(list(t, h.sub, today.Add(time.Hour), to)), "set the clock"},
		{"in an expired list", crls(list(t, h.sub, today.Add(-2*day), from, leaf)), "was revoked"},
		{"newest list counts", crls(list(t, h.sub, today.Add(-2*day), to, leaf), fresh), ""},
		{"responder says good", says(response(t, leaf, h.sub, h.sub, nil)), ""},
		{"responder says revoked", says(response(t, leaf, h.sub, h.sub, revokedNow)), "says an OCSP response"},
		{"responder does not know it", says(response(t, leaf, h.sub, h.sub, func(r *ocsp.Response) { r.Status = ocsp.Unknown })), "is unknown to its issuer"},
		{"response expired", says(response(t, leaf, h.sub, h.sub, func(r *ocsp.Response) { r.NextUpdate = from; r.ThisUpdate = from.Add(-day) })), "the OCSP response about"},
		{"response expired, list of today", Options{CRLs: [][]byte{fresh}, OCSP: [][]byte{response(t, leaf, h.sub, h.sub, func(r *ocsp.Response) { r.NextUpdate = from; r.ThisUpdate = from.Add(-day) })}}, ""},
		{"list expired, response of today", Options{CRLs: [][]byte{stale}, OCSP: [][]byte{response(t, leaf, h.sub, h.sub, nil)}}, ""},
		{"list without it, response says revoked", Options{CRLs: [][]byte{fresh}, OCSP: [][]byte{response(t, leaf, h.sub, h.sub, revokedNow)}}, "was revoked"},
		{"response without an end", says(response(t, leaf, h.sub, h.sub, func(r *ocsp.Response) { r.NextUpdate = time.Time{} })), ""},
		{"of somebody who may answer", says(response(t, leaf, h.sub, answerer, revokedNow)), "was revoked"},
		{"of somebody who may not", says(response(t, leaf, h.sub, leaf, revokedNow)), ""},
		{"of somebody who no longer may", says(response(t, leaf, h.sub, retired, revokedNow)), ""},
		{"of another CA", says(response(t, leaf, h.other, h.other, revokedNow)), ""},
	} {
		chainCase{c.name, trust(t, c.o, h.root), chain, c.want}.check(t)
	}
}

func TestListsThatAreNotWholeAreRefused(t *testing.T) {
	h := newHouse(t)
	if _, err := parseCRL(list(t, h.root, today, today.Add(day))); err != nil {
		t.Errorf("a whole list: got %v, want none", err)
	}
	if _, err := NewTrust(inPEM(h.root), Options{CRLs: [][]byte{partial(t, h.root)}}); err == nil {
		t.Error("a list of one distribution point: got no error")
	}
}

// partial is a CRL of one distribution point only.
func partial(t testing.TB, issuer issued) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: today, NextUpdate: today.Add(day),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}}},
	}, issuer.Certificate, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
