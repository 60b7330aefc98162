package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// A Status is what a gateway shows of itself. It holds no keys and may be
// logged, encoded and shown to anybody who may see addresses.
type Status struct {
	Name    string         `json:"name"`
	Tunnels []TunnelStatus `json:"tunnels"`
	Routes  []RouteStatus  `json:"routes"`
	BGP     *BGPStatus     `json:"bgp,omitempty"`
	// Strangers counts the IKE messages that were for no tunnel: from addresses
	// that are no peer's. StrangerFrom is the last of these; anybody can be.
	Strangers    uint64     `json:"strangers"`
	StrangerFrom netip.Addr `json:"stranger_from,omitzero"`
	// UnknownSPI counts the ESP packets that were for no SA of ours: of one that was
	// just deleted, or that its peer uses before its answer has told us of it.
	UnknownSPI uint64 `json:"unknown_spi"`
}

// A TunnelStatus is one tunnel.
type TunnelStatus struct {
	ID        string       `json:"id"`
	Interface string       `json:"interface"`
	Inside    netip.Prefix `json:"inside,omitzero"`
	Up        bool         `json:"up"` // IKE SA and CHILD SA are established
	Phase     string       `json:"phase"`
	Reason    string       `json:"reason,omitempty"` // why it is not up
	Since     time.Time    `json:"since,omitzero"`   // when Up last changed
	IKE       IKEStatus    `json:"ike"`
	Child     *ChildStatus `json:"child,omitempty"`
	Traffic   Traffic      `json:"traffic"`
	// Endpoint is the generation of our end, of which this is told.
	Endpoint  int        `json:"endpoint,omitempty"`
	SourceNAT bool       `json:"source_nat,omitempty"` // what leaves has Inside's address for a source
	Initiate  bool       `json:"initiate"`             // we begin; otherwise we wait for the peer
	Dead      DeadStatus `json:"dead"`                 // when a silent peer is taken for dead
	Downs     []Down     `json:"downs,omitempty"`      // the last times that it went down, oldest first
}

// A DeadStatus is what becomes of a peer that is silent.
type DeadStatus struct {
	AfterSeconds float64 `json:"after_seconds"` // since its last sign of life
	Action       string  `json:"action"`        // "clear", "none" or "restart", as AWS names them
}

// A Down is a time when a tunnel was down after it had been up.
type Down struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds,omitempty"` // how long; 0 as long as it lasts
	Reason  string    `json:"reason,omitempty"`
}

// maxDowns is how many a tunnel remembers.
const maxDowns = 8

// An IKEStatus is the IKE SA of a tunnel.
type IKEStatus struct {
	Version     int            `json:"version"`
	Initiator   bool           `json:"initiator"`
	Local       netip.AddrPort `json:"local,omitzero"`
	Remote      netip.AddrPort `json:"remote,omitzero"`
	LocalID     string         `json:"local_id,omitempty"`
	RemoteID    string         `json:"remote_id,omitempty"`
	NATLocal    bool           `json:"nat_local"`            // we are behind a NAT
	NATRemote   bool           `json:"nat_remote"`           // the peer is
	Auth        string         `json:"auth,omitempty"`       // how both proved who they are: "PSK", "ECDSA-P256" …
	Extensions  []string       `json:"extensions,omitempty"` // negotiated beyond the base: "MOBIKE" …
	Suite       string         `json:"suite,omitempty"`
	Weak        []string       `json:"weak,omitempty"` // the algorithms of Suite and Auth that should not be used any more
	Established time.Time      `json:"established,omitzero"`
	Retransmits uint64         `json:"retransmits"`
	Rekeys      uint64         `json:"rekeys"`
	Dropped     uint64         `json:"dropped"` // messages lost because too many waited
}

// A ChildStatus is the CHILD SA of a tunnel.
type ChildStatus struct {
	SPIIn       string    `json:"spi_in"` // hexadecimal, as captures show it
	SPIOut      string    `json:"spi_out"`
	Suite       string    `json:"suite"`
	Weak        []string  `json:"weak,omitempty"` // as in IKEStatus
	Encap       bool      `json:"encap"`          // in UDP 4500
	LocalTS     []string  `json:"local_ts"`       // the traffic that it may carry, by our side's addresses
	RemoteTS    []string  `json:"remote_ts"`      // and by the peer's
	Established time.Time `json:"established,omitzero"`
}

