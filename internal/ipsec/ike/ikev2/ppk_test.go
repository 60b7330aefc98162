package ikev2

import (
	"bytes"
	"slices"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// withPPK gives both ends the same.
func withPPK(a, b *policy.Config) {
	for _, c := range []*policy.Config{a, b} {
		c.Extensions.PPK, c.Extensions.PPKID = secret.FromString("Thirty-two.octets.at.least.they.say"), "one"
	}
}

func TestPPKTakesPartInAllThatFollows(t *testing.T) {
	d := newDuo(t, withPPK)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	plain := d.b.sas[0].keys.D.Reveal()
	without := bytes.Clone(plain)
	d.Run()
	if got := d.b.current.keys.D.Reveal(); bytes.Equal(got, without) {
		t.Error("got the SK_d of before")
	}
	if !slices.Contains(d.a.State().Extensions, "PPK") || !slices.Contains(d.b.State().Extensions, "PPK") {
		t.Errorf("got extensions %v and %v, want PPK in both", d.a.State().Extensions, d.b.State().Extensions)
	}
	d.Step(1, ike.RekeyIKE{})
	d.Run()
	if got := d.a.State().Extensions; !slices.Contains(got, "PPK") || d.Traffic() != nil {
		t.Errorf("got extensions %v, %v after a rekey, want PPK still", got, d.Traffic())
	}
}

func TestPPKThatOneEndLacksLeavesNoTrace(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) { withPPK(a, a) })
	if got := d.a.State().Extensions; slices.Contains(got, "PPK") {
		t.Errorf("got extensions %v, want no PPK", got)
	}
}

func TestPPKOfAnotherKindIsNotOurs(t *testing.T) {
	for name, data := range map[string][]byte{
		"opaque": append([]byte{1}, "one"...), "no kind": []byte("one"), "empty": nil, "longer": append([]byte{ppkFixed}, "one more"...),
	} {
		d := newDuo(t, func(a, b *policy.Config) { withPPK(a, b); b.Extensions.PPKRequired = true })
		s := &sa{shake: &handshake{ppk: ppkUse{agreed: true}}}
		list := []wire.Payload{&wire.Notify{Type: wire.PPKIdentity, Data: data}}
		if _, err := d.b.ppkRequested(s, list); err == nil || s.ext.ppk {
			t.Errorf("%s: got %v, want it refused in words", name, err)
		}
	}
}

// TestSessionWithARequiredPPKIsTakenUpAgain: its keys have the PPK in them, so
// that nothing is said of it anew.
func TestSessionWithARequiredPPKIsTakenUpAgain(t *testing.T) {
	d := newDuo(t, func(a, b *policy.Config) {
		withPPK(a, b)
		withTickets(a, b)
		a.Extensions.PPKRequired, b.Extensions.PPKRequired = true, true
	})
	loseSession(t, d)
	d.Step(0, ike.Initiate{})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Machine{d.a, d.b} {
		if got := m.State().Extensions; !slices.Contains(got, "PPK") || !slices.Contains(got, "resumed") {
			t.Errorf("got extensions %v, want PPK and resumed", got)
		}
	}
}
