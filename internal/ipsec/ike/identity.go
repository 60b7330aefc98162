package ike

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// An IDType is an Identification Type (RFC 7296 section 3.5); IKEv1 uses the
// same numbers (RFC 2407 section 4.6.2.1).
type IDType uint8

// The identification types that have a text form.
const (
	IDIPv4   IDType = 1
	IDFQDN   IDType = 2
	IDRFC822 IDType = 3 // user@host
	IDIPv6   IDType = 5
	IDDN     IDType = 9 // distinguished name in DER
	IDKeyID  IDType = 11
)

// keyIDPrefix begins the text form of an IDKeyID.
const keyIDPrefix = "keyid:"

// An Identity is who a peer says it is. The zero value is no identity. Two
// identities are the same when they are equal by ==, as RFC 7296 section 3.5
// compares them: exactly, octet by octet. One that was read from text is
// compared by Matches.
type Identity struct {
	Type IDType
	Data string // the octets of the payload, after type and reserved
}

// IsZero reports whether there is no identity.
func (id Identity) IsZero() bool { return id == Identity{} }

// IdentityOf is the identity that is an IP address, IDIPv4 or IDIPv6.
func IdentityOf(a netip.Addr) Identity {
	a = a.Unmap()
	if a.Is4() {
		return Identity{IDIPv4, string(a.AsSlice())}
	}
	return Identity{IDIPv6, string(a.AsSlice())}
}

// ParseIdentity reads the text form: an IP address; "user@host"; a domain name,
// with or without "@" before it; "keyid:" and text; a distinguished name as
// certificates have it, in the certificate's order: "C=XX, O=Org, CN=name". It
// fails on an empty text and, but for distinguished names, on one with spaces
// or control characters.
func ParseIdentity(text string) (Identity, error) {
	if looksLikeDN(text) {
		return parseDN(text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return Identity{}, fmt.Errorf("identity %q: must not hold spaces or control characters", text)
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return IdentityOf(a), nil
	}
	if key, ok := strings.CutPrefix(text, keyIDPrefix); ok && key != "" {
		return Identity{IDKeyID, key}, nil
	}
	name, at := strings.CutPrefix(text, "@")
	if name == "" {
		return Identity{}, fmt.Errorf("identity %q: want an address, @name, user@host, keyid:text or C=…, O=…, CN=…", text)
	}
	if !at && strings.Contains(name, "@") {
		return Identity{IDRFC822, name}, nil
	}
	return Identity{IDFQDN, name}, nil
}

// String is the text form; what has none is printed as its type and octets in
// hexadecimal.
func (id Identity) String() string {
	switch id.Type {
	case IDIPv4, IDIPv6:
		if a, ok := netip.AddrFromSlice([]byte(id.Data)); ok && IdentityOf(a) == id {
			return a.String()
		}
	case IDFQDN:
		if printable(id.Data) {
			return "@" + id.Data
		}
	case IDRFC822:
		if printable(id.Data) {
			return id.Data
		}
	case IDDN:
		if text, err := dnText(id.Data); err == nil {
			return text
		}
	case IDKeyID:
		if printable(id.Data) {
			return keyIDPrefix + id.Data
		}
	case 0:
		if id.Data == "" {
			return "%any"
		}
	}
	return fmt.Sprintf("type %d:%s", id.Type, hex.EncodeToString([]byte(id.Data)))
}

// printable keeps a peer from writing control characters into a log.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
