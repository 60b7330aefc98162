package wire

import (
	"fmt"
	"strings"
)

// Describe writes a message in the notation of RFC 2409: "main mode {SA V V}",
// with a star when it is encrypted: "quick mode* {HASH SA N ID ID}". Inner is
// what was sealed in it; nil when that is not known, which is written {…}. It
// shows no contents, and serves tests and traces.
func Describe(m *Message, inner []Payload) string {
	list, star := m.Chain.Payloads, ""
	if m.Encrypted() {
		list, star = inner, "*"
		if inner == nil {
			return ExchangeName(m.Header.Exchange) + "* {…}"
		}
	}
	var parts []string
	for _, p := range list {
		parts = append(parts, payloadWord(p))
	}
	return fmt.Sprintf("%s%s {%s}", ExchangeName(m.Header.Exchange), star, strings.Join(parts, " "))
}

// payloadWord is a payload as the RFC writes it.
func payloadWord(p Payload) string {
	switch p := p.(type) {
	case *Notify:
		return "N(" + p.Type.String() + ")"
	case *Delete:
		if p.Protocol == ProtoISAKMP {
			return "D(ISAKMP)"
		}
		return fmt.Sprintf("D(%d ESP)", len(p.SPIs))
	case *Fragment:
		return fmt.Sprintf("FRAG(%d)", p.Number)
	}
	names := map[Kind]string{
		KindSA: "SA", KindKE: "KE", KindID: "ID", KindCert: "CERT", KindCertReq: "CERTREQ", KindHash: "HASH", KindSig: "SIG",
		KindNonce: "N", KindVendorID: "V", KindNATD: "NAT-D", KindNATOA: "NAT-OA",
	}
	if name, ok := names[p.Kind()]; ok {
		return name
	}
	return fmt.Sprintf("payload-%d", p.Kind())
}
