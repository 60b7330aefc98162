// Package ike is what IKEv1 and IKEv2 share: the header, SPIs, identities and
// the vocabulary by which a protocol machine talks to its owner.
//
// A machine has two methods: Step takes the time and an Event and fills an
// Outputs; Deadline says when it wants TimerFired next. It holds no socket,
// goroutine, clock or logger. The owner is package tunnel. Nothing here does
// I/O.
package ike

import (
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A Machine is one IKE endpoint towards one peer: it holds the current IKE SA
// of the tunnel, its successor while rekeying, and the CHILD SA.
type Machine interface {
	// Step feeds one event. It never blocks, sleeps, logs or touches a socket;
	// now is its only clock. An error is a bug of ours: what a peer does wrong
	// is reported as a Notice and a state change in out.
	Step(now time.Time, ev Event, out *Outputs) error
	// Deadline is when the owner must next call Step with TimerFired. The zero
	// time means never.
	Deadline() time.Time
	// State describes the machine for status output. What it returns never
	// changes; while there is nothing new to say it may be the same again.
	State() *Snapshot
}

// An Exporter is a Machine whose state can be kept, so that a new process goes
// on where this one was killed.
type Exporter interface {
	// Export is the state now, keys included, in an encoding of the machine's
	// own. ok is false when there is nothing to go on with, or something under
	// way that cannot be kept. It is the same for as long as nothing changed
	// that the peer could know. It is the machine's, and good until the next
	// call.
	Export() (state secret.Secret, ok bool)
}

// An Auth is a policy.Auth, of which this package knows no more.
type Auth interface{ ProvesIKE() }

// An Event is something that happened to a machine.
type Event interface{ isEvent() }

type (
	// Datagram is a message from the wire, without the non-ESP marker. Local
	// and Remote are the addresses and ports it came in on. Data is the
	// machine's to keep.
	Datagram struct {
		Local, Remote netip.AddrPort
		Data          []byte
	}
	// TimerFired says that Deadline has passed.
	TimerFired struct{}
	// Initiate asks an initiator to start, or to start again after the SA went
	// down. Without effect while an SA is up or being made.
	Initiate struct{}
	// PeerAlive says that protected traffic (ESP) of the peer arrived at At;
	// it postpones liveness checks (RFC 7296 section 2.4).
	PeerAlive struct{ At time.Time }
	// RekeyIKE and RekeyChild ask for a rekey now.
	RekeyIKE   struct{}
	RekeyChild struct{}
	// LocalChanged says that our own outside address towards the peer is another
	// one now, from which messages can be sent already; the port is that of the
	// configuration. SAs move to it if the peer speaks MOBIKE (RFC 4555), with
	// MovePeer, or with UseOutbound of the same SA if it changes whether ESP
	// goes in UDP; else an initiator starts anew. Without effect when the
	// address is the one in use.
	LocalChanged struct{ Local netip.AddrPort }
	// AuthChanged says how both ends prove from now on who they are, by the same
	// means as before. An SA goes on if the certificates with which its peer
	// proved itself would be believed now, too; else it is deleted at once.
	AuthChanged struct{ Auth Auth }
	// Resume is the first event of a machine that was restored from what
	// another one exported: it puts its SAs to use again and looks whether the
	// peer still knows them.
	Resume struct{}
	// Close deletes the IKE SA at the peer and ends.
	Close struct{}
)

func (Datagram) isEvent()     {}
func (TimerFired) isEvent()   {}
func (Initiate) isEvent()     {}
func (LocalChanged) isEvent() {}
func (AuthChanged) isEvent()  {}
func (PeerAlive) isEvent()    {}
func (RekeyIKE) isEvent()     {}
func (RekeyChild) isEvent()   {}
func (Resume) isEvent()       {}
func (Close) isEvent()        {}

// Outputs collects what a Step wants done, in order within each list. The
// owner sends Datagrams, then carries out Actions in order. Reset it between
// steps.
type Outputs struct {
	Datagrams []Datagram // Local.Port 4500 means: prefix the non-ESP marker
	Actions   []Action
}

// Reset empties o, keeping its capacity.
func (o *Outputs) Reset() { o.Datagrams, o.Actions = o.Datagrams[:0], o.Actions[:0] }

// An Action is something the owner must do.
type Action interface{ isAction() }

type (
	// InstallInbound makes packets with SA.SPIIn acceptable. It always comes
	// before the peer can know that SPI is usable.
	InstallInbound struct{ SA *ChildSA }
	// UseOutbound makes SA the one that outgoing packets are sealed with.
	UseOutbound struct{ SA *ChildSA }
	// RemoveChild forgets the SA whose inbound SPI is SPIIn, both directions.
	// The machine has wiped, or will, the keys in its ChildSA: whoever goes on
	// using them needs copies.
	RemoveChild struct{ SPIIn uint32 }
	// MovePeer says that the outside addresses changed (NAT-T float or
	// rebinding); from now on ESP goes from Local to Remote.
	MovePeer struct{ Local, Remote netip.AddrPort }
	// StateChanged reports Snapshot().Phase.
	StateChanged struct {
		Phase  Phase
		Reason string // in words; empty when all is well
	}
	// Notice is a line for the log about the negotiation. It never holds
	// secrets.
	Notice struct {
		Level int // slog levels: -4 debug, 0 info, 4 warn, 8 error
		Text  string
		Attrs []any // alternating keys and values, as for slog
	}
)

func (InstallInbound) isAction() {}
func (UseOutbound) isAction()    {}
func (RemoveChild) isAction()    {}
func (MovePeer) isAction()       {}
func (StateChanged) isAction()   {}
func (Notice) isAction()         {}

// A ChildSA is one pair of ESP SAs with its keys, as negotiated.
type ChildSA struct {
	SPIIn, SPIOut uint32
	Suite         suite.ESP
	KeysIn        suite.ESPKeys
	KeysOut       suite.ESPKeys
	LocalTS       []Selector
	RemoteTS      []Selector
	Encap         bool           // ESP in UDP 4500 (RFC 3948)
	Local, Remote netip.AddrPort // with Encap ports are those of UDP; without they are ignored
	Created       time.Time
	Initiator     bool // we initiated the exchange that made it
	// Resumed says that the SA was in use before the process began: what it
	// has counted is in the data plane's ledger, and without it the SA must
	// not be used.
	Resumed bool
}

// A Selector is one traffic selector (RFC 7296 section 3.13.1), IPv4 or IPv6,
// as an inclusive range. Protocol 0 is any; ports 0–65535 are any.
type Selector struct {
	Protocol           uint8
	StartPort, EndPort uint16
	Start, End         netip.Addr
}

// Phase is how far a tunnel's negotiation is.
type Phase uint8

// The phases, in the order in which a tunnel passes them.
const (
	Idle        Phase = iota // nothing happens; a responder waits, an initiator has not been told to start
	Connecting               // IKE_SA_INIT or main mode is running
	Authed                   // the IKE SA is up, no CHILD SA
	Established              // IKE SA and CHILD SA are up
	Failed                   // the last attempt failed; the machine may be started again
)

// String is the lower-case name.
func (p Phase) String() string {
	names := [...]string{"idle", "connecting", "ike-up", "established", "failed"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// A Snapshot is what status shows of a machine. It never holds keys.
type Snapshot struct {
	Version       int // 1 or 2
	Phase         Phase
	Reason        string // why it is not established, in words
	Initiator     bool
	Local, Remote netip.AddrPort
	LocalID       string
	RemoteID      string
	Auth          string   // how both proved who they are: "PSK", "RSA-SHA2-256", "ECDSA-P256, peer Ed25519", "RSA-SHA1 (weak)", "RSA (1024 bits, weak)" …
	Extensions    []string // what was negotiated beyond the base: "fragmentation", "MOBIKE", "PPK" …
	SPIi, SPIr    uint64
	NATLocal      bool // we are behind a NAT
	NATRemote     bool // the peer is
	Suite         suite.IKE
	Child         *ChildSnapshot
	Established   time.Time
	Retransmits   uint64
	Rekeys        uint64
}

// A ChildSnapshot is what status shows of the CHILD SA.
type ChildSnapshot struct {
	SPIIn, SPIOut uint32
	Suite         suite.ESP
	Encap         bool
	LocalTS       []Selector
	RemoteTS      []Selector
	Established   time.Time
}
