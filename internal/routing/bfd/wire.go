package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Port is the UDP port that control packets of one hop go to (RFC 5881 section
// 4); they come from one of SourcePorts.
const (
	Port            = 3784
	FirstSourcePort = 49152
	LastSourcePort  = 65535
)

// TTL is what every packet of one hop is sent with. A packet that comes with
// another has crossed a router and is none (RFC 5881 section 5).
const TTL = 255

// MaxSize is more than the largest control packet that is taken, in octets.
const MaxSize = 256

// A State is the state of a session (RFC 5880 section 4.1).
type State uint8

// The states of a session.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

// String is the state's name in RFC 5880.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

var stateNames = [...]string{"AdminDown", "Down", "Init", "Up"}

// A Diag is why a session last left Up (RFC 5880 section 4.1).
type Diag uint8

// The reasons that we give.
const (
	NoDiag       Diag = 0
	Expired      Diag = 1
	NeighborDown Diag = 3
	AdminDowned  Diag = 7
)

// String is the reason in the words of RFC 5880.
func (d Diag) String() string {
	if int(d) < len(diagNames) {
		return diagNames[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

var diagNames = [...]string{
	"no diagnostic", "control detection time expired", "echo function failed", "neighbor signaled session down", "forwarding plane reset",
	"path down", "concatenated path down", "administratively down", "reverse concatenated path down",
}

// A Packet is one control packet without authentication (RFC 5880 section 4.1).
type Packet struct {
	Diag         Diag
	State        State
	Poll, Final  bool
	Independent  bool // the control plane may fail without the forwarding plane
	Demand       bool
	DetectMult   uint8
	MyDisc       uint32
	YourDisc     uint32 // 0 while not known
	DesiredMinTx time.Duration
	RequiredMinRx,
	RequiredMinEchoRx time.Duration // whole microseconds, up to 2^32-1 of them
}

const (
	version    = 1
	headerSize = 24
)

// The flags of the second octet.
const (
	flagMultipoint = 1 << iota
	flagDemand
	flagAuth
	flagIndependent
	flagFinal
	flagPoll
)

// What is wrong with a packet that is none.
var (
	errShort      = errors.New("bfd: packet is shorter than it says, or than 24 octets")
	errVersion    = errors.New("bfd: version is not 1")
	errAuth       = errors.New("bfd: packet is authenticated, which nobody configured")
	errMultipoint = errors.New("bfd: packet is of a multipoint session")
	errZero       = errors.New("bfd: detection multiplier or discriminator is zero")
)

// Parse reads a packet and checks what RFC 5880 section 6.8.6 says can be seen
// of it alone. What follows the length that it states is not looked at.
func Parse(b []byte) (Packet, error) {
	if len(b) < headerSize || int(b[3]) < headerSize || int(b[3]) > len(b) {
		return Packet{}, errShort
	}
	flags := b[1]
	p := Packet{
		Diag: Diag(b[0] & 31), State: State(flags >> 6), Poll: flags&flagPoll != 0, Final: flags&flagFinal != 0,
		Independent: flags&flagIndependent != 0, Demand: flags&flagDemand != 0,
		DetectMult: b[2], MyDisc: binary.BigEndian.Uint32(b[4:]), YourDisc: binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: micros(b[12:]), RequiredMinRx: micros(b[16:]), RequiredMinEchoRx: micros(b[20:]),
	}
	switch {
	case b[0]>>5 != version:
		return Packet{}, errVersion
	case flags&flagAuth != 0:
		return Packet{}, errAuth
	case flags&flagMultipoint != 0:
		return Packet{}, errMultipoint
	case p.DetectMult == 0 || p.MyDisc == 0:
		return Packet{}, errZero
	case b[3] != headerSize: // without authentication nothing follows
		return Packet{}, errShort
	}
	return p, nil
}

// Append appends p to dst.
func (p Packet) Append(dst []byte) []byte {
	flags := byte(p.State) << 6
	for bit, set := range map[byte]bool{flagPoll: p.Poll, flagFinal: p.Final, flagIndependent: p.Independent, flagDemand: p.Demand} {
		if set {
			flags |= bit
		}
	}
	dst = append(dst, version<<5|byte(p.Diag)&31, flags, p.DetectMult, headerSize)
	dst = binary.BigEndian.AppendUint32(dst, p.MyDisc)
	dst = binary.BigEndian.AppendUint32(dst, p.YourDisc)
	for _, d := range []time.Duration{p.DesiredMinTx, p.RequiredMinRx, p.RequiredMinEchoRx} {
		dst = binary.BigEndian.AppendUint32(dst, uint32(d.Microseconds()))
	}
	return dst
}

func micros(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
