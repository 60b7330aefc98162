// Package secret holds bytes that must never be seen: keys and pre-shared keys.
//
// A Secret prints, logs and encodes as a placeholder, compares in constant
// time and can be wiped. It does not lock memory. Any package may use it.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every formatter and logger sees.
const redacted = "[secret]"

// errEncode is returned by every encoder: a secret leaves the process only
// through Reveal, which is easy to find.
var errEncode = errors.New("secret: refuses to be encoded; call Reveal where it must be written")

// A Secret is a key or a pre-shared key. The zero value is empty. Secrets do
// not compare with ==; use Equal.
type Secret struct {
	_ [0]func() // == would compare pointers
	// Two pointers away, because fmt cannot call the methods of an unexported
	// field: it walks into it and, for verbs that do not fit, through one
	// pointer, but prints a pointer to a pointer as an address.
	held **[]byte
}

// New returns a Secret holding a copy of b.
func New(b []byte) Secret { return hold(append([]byte(nil), b...)) }

// FromString returns a Secret holding the bytes of s.
func FromString(s string) Secret { return hold([]byte(s)) }

// hold takes b over.
func hold(b []byte) Secret {
	held := &b
	return Secret{held: &held}
}

// Reveal returns the bytes themselves, not a copy. The caller must not print,
// log or keep them longer than the Secret.
func (s Secret) Reveal() []byte {
	if s.held == nil {
		return nil
	}
	return **s.held
}

// Len is the number of bytes held.
func (s Secret) Len() int { return len(s.Reveal()) }

// IsZero reports whether nothing is held.
func (s Secret) IsZero() bool { return s.Len() == 0 }

// Equal compares in time that depends on the lengths only.
func (s Secret) Equal(t Secret) bool { return subtle.ConstantTimeCompare(s.Reveal(), t.Reveal()) == 1 }

// Wipe overwrites the bytes with zeros, in every copy of this Secret.
func (s Secret) Wipe() { clear(s.Reveal()) }

// Format prints the placeholder whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String is the placeholder.
func (Secret) String() string { return redacted }

// LogValue is the placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses.
func (Secret) MarshalJSON() ([]byte, error) { return nil, errEncode }

// MarshalText refuses.
func (Secret) MarshalText() ([]byte, error) { return nil, errEncode }

// MarshalYAML refuses.
func (Secret) MarshalYAML() (any, error) { return nil, errEncode }

// GobEncode refuses.
func (Secret) GobEncode() ([]byte, error) { return nil, errEncode }
