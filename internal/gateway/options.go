package gateway

import (
	"fmt"
	"reflect"
	"slices"

	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// Certificates prove both ends by certificate instead of a pre-shared key.
// Texts are PEM unless the field says otherwise.
type Certificates struct {
	// Own is our certificate, then the intermediate ones that lead to a root
	// that the peer knows.
	Own []byte
	// Key is Own's private key. Like every secret it is left out of encodings.
	Key secret.Secret `json:"-"`
	// CA are the certificates of those whose signature on the peer's we accept.
	CA []byte
	// CRL are revocation lists of those in PEM, or one in DER, and OCSP is one
	// response in DER; both may be empty. What they hold is fetched by somebody
	// else, and must be of today.
	CRL, OCSP []byte
	PSS       bool // RSA signs by RSASSA-PSS in IKEv2
	// WeakKeys allows RSA keys of 1024 to 2047 bits, of ours and of the peer's and
	// of those who certify them; status marks them.
	WeakKeys bool
}

// Used reports whether a tunnel authenticates by certificate.
func (c Certificates) Used() bool { return len(c.Own) > 0 || !c.Key.IsZero() || len(c.CA) > 0 }

// check reports what is missing. What the texts say is checked with the
// machine's configuration.
func (c Certificates) check() error {
	switch {
	case !c.Used() && (len(c.CRL) > 0 || len(c.OCSP) > 0):
		return fmt.Errorf("Certificates.CRL and OCSP are of no use without certificates; give Own, Key and CA too, or leave them out")
	case !c.Used():
		return nil
	case len(c.Own) == 0 || c.Key.IsZero():
		return fmt.Errorf("Certificates.Own and Key: our certificate and its private key come together")
	case len(c.CA) == 0:
		return fmt.Errorf("Certificates.CA: empty; say whose certificates are accepted of the peer")
	}
	return nil
}

// Extensions are what is negotiated beyond AWS's options, with IKEv2 unless
// the field says otherwise. A peer that does not know one goes without it,
// except where it is required.
type Extensions struct {
	// NoFragmentation keeps long IKE messages whole; IP fragments them then.
	// FragmentSize is the largest IP packet of a fragmented one, 576 to 65535
	// octets; 0 means 1280 (RFC 7383).
	NoFragmentation bool
	FragmentSize    int
	NoMOBIKE        bool // a changed address of ours starts the tunnel anew (RFC 4555)
	Resumption      bool // a lost session is taken up again in one round trip (RFC 5723)
	// PPK is a post-quantum pre-shared key by the name of PPKID (RFC 8784).
	// With PPKRequired a peer without it is refused.
	PPK         secret.Secret `json:"-"`
	PPKID       string
	PPKRequired bool
}

// check reports what contradicts the versions of IKE that are spoken.
func (e Extensions) check(versions []int) error {
	two := slices.Contains(versions, 2)
	switch {
	case e.FragmentSize != 0 && (e.FragmentSize < 576 || e.FragmentSize > 65535):
		return fmt.Errorf("Extensions.FragmentSize %d: 576 to 65535 octets", e.FragmentSize)
	case e.PPK.IsZero() != (e.PPKID == ""):
		return fmt.Errorf("Extensions.PPK and PPKID: a post-quantum pre-shared key and its name come together")
	case e.PPKRequired && e.PPK.IsZero():
		return fmt.Errorf("Extensions.PPKRequired: there is no PPK; give PPK and PPKID, or do not require it")
	case !e.PPK.IsZero() && !two:
		return fmt.Errorf("Extensions.PPK: IKEv1 has none; allow version 2 as well")
	case e.PPKRequired && slices.Contains(versions, 1):
		return fmt.Errorf("Extensions.PPKRequired: with IKEv1, which has no PPK, a peer could do without it; allow version 2 only")
	case e.Resumption && !two:
		return fmt.Errorf("Extensions.Resumption: IKEv1 has none; allow version 2 as well")
	}
	return nil
}

// checkVersions reports what is no list of versions of IKE.
func checkVersions(list []int) error {
	for i, v := range list {
		if v != 1 && v != 2 {
			return fmt.Errorf("field Versions %v: %d is no version of IKE; 1 and 2 are", list, v)
		}
		if slices.Contains(list[:i], v) {
			return fmt.Errorf("field Versions %v: %d stands there twice; once is enough", list, v)
		}
	}
	return nil
}

// checkSuites reports a version for which no suite is left: IKEv1 knows no
// additional key exchanges, and no AEAD in phase 1. Where version 2 is allowed
// too, the latter only makes version 1 useless.
func (t Tunnel) checkSuites() error {
	if !slices.Contains(t.Versions, 1) {
		return nil
	}
	if len(t.Versions) == 1 && !slices.ContainsFunc(t.IKE, func(s suite.IKE) bool { return !s.Encr.AEAD() }) {
		return fmt.Errorf("field Versions %v: no IKE suite is left, for IKEv1 has only AES-CBC in phase 1; allow AES128 or AES256 there, or version 2", t.Versions)
	}
	if len(plainIKE(t.IKE)) == 0 || len(plainESP(t.ESP)) == 0 {
		return fmt.Errorf("field Versions %v: every suite of a phase asks for additional key exchanges, which IKEv1 has not; allow version 2 only, or suites without", t.Versions)
	}
	return nil
}

// plainIKE and plainESP are the suites that IKEv1 can speak.
func plainIKE(list []suite.IKE) []suite.IKE {
	return slices.DeleteFunc(slices.Clone(list), func(s suite.IKE) bool { return s.AddKE != suite.MoreKE{} })
}

func plainESP(list []suite.ESP) []suite.ESP {
	return slices.DeleteFunc(slices.Clone(list), func(s suite.ESP) bool { return s.AddKE != suite.MoreKE{} })
}

// checkAction reports what of t cannot be done for want of the peer's address.
func (t Tunnel) checkAction() error {
	switch {
	case t.Initiate && t.Endpoint.AnswerIKEv1 && !slices.Contains(t.Versions, 2):
		return fmt.Errorf("field Initiate: IKEv1 is only answered (AnswerIKEv1) and IKEv2 is not allowed, so that nothing could be begun; allow version 2, or wait for the peer")
	case t.Liveness.Action > policy.Restart:
		return fmt.Errorf("field Liveness.Action %d: clear, none or restart", t.Liveness.Action)
	case t.Outside.Remote.IsValid():
		return nil
	case !t.Certificates.Used():
		return fmt.Errorf("Outside.Remote: missing; only a peer with certificates may come from any address, for a pre-shared key is chosen by it")
	case t.Initiate:
		return fmt.Errorf("Outside.Remote: any, but we shall start; give the peer's address, or wait for it (startup action add)")
	case !t.Outside.Local.IsValid():
		return fmt.Errorf("Outside.Local: missing; without the peer's address no route says which of ours it will come to")
	case t.Liveness.Action == policy.Restart:
		return fmt.Errorf("Liveness.Action restart: the peer's address is not known, so it cannot be called; use clear or none")
	}
	return nil
}

// VisitSecrets shows each secret of t with its name, which is stable. Who
// encodes a Tunnel carries them beside it, since a secret refuses to be
// encoded.
func (t *Tunnel) VisitSecrets(visit func(name string, s *secret.Secret)) {
	visit("psk", &t.PSK)
	visit("key", &t.Certificates.Key)
	visit("ppk", &t.Extensions.PPK)
}

// bound is t without what its SAs are not bound to: routing, and, where both ends
// prove themselves by certificate, by which. Those are taken over while the SAs
// go on (Gateway.reproved).
func (t Tunnel) bound() Tunnel {
	t.Routes, t.BGP, t.SourceNAT, t.Endpoint.Draining, t.Endpoint.List = nil, Session{}, false, false, ""
	if t.Certificates.Used() {
		t.Certificates = Certificates{Own: []byte("any")}
	}
	return t
}

// sameSession reports whether t and u differ at most in their routes, in BGP, in
// the translation of sources, in whether they are drained and in which
// certificates prove both ends, so that the SAs of one serve the other.
func (t Tunnel) sameSession(u Tunnel) bool {
	t, u = t.bound(), u.bound()
	return t.sameSecrets(u) && reflect.DeepEqual(t.withoutSecrets(), u.withoutSecrets())
}

// sameProof reports whether both ends of t prove themselves by the same as those
// of u.
func (t Tunnel) sameProof(u Tunnel) bool {
	proof := func(t Tunnel) Tunnel { return Tunnel{PSK: t.PSK, Certificates: t.Certificates} }
	t, u = proof(t), proof(u)
	return t.sameSecrets(u) && reflect.DeepEqual(t.withoutSecrets(), u.withoutSecrets())
}

// sameSecrets compares the secrets of t and u in constant time.
func (t Tunnel) sameSecrets(u Tunnel) bool {
	ours := map[string]secret.Secret{}
	t.VisitSecrets(func(name string, s *secret.Secret) { ours[name] = *s })
	same := true
	u.VisitSecrets(func(name string, s *secret.Secret) { same = s.Equal(ours[name]) && same })
	return same
}

// withoutSecrets is t without its secrets, which do not compare.
func (t Tunnel) withoutSecrets() Tunnel {
	t.VisitSecrets(func(_ string, s *secret.Secret) { *s = secret.Secret{} })
	return t
}
