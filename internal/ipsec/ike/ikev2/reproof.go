package ikev2

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// authChanged takes another proof of both ends. What is under way goes on with it,
// and SAs whose peer would not be believed any more end at once.
func (m *Machine) authChanged(t *turn, a ike.Auth) {
	cfg, trust, err := m.cfg.Reproved(a)
	if err != nil {
		t.bug(err)
		return
	}
	m.cfg, m.shown = cfg, shown{} // which may show another identity of ours
	if !trust {
		return
	}
	// What we hold was given by a peer that the old trust let in, and it would
	// not have to show its certificate.
	m.session.forget()
	for _, s := range slices.Clone(m.sas) {
		switch {
		case s.state == up:
			if err := m.stillTrusted(t.now, s.peer); err != nil {
				m.revoke(t, s, err)
			}
		case s.state < up && s.resumes() && s.initiator:
			m.connectAnew(t, s, errUnknownChain.Error())
		case s.state < up && s.resumes():
			m.forget(s)
		}
	}
}

// Why nothing can be said of a peer's certificates that we do not have.
var (
	errUnknownChain = errors.New("the peer took up an earlier session, without showing its certificates again, and whom we believe has changed since")
	errExpiredChain = errors.New("the peer took up an earlier session, without showing its certificates again, and they have expired")
)

// stillTrusted reports why p would not be believed now.
func (m *Machine) stillTrusted(now time.Time, p peer) error {
	if len(p.chain) == 0 {
		switch {
		case p.trust != m.cfg.Auth.Trust.Digest():
			return errUnknownChain
		case !now.Before(p.until):
			return errExpiredChain
		}
		return nil
	}
	_, err := m.cfg.Auth.Trust.Verify(now, p.chain, p.Identity)
	return err
}

// revoke deletes s at both ends, because of why its peer is not believed.
func (m *Machine) revoke(t *turn, s *sa, why error) {
	reason := fmt.Sprintf("peer %v is not believed any more: %v", s.peer, why)
	t.notice(levelWarn, "IKE SA is deleted, for its peer is not believed any more", "remote", s.path.remote, "reason", why.Error())
	for _, c := range slices.Clone(m.children) {
		if c.ike == s {
			m.removeChild(t, c)
		}
	}
	m.fade(s, t.now)
	s.tasks = append(s.tasks, &deleteIKE{})
	if s == m.current {
		m.session.void = t.now
		m.down(t, reason, later)
	}
}
