package suite

import (
	"crypto/ecdh"
	"crypto/mlkem"
)

// groupInfo describes a group: exactly one of modp, curve and kem is set.
type groupInfo struct {
	modp      *modpGroup
	curve     func() ecdh.Curve
	kem       *kem
	publicLen int // octets of the KE payload's data
	answerLen int // of the responder's, where it is another
	strength  int // estimated bits of security, for ordering only
}

// knownGroups is what errors say of the table.
const knownGroups = "2, 5, 14–24, 31, 36 or 37"

// groups are the key exchange methods that are implemented. Strength follows
// NIST SP 800-57 part 1 table 2, and RFC 3526 section 8 between its rows.
var groups = map[Group]groupInfo{
	2:  {modp: &modp1024, publicLen: 128, strength: 80},
	5:  {modp: &modp1536, publicLen: 192, strength: 90},
	14: {modp: &modp2048, publicLen: 256, strength: 112},
	15: {modp: &modp3072, publicLen: 384, strength: 128},
	16: {modp: &modp4096, publicLen: 512, strength: 150},
	17: {modp: &modp6144, publicLen: 768, strength: 170},
	18: {modp: &modp8192, publicLen: 1024, strength: 190},
	19: {curve: ecdh.P256, publicLen: 64, strength: 128},
	20: {curve: ecdh.P384, publicLen: 96, strength: 192},
	21: {curve: ecdh.P521, publicLen: 132, strength: 256},
	22: {modp: &modp1024s160, publicLen: 128, strength: 80},
	23: {modp: &modp2048s224, publicLen: 256, strength: 112},
	24: {modp: &modp2048s256, publicLen: 256, strength: 112},
	31: {curve: ecdh.X25519, publicLen: 32, strength: 128},
	36: {kem: &mlkem768, publicLen: mlkem.EncapsulationKeySize768, answerLen: mlkem.CiphertextSize768, strength: 192},
	37: {kem: &mlkem1024, publicLen: mlkem.EncapsulationKeySize1024, answerLen: mlkem.CiphertextSize1024, strength: 256},
}

// Known reports whether g is implemented: 2, 5, 14–18 (MODP, RFC 2409 and
// 3526), 19–21 (ECP, RFC 5903), 22–24 (MODP with a prime order subgroup,
// RFC 5114), 31 (Curve25519, RFC 8031), 36 and 37 (ML-KEM-768 and -1024).
func (g Group) Known() bool {
	_, ok := groups[g]
	return ok
}

// PublicLen is the exact length in octets of the group's public value in the
// initiator's KE payload, 0 when g is not known: that of the modulus for MODP
// (RFC 7296 section 3.4), of x and y together for ECP (RFC 5903 section 7), 32
// for Curve25519 (RFC 8031 section 3.1), 1184 and 1568 for ML-KEM (FIPS 203
// table 3).
func (g Group) PublicLen() int { return groups[g].publicLen }

// AnswerLen is PublicLen for the responder's KE payload, which for ML-KEM
// holds a ciphertext: 1088 or 1568 octets.
func (g Group) AnswerLen() int {
	if info := groups[g]; info.answerLen != 0 {
		return info.answerLen
	}
	return groups[g].publicLen
}

// KEM reports whether g is a key encapsulation: the responder's value depends
// on the initiator's, so that only RespondExchange can make it.
func (g Group) KEM() bool { return groups[g].kem != nil }

// strength is the estimated security in bits, less 64 for weak groups, so that
// they come after all others but before none at all.
func (g Group) strength() int {
	if g.Weak() {
		return groups[g].strength - 64
	}
	return groups[g].strength
}
