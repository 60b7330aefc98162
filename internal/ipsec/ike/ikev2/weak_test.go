package ikev2

import (
	"testing"

	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

func TestStateMarksAWeakKeyOfEitherEnd(t *testing.T) {
	ca, err := iketest.NewAuthority("test", begin)
	if err != nil {
		t.Fatal(err)
	}
	d := upDuo(t, func(a, b *policy.Config) {
		for _, end := range []struct {
			c          *policy.Config
			name, kind string
		}{{a, "a", "rsa"}, {b, "b", "rsa1024"}} {
			end.c.Auth.PSK = secret.Secret{}
			if end.c.Auth.Credential, err = ca.Credential(end.name, end.kind, nil); err != nil {
				t.Fatal(err)
			}
			if end.c.Auth.Trust, err = ca.WeakTrust(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got, want := d.a.State().Auth, "RSA-SHA2-256, peer RSA-SHA2-256 (1024 bits, weak)"; got != want {
		t.Errorf("a: got %q, want %q", got, want)
	}
	if got, want := d.b.State().Auth, "RSA-SHA2-256 (1024 bits, weak), peer RSA-SHA2-256"; got != want {
		t.Errorf("b: got %q, want %q", got, want)
	}
}
