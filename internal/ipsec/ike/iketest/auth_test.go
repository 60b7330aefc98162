package iketest

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// setAuth gives an end a certificate and whom to trust. The value is a kind of
// key, and then, each after a plus sign, what is wrong: "expired", "revoked",
// "otherca" (issued by a CA that the other end does not know); or "denies": what
// it trusts says that the other end's certificate is revoked.
func setAuth(c *setup, end int, value string) error {
	words := strings.Split(value, "+")
	ours, err := NewAuthority("common", start)
	if err != nil {
		return err
	}
	if c.Auth.Trust, err = ours.Trust(); err != nil {
		return err
	}
	issuer := ours
	var change func(*x509.Certificate)
	for _, wrong := range words[1:] {
		switch wrong {
		case "expired":
			change = func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Minute) }
		case "revoked":
			change = func(c *x509.Certificate) { c.SerialNumber = big.NewInt(RevokedSerial) }
		case "otherca":
			if issuer, err = NewAuthority("other", start); err != nil {
				return err
			}
		case "denies":
			if c.Auth.Trust, err = ours.Denies(string(rune('a' + 1 - end))); err != nil {
				return err
			}
		default:
			return fmt.Errorf("nothing known that is called %q", wrong)
		}
	}
	c.Auth.Credential, err = issuer.Credential(string(rune('a'+end)), words[0], change)
	return err
}
