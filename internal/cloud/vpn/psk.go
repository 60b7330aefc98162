package vpn

import (
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// The shape of a pre-shared key (vpn §2.1).
const (
	pskShortest  = 8
	pskLongest   = 64
	pskGenerated = 32
)

// pskAlphabet is what a key is made of: 64 characters, so that six random bits
// are one.
const pskAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"

// pskCharacter reports whether b may stand in a key.
func pskCharacter(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '.' || b == '_'
}

// key checks a key that was given. The fault says where the key is wrong and
// shows nothing of it.
func (c *checker) key(psk secret.Secret) secret.Secret {
	const option = "PreSharedKey"
	if psk.IsZero() {
		return psk
	}
	key := psk.Reveal()
	if len(key) < pskShortest || len(key) > pskLongest {
		c.fail(option, "has %d characters, not %d to %d", len(key), pskShortest, pskLongest)
	}
	if key[0] == '0' {
		c.fail(option, "starts with 0, which no key may")
	}
	for i, b := range key {
		if !pskCharacter(b) {
			c.fail(option, "has a character at place %d that is not one of A-Z, a-z, 0-9, period and underscore", i+1)
		}
	}
	return psk
}

// newKey makes a key of 32 characters.
func newKey(tx *store.Tx) secret.Secret {
	var key [pskGenerated]byte
	tx.Random(key[:])
	for i, b := range key {
		key[i] = pskAlphabet[b%64]
	}
	// A key does not start with 0: another character in its place, each as
	// likely, up to one in 252 that the remainder favours.
	if key[0] == pskAlphabet[0] {
		var again [1]byte
		tx.Random(again[:])
		key[0] = pskAlphabet[1+int(again[0])%63]
	}
	psk := secret.New(key[:])
	clear(key[:])
	return psk
}
