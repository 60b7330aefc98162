package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// AuthSharedKey is the authentication method of a pre-shared key (RFC 7296
// section 3.8).
const AuthSharedKey = 2

// Auth is the Authentication payload (RFC 7296 section 3.8).
type Auth struct {
	Method uint8
	Data   []byte
}

// Kind is KindAuth.
func (*Auth) Kind() Kind { return KindAuth }

func (p *Auth) append(b []byte) []byte {
	return append(append(b, p.Method, 0, 0, 0), p.Data...)
}

func (p *Auth) parse(b []byte) error {
	if len(b) <= 4 {
		return fmt.Errorf("AUTH of %d octets: %w", len(b), ike.ErrShort)
	}
	p.Method, p.Data = b[0], b[4:]
	return nil
}
