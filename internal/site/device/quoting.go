package device

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"seikan/internal/secret"
)

// A quoting is how one syntax writes a string.
type quoting struct {
	open, close string
	// escape is written for a character; one that is in refuse cannot be written.
	escape map[rune]string
	refuse string
	// hex writes what cannot be written otherwise as 0x and hexadecimal digits,
	// which the syntax reads as octets.
	hex bool
	// prefixes begin a word that the syntax reads as something else.
	prefixes []string
}

// quotings by name. A key of AWS's needs none of it; of other makers' ends it
// may.
func quotings() map[string]quoting {
	backslash := map[rune]string{'"': `\"`, '\\': `\\`}
	return map[string]quoting{
		"none":      {},
		"swanctl":   {open: `"`, close: `"`, escape: backslash, hex: true, prefixes: []string{"0x", "0s"}},
		"libreswan": {open: `"`, close: `"`, refuse: `"`, hex: true, prefixes: []string{"0x", "0s", "0t"}},
		"single":    {open: `'`, close: `'`, refuse: `'`},
		"fortios":   {open: `"`, close: `"`, escape: backslash, refuse: "?"},
		"junos":     {open: `"`, close: `"`, escape: backslash, refuse: "?"},
		"panos":     {open: `"`, close: `"`, refuse: `"?\`},
		"cisco":     {refuse: ` ?"`, prefixes: []string{"0 ", "6 "}},
		"yamaha":    {open: `"`, close: `"`, refuse: `"?\`},
		"routeros":  {open: `"`, close: `"`, escape: map[rune]string{'"': `\"`, '\\': `\\`, '$': `\$`, '?': `\?`}},
		"xml":       {refuse: " ", escape: map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;"}},
		"text":      {refuse: " "},
	}
}

// psk writes a pre-shared key in the device's syntax. Only here is it revealed.
// An error names the character that cannot be written by its place, not the key.
func (t Type) psk(key secret.Secret) (string, error) {
	q, ok := quotings()[t.spec.Quote]
	if !ok {
		return "", fmt.Errorf("device.json: Quote %q is no way of quoting", t.spec.Quote)
	}
	text := string(key.Reveal())
	if n := utf8.RuneCountInString(text); t.spec.MaxPSK != 0 && n > t.spec.MaxPSK {
		return "", fmt.Errorf("the pre-shared key has %d characters, and %s takes %d at most; set a shorter one at both ends", n, t.full(), t.spec.MaxPSK)
	}
	out, err := q.quote(text)
	if err != nil {
		return "", fmt.Errorf("the pre-shared key cannot be written for %s: %w; set another one at both ends", t.full(), err)
	}
	return out, nil
}

func (q quoting) quote(text string) (string, error) {
	var b strings.Builder
	err := q.check(text)
	switch {
	case err != nil && q.hex:
		return "0x" + hex.EncodeToString([]byte(text)), nil
	case err != nil:
		return "", err
	}
	for _, r := range text {
		if e, ok := q.escape[r]; ok {
			b.WriteString(e)
		} else {
			b.WriteRune(r)
		}
	}
	return q.open + b.String() + q.close, nil
}

func (q quoting) check(text string) error {
	for _, p := range q.prefixes {
		if strings.HasPrefix(text, p) {
			return fmt.Errorf("it begins with %q, which means something else there", p)
		}
	}
	at := 0
	for _, r := range text {
		at++
		switch {
		case r < ' ' || r == 0x7f || r > '~':
			return fmt.Errorf("character %d is not printable ASCII", at)
		case strings.ContainsRune(q.refuse, r):
			return fmt.Errorf("character %d is one of %q, which its syntax cannot hold", at, q.refuse)
		}
	}
	return nil
}
