package ikev2

import (
	"fmt"
	"slices"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// ppkFixed is the type of a PPK_ID that is a configured name (RFC 8784 section
// 5.1).
const ppkFixed = 2

// A ppkUse is what becomes of the post-quantum pre-shared key in one attempt
// (RFC 8784).
type ppkUse struct {
	agreed bool             // both ends have said USE_PPK
	plain  [3]secret.Secret // SK_d, SK_pi and SK_pr before it was mixed in
}

// wipe overwrites the keys.
func (p *ppkUse) wipe() {
	for _, k := range p.plain {
		k.Wipe()
	}
}

// hasPPK reports whether there is one to use.
func (m *Machine) hasPPK() bool { return !m.cfg.Extensions.PPK.IsZero() }

// ppkNotify is what IKE_SA_INIT says about it.
func (m *Machine) ppkNotify() []wire.Payload {
	if !m.hasPPK() {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.UsePPK}}
}

// ppkAgreed reports whether the peer, whose IKE_SA_INIT holds list, and we
// both have one.
func (m *Machine) ppkAgreed(list []wire.Payload) bool {
	_, ok := wire.FindNotify(list, wire.UsePPK)
	return ok && m.hasPPK()
}

// ppkMissing is in words that the peer says nothing of the PPK that we require.
func (m *Machine) ppkMissing() string {
	return fmt.Sprintf("peer has no post-quantum pre-shared key (it does not say USE_PPK), and we require the one called %q: configure it at the peer, or do not require it here", m.cfg.Extensions.PPKID)
}

// mixPPK changes SK_d, SK_pi and SK_pr of s, keeping those of before.
func (m *Machine) mixPPK(s *sa) error {
	for i, k := range []*secret.Secret{&s.keys.D, &s.keys.Pi, &s.keys.Pr} {
		mixed, err := suite.MixPPK(s.suite.PRF, m.cfg.Extensions.PPK, *k)
		if err != nil {
			return err
		}
		s.shake.ppk.plain[i], *k = *k, mixed
	}
	s.ext.ppk = true
	return nil
}

// unmixPPK goes back to the keys of before.
func (s *sa) unmixPPK() {
	for i, k := range []*secret.Secret{&s.keys.D, &s.keys.Pi, &s.keys.Pr} {
		k.Wipe()
		*k, s.shake.ppk.plain[i] = s.shake.ppk.plain[i], secret.Secret{}
	}
	s.ext.ppk = false
}

// ppkProof is what our IKE_AUTH request says about the PPK, which takes part in
// all that s does afterwards. Unless we require it, the peer also gets the AUTH
// of whoever has none, in case it does not know ours. id is our identity.
func (m *Machine) ppkProof(s *sa, id *wire.ID) ([]wire.Payload, error) {
	if !s.shake.ppk.agreed {
		return nil, nil
	}
	name := append([]byte{ppkFixed}, m.cfg.Extensions.PPKID...)
	list := []wire.Payload{&wire.Notify{Type: wire.PPKIdentity, Data: name}}
	if !m.cfg.Extensions.PPKRequired {
		proof, err := m.proof(s, id)
		if err != nil {
			return nil, err
		}
		if auth, ok := wire.Find[*wire.Auth](proof); ok {
			list = append(list, &wire.Notify{Type: wire.NoPPKAuth, Data: auth.Data})
		}
	}
	return list, m.mixPPK(s)
}

// ppkAnswered takes what the peer's IKE_AUTH response says about the PPK.
func (m *Machine) ppkAnswered(s *sa, list []wire.Payload) error {
	if !s.shake.ppk.agreed {
		return nil
	}
	if _, ok := wire.FindNotify(list, wire.PPKIdentity); ok {
		return nil
	}
	if m.cfg.Extensions.PPKRequired {
		return fmt.Errorf("peer does not know the post-quantum pre-shared key %q, which we require: configure it there by the same name", m.cfg.Extensions.PPKID)
	}
	s.unmixPPK()
	return nil
}

// ppkRequested takes what the peer's IKE_AUTH request says about the PPK, and
// returns it with the AUTH that is to be verified. The error says in words what
// to change.
func (m *Machine) ppkRequested(s *sa, list []wire.Payload) ([]wire.Payload, error) {
	if s.resumes() {
		return list, nil // the PPK is in the old session's keys, see takeTicket
	}
	ours, required := m.cfg.Extensions.PPKID, m.cfg.Extensions.PPKRequired
	if !s.shake.ppk.agreed {
		if required {
			return nil, fmt.Errorf("%s", m.ppkMissing())
		}
		return list, nil
	}
	name, named := wire.FindNotify(list, wire.PPKIdentity)
	if named && string(name.Data) == string(rune(ppkFixed))+ours {
		return list, m.mixPPK(s)
	}
	without, may := wire.FindNotify(list, wire.NoPPKAuth)
	switch {
	case required && named:
		return nil, fmt.Errorf("peer calls its post-quantum pre-shared key %s, we require %q: configure the same name at both ends", ppkName(name), ours)
	case required:
		return nil, fmt.Errorf("peer names no post-quantum pre-shared key, we require %q: configure it at the peer", ours)
	case !named:
		return list, nil
	case !may:
		return nil, fmt.Errorf("peer requires the post-quantum pre-shared key %s, ours is %q: configure the same name at both ends", ppkName(name), ours)
	}
	list = slices.Clone(list)
	for i, p := range list {
		if auth, ok := p.(*wire.Auth); ok {
			list[i] = &wire.Auth{Method: auth.Method, Data: without.Data}
		}
	}
	return list, nil
}

// ppkName is the name in a PPK_IDENTITY, in words.
func ppkName(n *wire.Notify) string {
	if len(n.Data) == 0 || n.Data[0] != ppkFixed {
		return fmt.Sprintf("of a kind that is not a name (%x)", n.Data[:min(len(n.Data), 16)])
	}
	return fmt.Sprintf("%q", n.Data[1:])
}

// ppkAnswer is what our IKE_AUTH response says about the PPK.
func (s *sa) ppkAnswer() []wire.Payload {
	if !s.ext.ppk || s.resumes() {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.PPKIdentity}}
}

// orPPK completes why an AUTH is not right: another PPK makes it wrong, too.
func (m *Machine) orPPK(s *sa, err error) error {
	if err == nil || !s.ext.ppk || s.resumes() {
		return err
	}
	return fmt.Errorf("%w; or the post-quantum pre-shared key %q is another at the peer", err, m.cfg.Extensions.PPKID)
}
