package suite

import (
	"fmt"
	"strconv"
	"strings"
)

// An EncrKey is one entry of AWS's encryption lists, or CHACHA20-POLY1305: a
// cipher with its key length in bits (128 or 256).
type EncrKey struct {
	Encr    Encr
	KeyBits int
}

// encrNames are AWS's names of the encryption algorithms (vpn §2.1), lowest
// value first, and then what AWS does not have.
var encrNames = []struct {
	name string
	key  EncrKey
}{
	{"AES128", EncrKey{AESCBC, 128}},
	{"AES256", EncrKey{AESCBC, 256}},
	{"AES128-GCM-16", EncrKey{AESGCM16, 128}},
	{"AES256-GCM-16", EncrKey{AESGCM16, 256}},
	{"CHACHA20-POLY1305", EncrKey{ChaCha20Poly1305, 256}},
}

// integNames are AWS's names of the integrity algorithms (vpn §2.1), lowest
// value first.
var integNames = []struct {
	name  string
	integ Integ
	prf   PRF
}{
	{"SHA1", IntegSHA1, PRFSHA1},
	{"SHA2-256", IntegSHA256, PRFSHA256},
	{"SHA2-384", IntegSHA384, PRFSHA384},
	{"SHA2-512", IntegSHA512, PRFSHA512},
}

// ParseEncr reads one of AWS's encryption names (vpn §2.1): AES128, AES256,
// AES128-GCM-16 or AES256-GCM-16, or CHACHA20-POLY1305, in exactly this
// spelling. The int is the key length in bits. What an option may hold is for
// its owner to check.
func ParseEncr(aws string) (Encr, int, error) {
	known := make([]string, len(encrNames))
	for i, e := range encrNames {
		if e.name == aws {
			return e.key.Encr, e.key.KeyBits, nil
		}
		known[i] = e.name
	}
	return 0, 0, fmt.Errorf("parse encryption algorithm %q: not known; use one of %s", aws, strings.Join(known, ", "))
}

// ParseInteg reads one of AWS's integrity names (vpn §2.1): SHA1, SHA2-256,
// SHA2-384 or SHA2-512, in exactly this spelling.
func ParseInteg(aws string) (Integ, error) {
	known := make([]string, len(integNames))
	for i, e := range integNames {
		if e.name == aws {
			return e.integ, nil
		}
		known[i] = e.name
	}
	return 0, fmt.Errorf("parse integrity algorithm %q: not a name that AWS uses; use one of %s", aws, strings.Join(known, ", "))
}

// ParseGroup reads a Diffie-Hellman group number. It knows more than either of
// AWS's lists (vpn §2.1 has no 5 in phase 1 and no 31, 36 or 37 at all): what an
// option may hold is for its owner to check.
func ParseGroup(n int) (Group, error) {
	if n > 0 && n <= 0xffff && Group(n).Known() {
		return Group(n), nil
	}
	return 0, fmt.Errorf("parse DH group %d: not known; use %s", n, knownGroups)
}

// ParseKeyExchange reads what Group.String writes, such as ML-KEM-768 or DH20,
// in exactly this spelling.
func ParseKeyExchange(name string) (Group, error) {
	for g := range groups {
		if g.String() == name {
			return g, nil
		}
	}
	return 0, fmt.Errorf("parse key exchange %q: not known; use ML-KEM-768, ML-KEM-1024, or DH and the number of a group, such as DH20", name)
}

// String is AWS's name, such as AES256-GCM-16.
func (k EncrKey) String() string {
	for _, e := range encrNames {
		if e.key == k {
			return e.name
		}
	}
	return fmt.Sprintf("%v(%d bits)", k.Encr, k.KeyBits)
}

// String names the cipher without its key length: AES-CBC, AES-GCM-16 or
// CHACHA20-POLY1305.
func (e Encr) String() string {
	switch e {
	case AESCBC:
		return "AES-CBC"
	case AESGCM16:
		return "AES-GCM-16"
	case ChaCha20Poly1305:
		return "CHACHA20-POLY1305"
	}
	return fmt.Sprintf("ENCR(%d)", uint16(e))
}

// String is AWS's name, such as SHA2-256; NONE for IntegNone.
func (i Integ) String() string {
	if i == IntegNone {
		return "NONE"
	}
	for _, e := range integNames {
		if e.integ == i {
			return e.name
		}
	}
	return fmt.Sprintf("INTEG(%d)", uint16(i))
}

// String is the hash's AWS name after PRF-, such as PRF-SHA2-384.
func (p PRF) String() string {
	for _, e := range integNames {
		if e.prf == p {
			return "PRF-" + e.name
		}
	}
	return fmt.Sprintf("PRF(%d)", uint16(p))
}

// String is the group's number after DH, such as DH20, or ML-KEM-768 or
// ML-KEM-1024.
func (g Group) String() string {
	switch g {
	case MLKEM768:
		return "ML-KEM-768"
	case MLKEM1024:
		return "ML-KEM-1024"
	}
	return "DH" + strconv.Itoa(int(g))
}

// List is the additional key exchanges that there are, in order.
func (a MoreKE) List() []Group {
	var out []Group
	for _, g := range a {
		if g != 0 {
			out = append(out, g)
		}
	}
	return out
}

// names are those of the groups in a.
func (a MoreKE) names() []string {
	var out []string
	for _, g := range a.List() {
		out = append(out, g.String())
	}
	return out
}

// String is such as AES256-GCM-16/PRF-SHA2-384/DH20,
// AES128/SHA1/PRF-SHA1/DH2, or with additional key exchanges
// AES256-GCM-16/PRF-SHA2-384/DH20/ML-KEM-768.
func (s IKE) String() string {
	parts := []string{s.EncrKey().String()}
	if s.Integ != IntegNone {
		parts = append(parts, s.Integ.String())
	}
	parts = append(parts, s.PRF.String(), s.Group.String())
	return strings.Join(append(parts, s.AddKE.names()...), "/")
}

// String is such as AES256-GCM-16/DH20/ESN or AES128/SHA1; without PFS no
// group is named.
func (s ESP) String() string {
	parts := []string{s.EncrKey().String()}
	if s.Integ != IntegNone {
		parts = append(parts, s.Integ.String())
	}
	if s.Group != 0 {
		parts = append(parts, s.Group.String())
	}
	parts = append(parts, s.AddKE.names()...)
	if s.ESN {
		parts = append(parts, "ESN")
	}
	return strings.Join(parts, "/")
}

// EncrKey is the cipher with its key length.
func (s IKE) EncrKey() EncrKey { return EncrKey{s.Encr, s.KeyBits} }

// EncrKey is the cipher with its key length.
func (s ESP) EncrKey() EncrKey { return EncrKey{s.Encr, s.KeyBits} }
