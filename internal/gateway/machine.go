package gateway

import (
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert"
	"seikan/internal/ipsec/ike/dual"
	"seikan/internal/ipsec/ike/ikev1"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/keep"
)

// An initiator repeats a request after at most retransmitMax and begins anew
// after at most restartMax: a tunnel whose path is back shall be up soon after.
// A tunnel that is down costs its peer one small message every few seconds.
const (
	retransmitMax = 4 * time.Second
	restartMax    = 5 * time.Second
)

// machine speaks IKE for t. Those of a gateway share their cookies, and so count
// together how many attempts of strangers are half open.
//
// With resumed the machine goes on with what k has of t.
func (g *Gateway) machine(t Tunnel, local netip.Addr, k *keep.Tunnel) (m ike.Machine, resumed bool, err error) {
	cfg, err := machineConfig(t, local)
	if err != nil {
		return nil, false, err
	}
	before := g.restored(t, cfg, k)
	m, err = newMachine(t, local, g.shared, before)
	return m, before != nil, err
}

// newMachine speaks the versions of IKE that t, with its defaults, allows.
// Unless nil, before is the first machine of IKEv2.
func newMachine(t Tunnel, local netip.Addr, shared *ikev2.Shared, before *ikev2.Machine) (ike.Machine, error) {
	cfg, err := machineConfig(t, local)
	if err != nil {
		return nil, err
	}
	m := &both{cfg: cfg, again: t.Initiate && t.Endpoint.AnswerIKEv1}
	second := func() (ike.Machine, error) {
		if first := before; first != nil {
			before = nil
			return first, nil
		}
		return ikev2.New(m.cfg, shared)
	}
	one, two := slices.Contains(t.Versions, 1), slices.Contains(t.Versions, 2)
	switch {
	case !one:
		return second()
	case !two:
		return ikev1.New(t.forIKEv1(cfg))
	}
	whole := cfg
	if t.Endpoint.AnswerIKEv1 {
		// The choice of a version is left to the peer, and what begins is the
		// machine of IKEv2 by itself.
		whole.Initiator, whole.Restart = false, false
	}
	m.Machine, err = dual.New(whole, func() (ike.Machine, error) { return ikev1.New(t.forIKEv1(m.cfg)) }, second)
	return m, err
}

// both speaks both versions, and remembers for the machines that it makes that
// our address or the proof of both ends has changed.
type both struct {
	*dual.Machine
	cfg policy.Config
	// again says that IKEv2 begins again when IKEv1, which is only answered, had
	// the tunnel and lost it.
	again bool
}

// Step is that of ike.Machine.
func (b *both) Step(now time.Time, ev ike.Event, out *ike.Outputs) error {
	switch ev := ev.(type) {
	case ike.LocalChanged:
		b.cfg.Local = ev.Local
	case ike.AuthChanged:
		if auth, ok := ev.Auth.(policy.Auth); ok {
			b.cfg.Auth = auth
		}
	}
	had := b.again && answered(b.State())
	err := b.Machine.Step(now, ev, out)
	if err != nil || !had || !b.lost(ev) {
		return err
	}
	return b.Machine.Step(now, ike.Initiate{}, out)
}

// answered reports whether s is of a peer that had begun with IKEv1.
func answered(s *ike.Snapshot) bool {
	return s.Version == 1 && (s.Phase == ike.Established || s.Phase == ike.Authed)
}

// lost reports whether ev ended what there was, and not as an end that is to be
// followed by nothing: time passes over a peer that is dead, and the action may
// be to wait then.
func (b *both) lost(ev ike.Event) bool {
	switch ev.(type) {
	case ike.Close:
		return false
	case ike.TimerFired:
		if b.cfg.Liveness.Action == policy.Clear {
			return false
		}
	}
	phase := b.State().Phase
	return phase == ike.Failed || phase == ike.Idle
}

// forIKEv1 is what of cfg IKEv1 can do.
func (t Tunnel) forIKEv1(cfg policy.Config) policy.Config {
	cfg.IKE, cfg.ESP = plainIKE(cfg.IKE), plainESP(cfg.ESP)
	if t.Endpoint.AnswerIKEv1 {
		cfg.Initiator, cfg.Restart = false, false
		if cfg.Liveness.Action != policy.None {
			cfg.Liveness.Action = policy.Clear // IKEv1 is never begun
		}
	}
	return cfg
}

