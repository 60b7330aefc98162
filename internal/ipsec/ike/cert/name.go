package cert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"seikan/internal/ipsec/ike"
)

// maxNames bounds the names that a message lists.
const maxNames = 8

// owns reports why c does not belong to id: a distinguished name must be the
// subject, octet by octet, and any other identity stand among the alternative
// names (RFC 7296 section 3.5, RFC 4945 section 3.1). The common name of the
// subject counts for nothing.
func owns(c *x509.Certificate, id ike.Identity) error {
	switch id.Type {
	case ike.IDDN:
		if id.Data == string(c.RawSubject) {
			return nil
		}
		return fmt.Errorf("the subject is %q: let the owner take that as its identity", subject(c))
	case ike.IDFQDN:
		// Domain names know no case (RFC 4343).
		if slices.ContainsFunc(c.DNSNames, func(n string) bool { return strings.EqualFold(n, id.Data) }) {
			return nil
		}
	case ike.IDRFC822:
		if slices.ContainsFunc(c.EmailAddresses, func(n string) bool { return sameMailbox(n, id.Data) }) {
			return nil
		}
	case ike.IDIPv4, ike.IDIPv6:
		// Octet by octet: ::ffff:192.0.2.1 is not 192.0.2.1, against which the
		// constraints of its issuer would not have been held.
		for _, ip := range c.IPAddresses {
			if string(ip) == id.Data && (len(ip) == net.IPv4len) == (id.Type == ike.IDIPv4) {
				return nil
			}
		}
	default:
		return errors.New("certificates carry no identities of that kind: let the owner take the subject as its identity")
	}
	return fmt.Errorf("its alternative names are %s: let the owner take one of those or the subject as its identity", altNames(c))
}

// sameMailbox compares user@host; only the host knows no case (RFC 5321
// section 2.4).
func sameMailbox(a, b string) bool {
	userA, hostA, okA := strings.Cut(a, "@")
	userB, hostB, okB := strings.Cut(b, "@")
	return okA && okB && userA == userB && strings.EqualFold(hostA, hostB)
}

// altNames lists the alternative names of c that are identities.
func altNames(c *x509.Certificate) string {
	var out []string
	for _, n := range c.DNSNames {
		out = append(out, ike.Identity{Type: ike.IDFQDN, Data: n}.String())
	}
	for _, n := range c.EmailAddresses {
		out = append(out, ike.Identity{Type: ike.IDRFC822, Data: n}.String())
	}
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	switch {
	case len(out) == 0:
		return "none"
	case len(out) > maxNames:
		out = append(out[:maxNames], "…")
	}
	return strings.Join(out, ", ")
}
