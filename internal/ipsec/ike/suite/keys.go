package suite

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/secret"
)

// IKEKeys are the keys of one IKE SA in the order in which they are taken
// (RFC 7296 section 2.14). Ai and Ar are empty with an AEAD; Ei and Er end in
// the salt then.
type IKEKeys struct {
	D      secret.Secret // SK_d, from which CHILD SA and rekey keys come
	Ai, Ar secret.Secret // integrity
	Ei, Er secret.Secret // encryption
	Pi, Pr secret.Secret // AUTH
}

// Wipe overwrites all keys with zeros.
func (k *IKEKeys) Wipe() {
	for _, s := range []secret.Secret{k.D, k.Ai, k.Ar, k.Ei, k.Er, k.Pi, k.Pr} {
		s.Wipe()
	}
}

// A KeyInput is what the two ends of one exchange contribute to keys. The
// initiator is that of the exchange, which for a rekey need not be the one
// that began the old SA.
type KeyInput struct {
	Ni, Nr     []byte        // contents of the nonce payloads
	SPIi, SPIr uint64        // of the new IKE SA; not used by DeriveChild
	Shared     secret.Secret // from Exchange.Shared; empty for a CHILD SA without PFS
	// More is the secrets of additional key exchanges in their order, when an
	// SA is rekeyed (RFC 9370 section 2.2.4); not used by DeriveIKE.
	More []secret.Secret
}

// Wipe overwrites the secrets.
func (in KeyInput) Wipe() {
	in.Shared.Wipe()
	for _, s := range in.More {
		s.Wipe()
	}
}

// seed is the shared secret, the nonces and the secrets of additional key
// exchanges, one after the other.
func (in KeyInput) seed() []byte {
	b := append([]byte(nil), in.Shared.Reveal()...)
	b = append(append(b, in.Ni...), in.Nr...)
	for _, s := range in.More {
		b = append(b, s.Reveal()...)
	}
	return b
}

// DeriveIKE makes the keys of an IKE SA from IKE_SA_INIT (RFC 7296 section
// 2.14). The error says what in s is not known or what in is missing.
func DeriveIKE(s IKE, in KeyInput) (IKEKeys, error) {
	if err := s.Validate(); err != nil {
		return IKEKeys{}, fmt.Errorf("derive IKE SA keys: %w", err)
	}
	if err := in.check(true); err != nil {
		return IKEKeys{}, fmt.Errorf("derive IKE SA keys: %w", err)
	}
	nonces := make([]byte, 0, len(in.Ni)+len(in.Nr))
	nonces = append(append(nonces, in.Ni...), in.Nr...)
	return expandIKE(s, s.PRF.Sum(nonces, in.Shared.Reveal()), in)
}

// DeriveRekeyedIKE makes the keys of the IKE SA that replaces another
// (RFC 7296 section 2.18): SKEYSEED is made with oldPRF and oldD, the PRF and
// SK_d of the SA that is replaced; everything after it with the PRF of the new
// suite s. The error is as for DeriveIKE.
//
// With the SA's own PRF, SK_d, nonces and SPIs, and the secret of an
// IKE_INTERMEDIATE, it makes the keys that follow that exchange (RFC 9370
// section 2.2.2), since the formulas are the same.
func DeriveRekeyedIKE(s IKE, oldPRF PRF, oldD secret.Secret, in KeyInput) (IKEKeys, error) {
	if err := s.Validate(); err != nil {
		return IKEKeys{}, fmt.Errorf("derive rekeyed IKE SA keys: %w", err)
	}
	if err := checkSKd(oldPRF, oldD); err != nil {
		return IKEKeys{}, fmt.Errorf("derive rekeyed IKE SA keys: %w", err)
	}
	if err := in.check(true); err != nil {
		return IKEKeys{}, fmt.Errorf("derive rekeyed IKE SA keys: %w", err)
	}
	seed := in.seed()
	defer clear(seed)
	return expandIKE(s, oldPRF.Sum(oldD.Reveal(), seed), in)
}

// DeriveResumedIKE makes the keys of an IKE SA that takes up a lost session
// again (RFC 5723 section 5.1): SKEYSEED is prf(oldD, "Resumption" | Ni | Nr),
// with SK_d of the old IKE SA, whose suite s is. There is no shared secret. The
// error is as for DeriveIKE.
func DeriveResumedIKE(s IKE, oldD secret.Secret, in KeyInput) (IKEKeys, error) {
	if err := s.Validate(); err != nil {
		return IKEKeys{}, fmt.Errorf("derive resumed IKE SA keys: %w", err)
	}
	if err := checkSKd(s.PRF, oldD); err != nil {
		return IKEKeys{}, fmt.Errorf("derive resumed IKE SA keys: %w", err)
	}
	if err := in.check(false); err != nil {
		return IKEKeys{}, fmt.Errorf("derive resumed IKE SA keys: %w", err)
	}
	return expandIKE(s, s.PRF.Sum(oldD.Reveal(), []byte("Resumption"), in.Ni, in.Nr), in)
}

