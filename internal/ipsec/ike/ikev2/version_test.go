package ikev2

import (
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
)

func TestPeerThatBeginsWithIKEv1IsToldOfInWordsAndNotAnswered(t *testing.T) {
	d := newDuo(t, nil)
	h := ike.Header{SPIi: 5, Version: 0x10, Exchange: 2} // main mode
	for range 3 {
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	}
	if got := strings.Count(d.Log.String(), "notice: negotiation failed reason=\"peer begins with IKEv1, we allow IKEv2 only"); got != 1 {
		t.Errorf("got it %d times in\n%s\nwant it once", got, d.Log.String())
	}
	if len(d.Sent) != 0 {
		t.Errorf("got %d answers, want none", len(d.Sent))
	}
	if got := d.b.State(); !strings.Contains(got.Reason, "IKEVersions") {
		t.Errorf("reason: got %q, want the option to change", got.Reason)
	}
}
