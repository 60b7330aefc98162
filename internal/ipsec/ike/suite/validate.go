package suite

import (
	"fmt"
	"slices"
)

// Validate reports the first field whose value is not known or does not fit
// the others.
func (s IKE) Validate() error {
	if err := validateCipher(s.EncrKey(), s.Integ); err != nil {
		return fmt.Errorf("IKE suite: %w", err)
	}
	if !s.PRF.Known() {
		return fmt.Errorf("IKE suite: %w", unknown("PRF", uint16(s.PRF), "2 (SHA1), 5 (SHA2-256), 6 (SHA2-384) or 7 (SHA2-512)"))
	}
	if !s.Group.Known() {
		return fmt.Errorf("IKE suite: %w", unknown("Group", uint16(s.Group), knownGroups))
	}
	if s.Group == MLKEM1024 {
		return fmt.Errorf("IKE suite: Group %v does not fit: its 1568 octets make an IKE_SA_INIT that only IP could fragment; name it in AddKE, after a group such as 20", s.Group)
	}
	if err := s.AddKE.validate(s.Group); err != nil {
		return fmt.Errorf("IKE suite: %w", err)
	}
	return nil
}

// Validate reports the first field whose value is not known or does not fit
// the others. Group 0, no PFS, is valid, and then there are no additional key
// exchanges either.
func (s ESP) Validate() error {
	if err := validateCipher(s.EncrKey(), s.Integ); err != nil {
		return fmt.Errorf("ESP suite: %w", err)
	}
	if s.Group != 0 && !s.Group.Known() {
		return fmt.Errorf("ESP suite: %w", unknown("Group", uint16(s.Group), "0 (no PFS), "+knownGroups))
	}
	if s.Group == 0 && s.AddKE != (MoreKE{}) {
		return fmt.Errorf("ESP suite: AddKE %v without Group: set a group, since additional key exchanges only follow one", s.AddKE.List())
	}
	if err := s.AddKE.validate(s.Group); err != nil {
		return fmt.Errorf("ESP suite: %w", err)
	}
	return nil
}

// validate checks that each method is known and used once, g included
// (RFC 9370 section 2.2.1).
func (a MoreKE) validate(g Group) error {
	seen := map[Group]bool{g: true}
	for i, x := range a {
		switch {
		case x == 0:
			continue
		case !x.Known():
			return unknown(fmt.Sprintf("AddKE[%d]", i), uint16(x), knownGroups)
		case seen[x]:
			return fmt.Errorf("AddKE[%d] %v is used twice: each key exchange of a suite must be another", i, x)
		}
		seen[x] = true
	}
	return nil
}

// validateCipher checks what IKE and ESP have in common: an AEAD stands alone,
// any other cipher never does (RFC 7296 section 3.3, RFC 5282 section 8).
func validateCipher(k EncrKey, integ Integ) error {
	switch {
	case k.Encr != AESCBC && !k.Encr.AEAD():
		return unknown("Encr", uint16(k.Encr), "12 (AES-CBC), 20 (AES-GCM-16) or 28 (CHACHA20-POLY1305)")
	case !k.Known() && k.Encr == ChaCha20Poly1305:
		return fmt.Errorf("KeyBits %d is no key length of %v: use 256", k.KeyBits, k.Encr)
	case !k.Known():
		return fmt.Errorf("KeyBits %d is no key length of %v: use 128 or 256", k.KeyBits, k.Encr)
	case k.Encr.AEAD() && integ != IntegNone:
		return fmt.Errorf("Integ %v must be absent with the AEAD %v: set IntegNone", integ, k)
	case !k.Encr.AEAD() && integ == IntegNone:
		return fmt.Errorf("Integ is absent, %v needs one: set SHA1, SHA2-256, SHA2-384 or SHA2-512", k)
	case !k.Encr.AEAD() && !integ.Known():
		return unknown("Integ", uint16(integ), "2 (SHA1), 12 (SHA2-256), 13 (SHA2-384) or 14 (SHA2-512)")
	}
	return nil
}

// unknown is the error for a transform id that is not implemented.
func unknown(field string, value uint16, use string) error {
	return fmt.Errorf("%s %d is not known: use %s", field, value, use)
}

// Weak reports whether the integrity algorithm rests on SHA-1.
func (i Integ) Weak() bool { return i == IntegSHA1 }

// Weak reports whether the PRF rests on SHA-1.
func (p PRF) Weak() bool { return p == PRFSHA1 }

// Weak reports whether the group is too small (2, 5, 22) or its parameters are
// of unknown origin (22–24); RFC 8247 section 2.4 says SHOULD NOT or MUST NOT
// for all of them.
func (g Group) Weak() bool {
	switch g {
	case 2, 5, 22, 23, 24:
		return true
	}
	return false
}

// Weak reports whether any part of s is weak. AWS still offers weak ones; they
// work, and whoever configures them should be told.
func (s IKE) Weak() bool {
	return s.Integ.Weak() || s.PRF.Weak() || s.Group.Weak() || s.AddKE.weak()
}

// Weak reports whether any part of s is weak.
func (s ESP) Weak() bool { return s.Integ.Weak() || s.Group.Weak() || s.AddKE.weak() }

// weak reports whether any of a is weak.
func (a MoreKE) weak() bool { return slices.ContainsFunc(a[:], Group.Weak) }
