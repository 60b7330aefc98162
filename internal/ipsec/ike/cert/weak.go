package cert

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
)

// weakBits is the size of key in bits if it is an RSA key below 2048 bits, which
// is taken only with Options.WeakKeys; else 0.
func weakBits(key crypto.PublicKey) int {
	if key, ok := key.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return key.N.BitLen()
	}
	return 0
}

// weakest is the size of the smallest weak RSA key that has certified chain[0],
// or 0 if there is none.
func weakest(chain []*x509.Certificate) int {
	least := 0
	for _, c := range chain[1:] {
		if n := weakBits(c.PublicKey); n != 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// marked is the name of a signature with what is weak about the key: its own
// size in bits, or else that of one that has certified it; 0 is nothing.
func marked(name string, bits, above int) string {
	switch {
	case bits != 0:
		return strings.TrimSuffix(name, weakMark) + fmt.Sprintf(" (%d bits, weak)", bits)
	case above != 0:
		return strings.TrimSuffix(name, weakMark) + fmt.Sprintf(" (certified by RSA of %d bits, weak)", above)
	}
	return name
}

// weakMark ends the name of a signature whose hash is weak.
const weakMark = " (weak)"

// Mark is name, of a signature with our key, with the size of the key if that is
// weak: "RSA (1024 bits, weak)". Names of Sign are marked already.
func (c *Credential) Mark(name string) string { return marked(name, weakBits(c.key.Public()), 0) }

// Mark is Credential.Mark for the peer's key, and those that have certified it:
// "ECDSA-P256 (certified by RSA of 1024 bits, weak)".
func (p *Peer) Mark(name string) string { return marked(name, weakBits(p.key), p.above) }

// Weak reports a weak RSA key of ours: below 2048 bits, which a peer takes only
// if it was told to. The error says how many it has.
func (c *Credential) Weak() error {
	if bits := weakBits(c.key.Public()); bits != 0 {
		return fmt.Errorf("its RSA key has %d bits, which is weak; have a certificate for a key of %d at least", bits, minRSABits)
	}
	return nil
}