// DeriveChild makes the keys of a CHILD SA from prf and SK_d of its IKE SA
// (RFC 7296 section 2.17). in.Shared is empty for the CHILD SA of IKE_AUTH and
// wherever no key exchange took part. Toward the responder go packets that the
// exchange's initiator seals. The error is as for DeriveIKE.
func DeriveChild(prf PRF, d secret.Secret, s ESP, in KeyInput) (towardResponder, towardInitiator ESPKeys, err error) {
	if err := s.Validate(); err != nil {
		return ESPKeys{}, ESPKeys{}, fmt.Errorf("derive CHILD SA keys: %w", err)
	}
	if err := checkSKd(prf, d); err != nil {
		return ESPKeys{}, ESPKeys{}, fmt.Errorf("derive CHILD SA keys: %w", err)
	}
	if err := in.check(false); err != nil {
		return ESPKeys{}, ESPKeys{}, fmt.Errorf("derive CHILD SA keys: %w", err)
	}
	seed := in.seed()
	defer clear(seed)
	encr, integ := s.EncrKey().MaterialLen(), s.Integ.KeyLen()
	parts, err := split(prf, d.Reveal(), seed, encr, integ, encr, integ)
	if err != nil {
		return ESPKeys{}, ESPKeys{}, fmt.Errorf("derive CHILD SA keys: %w", err)
	}
	return ESPKeys{Encr: parts[0], Integ: parts[1]}, ESPKeys{Encr: parts[2], Integ: parts[3]}, nil
}

// check reports what is missing: an empty secret or nonce would silently make
// keys that anybody can compute.
func (in KeyInput) check(shared bool) error {
	switch {
	case len(in.Ni) == 0 || len(in.Nr) == 0:
		return fmt.Errorf("nonces Ni (%d octets) and Nr (%d octets) must not be empty: pass the contents of both nonce payloads", len(in.Ni), len(in.Nr))
	case shared && in.Shared.IsZero():
		return fmt.Errorf("shared secret is empty: pass what Exchange.Shared returned")
	}
	for i, s := range in.More {
		if s.IsZero() {
			return fmt.Errorf("shared secret of additional key exchange %d is empty: pass what Exchange.Shared returned", i+1)
		}
	}
	return nil
}

// checkSKd reports an unknown PRF or an SK_d that cannot be one of it.
func checkSKd(prf PRF, d secret.Secret) error {
	switch {
	case !prf.Known():
		return unknown("PRF", uint16(prf), "2, 5, 6 or 7")
	case d.Len() != prf.Size():
		return fmt.Errorf("SK_d has %d octets, that of %v has %d: pass IKEKeys.D of the same IKE SA", d.Len(), prf, prf.Size())
	}
	return nil
}

// expandIKE takes {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} from
// prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr) and wipes skeyseed.
func expandIKE(s IKE, skeyseed []byte, in KeyInput) (IKEKeys, error) {
	defer clear(skeyseed)
	seed := append([]byte(nil), in.Ni...)
	seed = append(seed, in.Nr...)
	seed = binary.BigEndian.AppendUint64(seed, in.SPIi)
	seed = binary.BigEndian.AppendUint64(seed, in.SPIr)
	p, integ, encr := s.PRF.Size(), s.Integ.KeyLen(), s.EncrKey().MaterialLen()
	parts, err := split(s.PRF, skeyseed, seed, p, integ, integ, encr, encr, p, p)
	if err != nil {
		return IKEKeys{}, fmt.Errorf("derive IKE SA keys: %w", err)
	}
	return IKEKeys{
		D: parts[0], Ai: parts[1], Ar: parts[2], Ei: parts[3], Er: parts[4], Pi: parts[5], Pr: parts[6],
	}, nil
}

// split takes consecutive secrets of the given lengths, in octets, from
// prf+ (key, seed).
func split(prf PRF, key, seed []byte, lengths ...int) ([]secret.Secret, error) {
	total := 0
	for _, n := range lengths {
		total += n
	}
	stream, err := prf.Plus(key, seed, total)
	if err != nil {
		return nil, err
	}
	defer clear(stream)
	out := make([]secret.Secret, len(lengths))
	at := 0
	for i, n := range lengths {
		out[i] = secret.New(stream[at : at+n])
		at += n
	}
	return out, nil
}
