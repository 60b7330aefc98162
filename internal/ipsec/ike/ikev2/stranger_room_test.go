package ikev2

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// failsToProve has somebody at the given address who has another key go as far
// with b as he can.
func (d *duo) failsToProve(t *testing.T, i int, from netip.AddrPort) {
	t.Helper()
	c := testConfig(0)
	c.Local, c.Auth.PSK = from, secret.FromString(fmt.Sprint("guess", i))
	stranger, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out ike.Outputs
	if err := stranger.Step(d.Now, ike.Initiate{}, &out); err != nil {
		t.Fatal(err)
	}
	for len(out.Datagrams) > 0 {
		queue := out.Datagrams
		out.Reset()
		for _, g := range queue {
			var answer ike.Outputs
			if err := d.b.Step(d.Now, ike.Datagram{Local: g.Remote, Remote: from, Data: g.Data}, &answer); err != nil {
				t.Fatal(err)
			}
			for _, g := range answer.Datagrams {
				if err := stranger.Step(d.Now, ike.Datagram{Local: from, Remote: g.Local, Data: g.Data}, &out); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	d.Now = d.Now.Add(100 * time.Millisecond)
}

// TestStrangersWhoFailToProveThemselvesTakeNoRoom: what is remembered of them
// to repeat an answer must neither keep the peer from a rekey nor push out an SA
// that the peer still deletes.
func TestStrangersWhoFailToProveThemselvesTakeNoRoom(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) { open(a, b) })
	for i := range 2 * maxSAs {
		d.failsToProve(t, i, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 500))
	}
	if len(d.b.sas) > maxSAs || d.b.State().Phase != ike.Established {
		t.Fatalf("got %d SAs, %v, want at most %d and established", len(d.b.sas), d.b.State().Phase, maxSAs)
	}
	d.Step(0, ike.RekeyIKE{})
	d.DeliverNext() // the request
	d.DeliverNext() // the answer
	if d.a.State().Rekeys != 1 || d.b.State().Rekeys != 1 {
		t.Fatalf("got %d and %d rekeys, want 1 at both ends", d.a.State().Rekeys, d.b.State().Rekeys)
	}
	before := d.b.sas[0]
	if before.state != fading {
		t.Fatalf("the SA of before is %v, want fading", before.state)
	}
	for i := range maxSAs {
		d.failsToProve(t, i, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 500))
	}
	if before.state != fading {
		t.Errorf("the SA that the peer is about to delete is %v, want fading", before.state)
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}
