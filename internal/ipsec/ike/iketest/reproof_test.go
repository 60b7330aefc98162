package iketest

import (
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/secret"
)

// TestARestartLooksAtThePeersCertificateAgain kills an end and has it go on with
// another certificate of its own, and with another idea of whom to trust.
func TestARestartLooksAtThePeersCertificateAgain(t *testing.T) {
	for _, tt := range []struct{ name, proof, want string }{
		{"another certificate of ours", "ed25519", ""},
		{"the peer was revoked meanwhile", "ecdsa256+denies", `the peer C=XX, O=Example, CN=a is not believed any more: certificate "C=XX, O=Example, CN=a" was revoked`},
	} {
		n, err := makePair([]string{"auth=ecdsa256", "a.flag=restart"})
		if err != nil {
			t.Fatal(err)
		}
		n.Step(0, ike.Initiate{})
		n.Run()
		c := setup{Config: config(1, 7)}
		if err := setAuth(&c, 1, tt.proof); err != nil {
			t.Fatal(err)
		}
		_, err = ikev2.Restore(c.Config, nil, n.Now, n.Ends[1].Kept)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestARestartedEndStillKnowsThePeersCertificates: whom it trusts may change
// only then.
func TestARestartedEndStillKnowsThePeersCertificates(t *testing.T) {
	n, err := makePair([]string{"auth=ecdsa256", "a.flag=restart"})
	if err != nil {
		t.Fatal(err)
	}
	n.Step(0, ike.Initiate{})
	n.Run()
	n.Revive = func(i int, state secret.Secret) (Machine, error) {
		c := setup{Config: config(i, 7)}
		if err := setAuth(&c, i, "ecdsa256"); err != nil {
			return nil, err
		}
		return ikev2.Restore(c.Config, nil, n.Now, state)
	}
	n.Restart(1)
	n.Run()
	// The list names somebody else too now, so it is another one.
	for _, step := range []struct {
		proof string
		phase ike.Phase
	}{{"ecdsa256", ike.Established}, {"ecdsa256+denies", ike.Idle}} {
		if err := n.Extra(n, []string{"b", "proof", step.proof}); err != nil {
			t.Fatal(err)
		}
		n.Run()
		if got := n.Ends[1].Machine.State().Phase; got != step.phase || n.Err() != nil {
			t.Errorf("%s: got %v, %v, want %v", step.proof, got, n.Err(), step.phase)
		}
	}
}
