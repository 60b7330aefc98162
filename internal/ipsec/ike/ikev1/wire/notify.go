package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// A NotifyType is a Notify Message Type (RFC 2408 section 3.14.1, RFC 2407
// section 4.6.3, RFC 3706 section 5.3).
type NotifyType uint16

// The notify types that have a name in the RFCs: errors below 16384, then
// status.
const (
	InvalidPayloadType     NotifyType = 1
	DOINotSupported        NotifyType = 2
	SituationNotSupported  NotifyType = 3
	InvalidCookie          NotifyType = 4
	InvalidMajorVersion    NotifyType = 5
	InvalidMinorVersion    NotifyType = 6
	InvalidExchangeType    NotifyType = 7
	InvalidFlags           NotifyType = 8
	InvalidMessageID       NotifyType = 9
	InvalidProtocolID      NotifyType = 10
	InvalidSPI             NotifyType = 11
	InvalidTransformID     NotifyType = 12
	AttributesNotSupported NotifyType = 13
	NoProposalChosen       NotifyType = 14
	BadProposalSyntax      NotifyType = 15
	PayloadMalformed       NotifyType = 16
	InvalidKeyInformation  NotifyType = 17
	InvalidIDInformation   NotifyType = 18
	InvalidCertEncoding    NotifyType = 19
	InvalidCertificate     NotifyType = 20
	CertTypeUnsupported    NotifyType = 21
	InvalidCertAuthority   NotifyType = 22
	InvalidHashInformation NotifyType = 23
	AuthenticationFailed   NotifyType = 24
	InvalidSignature       NotifyType = 25
	AddressNotification    NotifyType = 26
	NotifySALifetime       NotifyType = 27
	CertificateUnavailable NotifyType = 28
	UnsupportedExchange    NotifyType = 29
	UnequalPayloadLengths  NotifyType = 30

	firstStatus       NotifyType = 16384
	Connected         NotifyType = 16384
	ResponderLifetime NotifyType = 24576
	ReplayStatus      NotifyType = 24577
	InitialContact    NotifyType = 24578
	RUThere           NotifyType = 36136
	RUThereAck        NotifyType = 36137
)

// notifyNames are the RFCs' names.
var notifyNames = map[NotifyType]string{
	InvalidPayloadType: "INVALID-PAYLOAD-TYPE", DOINotSupported: "DOI-NOT-SUPPORTED", SituationNotSupported: "SITUATION-NOT-SUPPORTED",
	InvalidCookie: "INVALID-COOKIE", InvalidMajorVersion: "INVALID-MAJOR-VERSION", InvalidMinorVersion: "INVALID-MINOR-VERSION",
	InvalidExchangeType: "INVALID-EXCHANGE-TYPE", InvalidFlags: "INVALID-FLAGS", InvalidMessageID: "INVALID-MESSAGE-ID",
	InvalidProtocolID: "INVALID-PROTOCOL-ID", InvalidSPI: "INVALID-SPI", InvalidTransformID: "INVALID-TRANSFORM-ID",
	AttributesNotSupported: "ATTRIBUTES-NOT-SUPPORTED", NoProposalChosen: "NO-PROPOSAL-CHOSEN", BadProposalSyntax: "BAD-PROPOSAL-SYNTAX",
	PayloadMalformed: "PAYLOAD-MALFORMED", InvalidKeyInformation: "INVALID-KEY-INFORMATION", InvalidIDInformation: "INVALID-ID-INFORMATION",
	InvalidCertEncoding: "INVALID-CERT-ENCODING", InvalidCertificate: "INVALID-CERTIFICATE", CertTypeUnsupported: "CERT-TYPE-UNSUPPORTED",
	InvalidCertAuthority: "INVALID-CERT-AUTHORITY", InvalidHashInformation: "INVALID-HASH-INFORMATION",
	AuthenticationFailed: "AUTHENTICATION-FAILED", InvalidSignature: "INVALID-SIGNATURE", AddressNotification: "ADDRESS-NOTIFICATION",
	NotifySALifetime: "NOTIFY-SA-LIFETIME", CertificateUnavailable: "CERTIFICATE-UNAVAILABLE",
	UnsupportedExchange: "UNSUPPORTED-EXCHANGE-TYPE", UnequalPayloadLengths: "UNEQUAL-PAYLOAD-LENGTHS",
	Connected: "CONNECTED", ResponderLifetime: "RESPONDER-LIFETIME", ReplayStatus: "REPLAY-STATUS", InitialContact: "INITIAL-CONTACT",
	RUThere: "R-U-THERE", RUThereAck: "R-U-THERE-ACK",
}

// String is the RFC's name, or the number.
func (t NotifyType) String() string {
	if name, ok := notifyNames[t]; ok {
		return name
	}
	return fmt.Sprintf("NOTIFY-%d", uint16(t))
}

// IsError reports whether t says that something failed: any type below 16384
// does, known or not (RFC 2408 section 3.14.1).
func (t NotifyType) IsError() bool { return t < firstStatus }

// Notify is the Notification payload (RFC 2408 section 3.14). DPD puts the
// sequence number, 4 octets, in Data and both cookies in SPI (RFC 3706 section
// 5.3).
type Notify struct {
	Protocol uint8
	SPI      []byte // 16 octets of cookies for ProtoISAKMP (or none), 4 for ESP
	Type     NotifyType
	Data     []byte
}

// Kind is KindNotify.
func (*Notify) Kind() Kind { return KindNotify }

func (p *Notify) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, DOIIPsec)
	b = append(b, p.Protocol, byte(len(p.SPI)))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Type))
	b = append(b, p.SPI...)
	return append(b, p.Data...)
}

func (p *Notify) parse(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("notify of %d octets: %w", len(b), ike.ErrShort)
	}
	// The DOI may be 0 in phase 1 (RFC 2408 section 3.14), and says nothing
	// that the type does not: some peers send 0 throughout.
	if doi := binary.BigEndian.Uint32(b); doi > DOIIPsec {
		return fmt.Errorf("notify of domain of interpretation %d: %w", doi, ErrMalformed)
	}
	size := int(b[5])
	if size > len(b)-8 {
		return fmt.Errorf("notify with an SPI of %d octets in %d: %w", size, len(b)-8, ike.ErrLength)
	}
	p.Protocol, p.Type = b[4], NotifyType(binary.BigEndian.Uint16(b[6:]))
	p.SPI, p.Data = b[8:8+size], b[8+size:]
	return nil
}

// FindNotify is the first Notify of type t in list.
func FindNotify(list []Payload, t NotifyType) (*Notify, bool) {
	for _, p := range list {
		if n, ok := p.(*Notify); ok && n.Type == t {
			return n, true
		}
	}
	return nil, false
}

// FindError is the first Notify in list that says that something failed.
func FindError(list []Payload) (*Notify, bool) {
	for _, p := range list {
		if n, ok := p.(*Notify); ok && n.Type.IsError() {
			return n, true
		}
	}
	return nil, false
}

// Cookies is the SPI of an ISAKMP SA as Notify and Delete name it.
func Cookies(h ike.Header) []byte {
	b := binary.BigEndian.AppendUint64(nil, h.SPIi)
	return binary.BigEndian.AppendUint64(b, h.SPIr)
}
