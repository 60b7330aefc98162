package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// A NotifyType is a Notify Message Type (RFC 7296 section 3.10.1). Below 16384
// it is an error.
type NotifyType uint16

// The notify types that the machine sends or acts on.
const (
	UnsupportedCriticalPayload NotifyType = 1
	InvalidIKESPI              NotifyType = 4
	InvalidMajorVersion        NotifyType = 5
	InvalidSyntax              NotifyType = 7
	NoProposalChosen           NotifyType = 14
	InvalidKEPayload           NotifyType = 17
	AuthenticationFailed       NotifyType = 24
	SinglePairRequired         NotifyType = 34
	NoAdditionalSAs            NotifyType = 35
	InternalAddressFailure     NotifyType = 36
	FailedCPRequired           NotifyType = 37
	TSUnacceptable             NotifyType = 38
	InvalidSelectors           NotifyType = 39
	TemporaryFailure           NotifyType = 43
	ChildSANotFound            NotifyType = 44
	UnacceptableAddresses      NotifyType = 40 // RFC 4555
	UnexpectedNAT              NotifyType = 41 // RFC 4555
	StateNotFound              NotifyType = 47 // RFC 9370 section 4

	InitialContact          NotifyType = 16384
	SetWindowSize           NotifyType = 16385
	NATDetectionSource      NotifyType = 16388
	NATDetectionDest        NotifyType = 16389
	CookieNotify            NotifyType = 16390
	FragmentationSupp       NotifyType = 16430 // RFC 7383
	MobikeSupported         NotifyType = 16396 // RFC 4555, and those that follow
	AdditionalIP4           NotifyType = 16397
	AdditionalIP6           NotifyType = 16398
	NoAdditional            NotifyType = 16399
	UpdateSAAddresses       NotifyType = 16400
	Cookie2                 NotifyType = 16401
	NoNATsAllowed           NotifyType = 16402
	SignatureHashAlgorithms NotifyType = 16431 // RFC 7427
	UseTransportMode        NotifyType = 16391
	RekeySA                 NotifyType = 16393
	ESPTFCPaddingNotSupp    NotifyType = 16394
	TicketLTOpaque          NotifyType = 16409 // RFC 5723 section 7
	TicketRequest           NotifyType = 16410
	TicketAck               NotifyType = 16411
	TicketNack              NotifyType = 16412
	TicketOpaque            NotifyType = 16413
	MessageIDSyncSupp       NotifyType = 16420 // RFC 6311
	MessageIDSync           NotifyType = 16422
	UsePPK                  NotifyType = 16435 // RFC 8784 section 3
	PPKIdentity             NotifyType = 16436
	NoPPKAuth               NotifyType = 16437
	IntermediateSupp        NotifyType = 16438 // RFC 9242 section 3.1
	AdditionalKE            NotifyType = 16441 // RFC 9370 section 2.2.4
	firstStatus             NotifyType = 16384
)

// notifyNames are the RFC's names.
var notifyNames = map[NotifyType]string{
	UnsupportedCriticalPayload: "UNSUPPORTED_CRITICAL_PAYLOAD", InvalidIKESPI: "INVALID_IKE_SPI",
	InvalidMajorVersion: "INVALID_MAJOR_VERSION", InvalidSyntax: "INVALID_SYNTAX", NoProposalChosen: "NO_PROPOSAL_CHOSEN",
	MessageIDSyncSupp: "IKEV2_MESSAGE_ID_SYNC_SUPPORTED", MessageIDSync: "IKEV2_MESSAGE_ID_SYNC",
	InvalidKEPayload: "INVALID_KE_PAYLOAD", AuthenticationFailed: "AUTHENTICATION_FAILED", SinglePairRequired: "SINGLE_PAIR_REQUIRED",
	NoAdditionalSAs: "NO_ADDITIONAL_SAS", InternalAddressFailure: "INTERNAL_ADDRESS_FAILURE", FailedCPRequired: "FAILED_CP_REQUIRED",
	TSUnacceptable: "TS_UNACCEPTABLE", InvalidSelectors: "INVALID_SELECTORS", TemporaryFailure: "TEMPORARY_FAILURE",
	ChildSANotFound: "CHILD_SA_NOT_FOUND", InitialContact: "INITIAL_CONTACT", SetWindowSize: "SET_WINDOW_SIZE", NATDetectionSource: "NAT_DETECTION_SOURCE_IP",
	NATDetectionDest: "NAT_DETECTION_DESTINATION_IP", CookieNotify: "COOKIE", UseTransportMode: "USE_TRANSPORT_MODE",
	FragmentationSupp: "IKEV2_FRAGMENTATION_SUPPORTED", StateNotFound: "STATE_NOT_FOUND", TicketLTOpaque: "TICKET_LT_OPAQUE", TicketRequest: "TICKET_REQUEST", TicketAck: "TICKET_ACK",
	TicketNack: "TICKET_NACK", TicketOpaque: "TICKET_OPAQUE", UsePPK: "USE_PPK", PPKIdentity: "PPK_IDENTITY", NoPPKAuth: "NO_PPK_AUTH",
	IntermediateSupp: "INTERMEDIATE_EXCHANGE_SUPPORTED", AdditionalKE: "ADDITIONAL_KEY_EXCHANGE",

	UnacceptableAddresses: "UNACCEPTABLE_ADDRESSES", UnexpectedNAT: "UNEXPECTED_NAT_DETECTED", MobikeSupported: "MOBIKE_SUPPORTED",
	AdditionalIP4: "ADDITIONAL_IP4_ADDRESS", AdditionalIP6: "ADDITIONAL_IP6_ADDRESS", NoAdditional: "NO_ADDITIONAL_ADDRESSES",
	UpdateSAAddresses: "UPDATE_SA_ADDRESSES", Cookie2: "COOKIE2", NoNATsAllowed: "NO_NATS_ALLOWED",
	SignatureHashAlgorithms: "SIGNATURE_HASH_ALGORITHMS", RekeySA: "REKEY_SA", ESPTFCPaddingNotSupp: "ESP_TFC_PADDING_NOT_SUPPORTED",
}

// String is the RFC's name, or the number.
func (t NotifyType) String() string {
	if name, ok := notifyNames[t]; ok {
		return name
	}
	return fmt.Sprintf("NOTIFY_%d", uint16(t))
}

// IsError reports whether t says that something failed; any type below 16384
// does, known or not (RFC 7296 section 3.10.1).
func (t NotifyType) IsError() bool { return t < firstStatus }

// Notify is the Notify payload (RFC 7296 section 3.10).
type Notify struct {
	Protocol uint8  // ProtoNone when there is no SPI
	SPI      []byte // empty, or 4 octets for ESP and AH
	Type     NotifyType
	Data     []byte
}

// Kind is KindNotify.
func (*Notify) Kind() Kind { return KindNotify }

func (p *Notify) append(b []byte) []byte {
	b = append(b, p.Protocol, byte(len(p.SPI)))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Type))
	b = append(b, p.SPI...)
	return append(b, p.Data...)
}

func (p *Notify) parse(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("notify of %d octets: %w", len(b), ike.ErrShort)
	}
	size := int(b[1])
	if size > len(b)-4 {
		return fmt.Errorf("notify with an SPI of %d octets in %d: %w", size, len(b)-4, ike.ErrLength)
	}
	p.Protocol, p.Type = b[0], NotifyType(binary.BigEndian.Uint16(b[2:]))
	p.SPI, p.Data = b[4:4+size], b[4+size:]
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