// Traffic counts the inner packets of a tunnel since it was added; octets are
// those of the inner packets.
type Traffic struct {
	PacketsIn  uint64            `json:"packets_in"`
	BytesIn    uint64            `json:"bytes_in"`
	PacketsOut uint64            `json:"packets_out"`
	BytesOut   uint64            `json:"bytes_out"`
	Drops      map[string]uint64 `json:"drops,omitempty"` // by cause, zeros left out
	MTU        int               `json:"mtu"`             // inner, octets
}

// describe turns a machine's snapshot into status form.
func describe(s ike.Snapshot) (IKEStatus, *ChildStatus) {
	st := IKEStatus{
		Version: s.Version, Initiator: s.Initiator,
		Local: s.Local, Remote: s.Remote, LocalID: s.LocalID, RemoteID: s.RemoteID,
		NATLocal: s.NATLocal, NATRemote: s.NATRemote,
		Established: s.Established, Retransmits: s.Retransmits, Rekeys: s.Rekeys,
	}
	if s.Phase == ike.Authed || s.Phase == ike.Established {
		st.Suite, st.Auth, st.Extensions = s.Suite.String(), s.Auth, slices.Clone(s.Extensions)
		st.Weak = weakIKE(s.Suite, s.Auth)
	}
	if s.Child == nil {
		return st, nil
	}
	return st, &ChildStatus{
		SPIIn: fmt.Sprintf("%08x", s.Child.SPIIn), SPIOut: fmt.Sprintf("%08x", s.Child.SPIOut),
		Suite: s.Child.Suite.String(), Weak: weakESP(s.Child.Suite), Encap: s.Child.Encap, Established: s.Child.Established,
		LocalTS: texts(s.Child.LocalTS), RemoteTS: texts(s.Child.RemoteTS),
	}
}

// actionWord is what follows a peer's death, by AWS's name; what is left to a
// default depends on who begins.
func actionWord(a policy.Action, initiate bool) string {
	switch {
	case a == policy.None:
		return "none"
	case a == policy.Restart || a == policy.ActionDefault && initiate:
		return "restart"
	}
	return "clear"
}

// texts writes selectors: a prefix where it is one.
func texts(list []ike.Selector) (out []string) {
	for _, s := range list {
		out = append(out, s.String())
	}
	return out
}

// weakIKE names the algorithms of s and of the proof auth that are weak, as the
// suite does.
func weakIKE(s suite.IKE, auth string) (out []string) {
	if s.Group.Weak() {
		out = append(out, s.Group.String())
	}
	if s.Integ.Weak() || s.PRF.Weak() || strings.Contains(auth, suite.IntegSHA1.String()) {
		out = append(out, suite.IntegSHA1.String())
	}
	if strings.Contains(auth, "bits, weak)") {
		out = append(out, WeakRSA)
	}
	return out
}

// WeakRSA is among IKEStatus.Weak when a key that Auth names is an RSA key below
// 2048 bits.
const WeakRSA = "RSA below 2048 bits"

// weakESP is weakIKE for a CHILD SA.
func weakESP(s suite.ESP) (out []string) {
	if s.Group.Weak() {
		out = append(out, s.Group.String())
	}
	if s.Integ.Weak() {
		out = append(out, s.Integ.String())
	}
	return out
}

// traffic turns a tunnel's counters into status form.
func traffic(c dataplane.Counters, mtu int) Traffic {
	t := Traffic{PacketsIn: c.PacketsIn, BytesIn: c.BytesIn, PacketsOut: c.PacketsOut, BytesOut: c.BytesOut, MTU: mtu}
	for cause, n := range map[string]uint64{
		"no-sa": c.Drops.NoSA, "too-big": c.Drops.TooBig, "sequence-exhausted": c.Drops.Exhausted, "no-buffer": c.Drops.NoBuffer,
		"selector": c.Drops.Selector, "malformed": c.Drops.Malformed, "replay": c.Drops.Replay, "auth-failed": c.Drops.Auth, "device": c.Drops.Device,
		"congestion": c.Drops.Congested,
	} {
		if n == 0 {
			continue
		}
		if t.Drops == nil {
			t.Drops = map[string]uint64{}
		}
		t.Drops[cause] = n
	}
	return t
}
