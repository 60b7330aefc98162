package ikev1

import (
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
)

// authChanged takes another proof of both ends. Main modes from now on go by it,
// and when the peer would not be believed any more all SAs end at once.
func (m *Machine) authChanged(t *turn, a ike.Auth) {
	cfg, trust, err := m.cfg.Reproved(a)
	method := m.method
	if err == nil {
		method, err = methodOf(cfg)
	}
	if err != nil {
		t.bug(err)
		return
	}
	m.cfg, m.method = cfg, method
	if !trust || (m.current == nil && m.used() == nil) {
		return
	}
	if _, err := cfg.Auth.Trust.Verify(t.now, m.chain, m.peer); err != nil {
		m.revoke(t, err)
	}
}

// revoke deletes all SAs at both ends, because of why the peer is not believed.
func (m *Machine) revoke(t *turn, why error) {
	reason := fmt.Sprintf("peer %v is not believed any more: %v", m.peer, why)
	t.notice(levelWarn, "ISAKMP SA is deleted, for its peer is not believed any more", "peer", m.peer.String(), "reason", why.Error())
	m.sendDeletes(t)
	m.down(t, reason, later)
}

// sendDeletes tells the peer that all there is with it is no more.
func (m *Machine) sendDeletes(t *turn) {
	if m.current == nil {
		return
	}
	for _, c := range m.children {
		if c.state == childUp {
			m.inform(t, m.current, wire.NewDelete(c.SA.SPIIn))
		}
	}
	m.sendDelete(t, m.current)
}

// methodOf is how both ends of cfg prove who they are.
func methodOf(cfg policy.Config) (proposal.Method, error) {
	if !cfg.Auth.Signs() {
		return proposal.PSK, nil
	}
	if m := proposal.Method(cfg.Auth.Credential.MethodIKEv1()); m != 0 {
		return m, nil
	}
	return 0, fmt.Errorf("field Auth.Credential: IKEv1 cannot sign with the key of %v; use RSA or ECDSA P-256, P-384 or P-521", cfg.Auth.Credential)
}