// machineConfig says to the protocols what t, with its defaults, says to us.
func machineConfig(t Tunnel, local netip.Addr) (policy.Config, error) {
	localID, err := parseID(t.Outside.LocalID)
	if err != nil {
		return policy.Config{}, err
	}
	remoteID, err := parseID(t.Outside.RemoteID)
	if err != nil {
		return policy.Config{}, err
	}
	auth, err := t.auth()
	if err != nil {
		return policy.Config{}, err
	}
	cfg := policy.Config{
		Initiator: t.Initiate, Restart: t.Initiate,
		Local:   netip.AddrPortFrom(local, udp.IKEPort),
		LocalID: localID, RemoteID: remoteID,
		Auth: auth, IKE: t.IKE, ESP: t.ESP, ForceEncap: t.Outside.ForceEncap,
		LocalTS: []ike.Selector{ike.FromPrefix(t.LocalTS)}, RemoteTS: []ike.Selector{ike.FromPrefix(t.RemoteTS)},
		Lifetime:   policy.Lifetime{IKE: t.Lifetime.Phase1, Child: t.Lifetime.Phase2, Margin: t.Lifetime.RekeyMargin, Fuzz: t.Lifetime.RekeyFuzz},
		Liveness:   policy.Liveness{Interval: t.Liveness.Interval, Timeout: t.Liveness.Timeout, Action: t.Liveness.Action},
		Extensions: t.Extensions.policy(),
		Tuning:     policy.Tuning{RetransmitMax: retransmitMax, RestartMax: restartMax},
	}
	if t.Outside.Remote.IsValid() {
		cfg.Remote = netip.AddrPortFrom(t.Outside.Remote, udp.IKEPort)
	}
	return cfg, nil
}

// auth is how t proves who we are, and what it takes as the peer's proof.
func (t Tunnel) auth() (policy.Auth, error) {
	c := t.Certificates
	if !c.Used() {
		return policy.Auth{PSK: t.PSK}, nil
	}
	own, err := cert.NewCredential(c.Own, c.Key.Reveal())
	if err != nil {
		return policy.Auth{}, fmt.Errorf("Certificates.Own, Key: %w", err)
	}
	if err := own.Weak(); err != nil && !c.WeakKeys {
		return policy.Auth{}, fmt.Errorf("Certificates.Own, Key: %w, or allow weak keys (WeakKeys)", err)
	}
	if c.PSS {
		own = own.WithPSS()
	}
	options := cert.Options{CRLs: lists(c.CRL), WeakKeys: c.WeakKeys}
	if len(c.OCSP) > 0 {
		options.OCSP = [][]byte{c.OCSP}
	}
	trust, err := cert.NewTrust(c.CA, options)
	if err != nil {
		return policy.Auth{}, fmt.Errorf("Certificates.CA, CRL, OCSP: %w", err)
	}
	return policy.Auth{Credential: own, Trust: trust}, nil
}

// lists are the revocation lists of text: one for each PEM block, or one in DER.
func lists(text []byte) (out [][]byte) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		out = append(out, block.Bytes)
	}
	if len(out) == 0 && len(text) > 0 {
		out = [][]byte{text}
	}
	return out
}

func (e Extensions) policy() policy.Extensions {
	out := policy.Extensions{
		FragmentSize: e.FragmentSize, NoMOBIKE: e.NoMOBIKE, Resumption: e.Resumption,
		PPK: e.PPK, PPKID: e.PPKID, PPKRequired: e.PPKRequired,
	}
	if e.NoFragmentation {
		out.FragmentSize = -1
	}
	return out
}

// anyID accepts whoever holds the key, as strongSwan's %any does.
const anyID = "%any"

// parseID reads an identity; empty and %any are no identity.
func parseID(text string) (ike.Identity, error) {
	if text == "" || text == anyID {
		return ike.Identity{}, nil
	}
	return ike.ParseIdentity(text)
}
