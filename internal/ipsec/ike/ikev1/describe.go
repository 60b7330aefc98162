package ikev1

import (
	"fmt"

	"seikan/internal/ipsec/ike/ikev1/wire"
)

// Describe writes a message that the peer sends to m in the notation of the
// RFC: "quick mode* {HASH SA N KE ID ID}". What it cannot open is written {…}.
// It changes nothing and shows no contents; it serves tests and traces.
func (m *Machine) Describe(data []byte) string {
	if len(data) == 1 && data[0] == keepalive {
		return "keepalive"
	}
	msg, err := wire.Parse(data)
	if err != nil {
		return fmt.Sprintf("%d octets that are no message", len(data))
	}
	return wire.Describe(msg, m.peek(msg))
}

// peek is what an encrypted message holds, nil if it cannot be opened now.
func (m *Machine) peek(msg *wire.Message) []wire.Payload {
	s := m.find(msg.Header)
	if s == nil || s.keys == nil || !msg.Encrypted() {
		return nil
	}
	iv := s.iv
	if id := msg.Header.MessageID; id != 0 {
		iv = s.keys.MessageIV(s.iv, id)
		if q := s.quick(id); q != nil {
			iv = q.iv
		}
	}
	chain, _, ok := s.open(msg, iv)
	if !ok {
		return nil
	}
	return chain.Payloads
}
