package cert

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// revocations is one CRL, ready to be asked.
type revocations struct {
	list   *x509.RevocationList
	serial map[string]time.Time // serial number in octets → when it was revoked
}

// readRevocations reads what o says is revoked. The issuer of a list need not
// be known yet: an intermediate CA may come from the peer.
func (t *Trust) readRevocations(o Options) error {
	for i, text := range o.CRLs {
		der := text
		if block, _ := pem.Decode(text); block != nil {
			der = block.Bytes
		}
		r, err := parseCRL(der)
		if err != nil {
			return fmt.Errorf("CRL %d: %w", i+1, err)
		}
		if err := t.signedByKnown(r.list); err != nil {
			return fmt.Errorf("CRL %d, of %q: %w", i+1, dn(r.list.RawIssuer), err)
		}
		t.crls = append(t.crls, r)
	}
	for i, der := range o.OCSP {
		if _, err := ocsp.ParseResponse(der, nil); err != nil {
			return fmt.Errorf("OCSP response %d: %w", i+1, err)
		}
	}
	return nil
}

// parseCRL reads one list in DER.
func parseCRL(der []byte) (*revocations, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	// A list that is only part of the truth (RFC 5280 section 5.2: a delta, or
	// of one distribution point) must not be read as the whole.
	for _, e := range list.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("it has a critical extension (%v) that we do not know: want a complete list of all certificates of its issuer", e.Id)
		}
	}
	r := &revocations{list: list, serial: make(map[string]time.Time, len(list.RevokedCertificateEntries))}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical {
				return nil, fmt.Errorf("an entry has a critical extension (%v) that we do not know: want a list of certificates of its issuer only", x.Id)
			}
		}
		r.serial[string(e.SerialNumber.Bytes())] = e.RevocationTime
	}
	return r, nil
}

// signedByKnown reports a list that pretends to be of a CA that was given.
func (t *Trust) signedByKnown(list *x509.RevocationList) error {
	var wrong error
	for _, ca := range t.cas {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		err := list.CheckSignatureFrom(ca)
		if err == nil {
			return nil
		}
		wrong = err
	}
	return wrong
}

// revoked reports the first certificate of a verified chain, leaf first, that
// is revoked, or of which that cannot be known though something was given that
// should tell.
func (t *Trust) revoked(now time.Time, chain []*x509.Certificate) error {
	for i, c := range chain[:len(chain)-1] {
		if err := t.revokedOne(now, c, chain[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// revokedOne asks everything that covers c. One that says that it is revoked
// is believed whatever its age; otherwise one of today is enough.
func (t *Trust) revokedOne(now time.Time, c, issuer *x509.Certificate) error {
	var stale error
	fresh := false
	for _, ask := range []func(time.Time, *x509.Certificate, *x509.Certificate) (bool, error){t.inCRL, t.inOCSP} {
		covered, err := ask(now, c, issuer)
		switch {
		case errors.Is(err, errStale):
			stale = err
		case err != nil:
			return err
		case covered:
			fresh = true
		}
	}
	if fresh {
		return nil
	}
	return stale
}

// errStale says that revocations were given, but not of today.
var errStale = errors.New("not of today")

// inCRL looks c up in the newest list of its issuer.
func (t *Trust) inCRL(now time.Time, c, issuer *x509.Certificate) (covered bool, err error) {
	var newest *revocations
	for _, r := range t.crls {
		if bytes.Equal(r.list.RawIssuer, issuer.RawSubject) && r.list.CheckSignatureFrom(issuer) == nil &&
			(newest == nil || r.list.ThisUpdate.After(newest.list.ThisUpdate)) {
			newest = r
		}
	}
	if newest == nil {
		return false, nil
	}
	if at, ok := newest.serial[string(c.SerialNumber.Bytes())]; ok {
		return true, fmt.Errorf("certificate %q was revoked at %s, says the CRL of %q: issue another one", subject(c), stamp(at), subject(issuer))
	}
	return true, current(now, newest.list.ThisUpdate, newest.list.NextUpdate, fmt.Sprintf("the CRL of %q", subject(issuer)))
}

// inOCSP looks for the newest response about c.
func (t *Trust) inOCSP(now time.Time, c, issuer *x509.Certificate) (covered bool, err error) {
	var newest *ocsp.Response
	for _, der := range t.ocsp {
		r, err := ocsp.ParseResponseForCert(der, c, issuer)
		if err == nil && mayRespond(now, r, issuer) && (newest == nil || r.ThisUpdate.After(newest.ThisUpdate)) {
			newest = r
		}
	}
	if newest == nil {
		return false, nil
	}
	switch newest.Status {
	case ocsp.Good:
		return true, current(now, newest.ThisUpdate, newest.NextUpdate, fmt.Sprintf("the OCSP response about %q", subject(c)))
	case ocsp.Revoked:
		return true, fmt.Errorf("certificate %q was revoked at %s, says an OCSP response: issue another one", subject(c), stamp(newest.RevokedAt))
	}
	return true, fmt.Errorf("certificate %q is unknown to its issuer, says an OCSP response: issue another one", subject(c))
}

// mayRespond reports whether r was signed by the issuer, or by somebody whom
// the issuer lets answer (RFC 6960 section 4.2.2.2).
func mayRespond(now time.Time, r *ocsp.Response, issuer *x509.Certificate) bool {
	by := r.Certificate
	if by == nil || by.Equal(issuer) {
		return true
	}
	return slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) && ofToday(now, by) == nil
}

// current reports whether what speaks from one time to the next does so now. A
// zero next says that newer news is available all the time (RFC 6960 section
// 4.2.2.1), which we cannot fetch: it does not expire.
func current(now, this, next time.Time, what string) error {
	switch {
	case now.Before(this):
		return fmt.Errorf("%s is of %s, it is %s now: set the clock: %w", what, stamp(this), stamp(now), errStale)
	case !next.IsZero() && now.After(next):
		return fmt.Errorf("%s expired at %s, it is %s now: fetch a new one: %w", what, stamp(next), stamp(now), errStale)
	}
	return nil
}
