// Package suite is the cryptography of IKE and ESP negotiation: encryption,
// integrity, PRF, Diffie-Hellman groups and key derivation, parsed and printed
// by the names that AWS uses.
//
// It does no I/O beyond reading the random source that it is given, keeps no
// global state, and never decides what is acceptable: it can do what AWS
// offers, and says with Weak what should not be. Packages ike, ikev2 and esp
// use it.
package suite

import "seikan/internal/secret"

// An Encr is an IKEv2 Encryption Algorithm transform id (RFC 7296 section
// 3.3.2, IANA "Transform Type 1").
type Encr uint16

// An Integ is an Integrity Algorithm transform id (Type 3). IntegNone is used
// with AEAD ciphers.
type Integ uint16

// A PRF is a Pseudorandom Function transform id (Type 2).
type PRF uint16

// A Group is a Key Exchange Method transform id (Type 4), the "DH group".
type Group uint16

// Transform ids, by the IANA registry.
const (
	AESCBC           Encr = 12
	AESGCM16         Encr = 20
	ChaCha20Poly1305 Encr = 28 // RFC 7634; 256 bits, of which a proposal says nothing

	PRFSHA1   PRF = 2
	PRFSHA256 PRF = 5
	PRFSHA384 PRF = 6
	PRFSHA512 PRF = 7

	IntegNone   Integ = 0
	IntegSHA1   Integ = 2  // HMAC-SHA1-96
	IntegSHA256 Integ = 12 // HMAC-SHA2-256-128
	IntegSHA384 Integ = 13 // HMAC-SHA2-384-192
	IntegSHA512 Integ = 14 // HMAC-SHA2-512-256

	MLKEM768  Group = 36 // FIPS 203, draft-ietf-ipsecme-ikev2-mlkem
	MLKEM1024 Group = 37
)

// A MoreKE is the additional key exchanges of a suite (RFC 9370), ADDKE1 to
// ADDKE7 in order; zero is none.
type MoreKE [7]Group

// An IKE is the algorithms of one IKE SA. Groups are written by number.
type IKE struct {
	Encr    Encr
	KeyBits int // 128 or 256
	PRF     PRF
	Integ   Integ // IntegNone with AESGCM16 and ChaCha20Poly1305
	Group   Group
	AddKE   MoreKE // after Group, each in an IKE_INTERMEDIATE; IKEv2 only
}

// An ESP is the algorithms of one CHILD SA. Group 0 means no PFS, as for the
// CHILD SA that IKE_AUTH makes.
type ESP struct {
	Encr    Encr
	KeyBits int
	Integ   Integ
	Group   Group
	ESN     bool   // extended sequence numbers (RFC 4303 section 2.2.1)
	AddKE   MoreKE // after Group on rekey, each in an IKE_FOLLOWUP_KE; IKEv2 only
}

// ESPKeys is the key material of one direction of a CHILD SA, in the order in
// which KEYMAT is taken (RFC 7296 section 2.17): for an AEAD Encr ends in the
// 4-octet salt (RFC 4106 section 8.1, RFC 7634 section 2) and Integ is empty.
type ESPKeys struct {
	Encr  secret.Secret
	Integ secret.Secret
}
