package ikev2

import (
	"fmt"
	"strings"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// Describe writes a message that the peer sends to m in the notation of the
// RFC: "IKE_AUTH request 1 {IDi AUTH SA TSi TSr}". What it cannot open is
// written {SK}. It changes nothing and shows no contents; it serves tests and
// traces.
func (m *Machine) Describe(data []byte) string {
	if len(data) == 1 && data[0] == keepalive {
		return "keepalive"
	}
	msg, err := wire.Parse(data)
	if err != nil {
		return fmt.Sprintf("%d octets that are no message", len(data))
	}
	h, list := msg.Header, msg.Payloads
	if _, ok := wire.Find[*wire.SK](list); ok {
		s := m.find(h)
		if s != nil && s.open != nil {
			if inner, _, err := wire.Open(msg, s.opener(h)); err == nil {
				list = inner
			}
		}
	}
	kind := "request"
	if h.Flags&ike.FlagResponse != 0 {
		kind = "response"
	}
	if f, ok := msg.FindSKF(); ok {
		return fmt.Sprintf("%s %s %d, fragment %d of %d", wire.ExchangeName(h.Exchange), kind, h.MessageID, f.Number, f.Total)
	}
	var parts []string
	for _, p := range list {
		parts = append(parts, payloadWord(p))
	}
	return fmt.Sprintf("%s %s %d {%s}", wire.ExchangeName(h.Exchange), kind, h.MessageID, strings.Join(parts, " "))
}

// payloadWord is a payload as the RFC writes it.
func payloadWord(p wire.Payload) string {
	switch p := p.(type) {
	case *wire.Notify:
		return "N(" + p.Type.String() + ")"
	case *wire.Delete:
		if p.Protocol == wire.ProtoIKE {
			return "D(IKE)"
		}
		return fmt.Sprintf("D(%d ESP)", len(p.SPIs))
	}
	names := map[wire.Kind]string{
		wire.KindSA: "SA", wire.KindKE: "KE", wire.KindNonce: "N", wire.KindIDi: "IDi", wire.KindIDr: "IDr", wire.KindAuth: "AUTH",
		wire.KindVendorID: "V", wire.KindTSi: "TSi", wire.KindTSr: "TSr", wire.KindSK: "SK",
		wire.KindCert: "CERT", wire.KindCertReq: "CERTREQ",
	}
	if name, ok := names[p.Kind()]; ok {
		return name
	}
	return fmt.Sprintf("payload-%d", p.Kind())
}
