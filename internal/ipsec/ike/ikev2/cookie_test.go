package ikev2

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
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

func TestCookiesAreDemandedWhileManyAttemptsAreHalfOpen(t *testing.T) {
	shared := &Shared{Cookies: NewCookies(rand.NewChaCha8([32]byte{1}))}
	var crowd []*duo
	for range calm {
		d := newDuoSharing(t, nil, shared)
		d.Step(0, ike.Initiate{})
		d.DeliverNext() // and IKE_AUTH never comes
		crowd = append(crowd, d)
	}
	if got := shared.Cookies.halfOpen.Load(); got != calm {
		t.Fatalf("got %d half open, want %d", got, calm)
	}
	d := newDuoSharing(t, nil, shared)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	if got := d.b.halfOpen(); got != 0 || !strings.Contains(d.Log.String(), "N(COOKIE)") {
		t.Errorf("got %d half open and\n%s\nwant a cookie and nothing kept", got, d.Log.String())
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Errorf("with its cookie: %v", err)
	}
	for i, d := range crowd { // they time out, come up, or their machine ends
		switch i % 3 {
		case 0:
			d.Queue = nil
			d.Cut = true
			d.Wait(31 * time.Second)
		case 1:
			d.Run()
		case 2:
			d.Step(1, ike.Close{})
		}
	}
	if got := shared.Cookies.halfOpen.Load(); got != 0 {
		t.Errorf("got %d half open when all is over, want 0", got)
	}
	d = newDuoSharing(t, nil, shared)
	d.Step(0, ike.Initiate{})
	d.Run()
	if strings.Contains(d.Log.String(), "N(COOKIE)") {
		t.Error("a cookie is demanded though nothing is half open")
	}
}
