package ikev2

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestCookiesBindAddressSPIAndNonce(t *testing.T) {
	c := NewCookies(rand.NewChaCha8([32]byte{1}))
	claim := cookieClaim{netip.MustParseAddrPort("198.51.100.2:500"), 7, []byte("nonce")}
	got, err := c.make(begin, claim)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > 64 {
		t.Errorf("got %d octets, want at most 64", len(got))
	}
	other := []cookieClaim{
		{netip.MustParseAddrPort("198.51.100.3:500"), 7, []byte("nonce")},
		{netip.MustParseAddrPort("198.51.100.2:501"), 7, []byte("nonce")},
		{claim.remote, 8, []byte("nonce")},
		{claim.remote, 7, []byte("Nonce")},
	}
	for _, o := range other {
		if c.valid(begin, o, got) {
			t.Errorf("valid for %+v, made for %+v", o, claim)
		}
	}
	for _, at := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {59 * time.Second, true}, {61 * time.Second, true}, {2*cookieSecretLife + time.Second, false}} {
		if v := c.valid(begin.Add(at.after), claim, got); v != at.want {
			t.Errorf("after %v: got valid %v, want %v", at.after, v, at.want)
		}
	}
	if c.valid(begin, claim, nil) || c.valid(begin, claim, got[:10]) {
		t.Error("a cut cookie is valid")
	}
}
