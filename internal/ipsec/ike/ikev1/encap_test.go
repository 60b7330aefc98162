package ikev1

import (
	"bytes"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/policy"
)

// rewritten is a duo of whose message number i of main mode the last octet was
// changed under way, which is in what its sender says of its own address: its
// receiver sees a NAT, and the other end does not.
func rewritten(t *testing.T, i int) *duo {
	t.Helper()
	d := newDuo(t, func(a, _ *policy.Config) { a.Restart = true })
	d.Step(0, ike.Initiate{})
	for range i - 1 {
		d.DeliverNext()
	}
	data := bytes.Clone(d.Queue[0].Data)
	data[len(data)-1] ^= 1
	d.Queue[0].Data = data
	d.Run()
	return d
}

func TestEndsThatDisagreeOnANATGetATunnelAllTheSame(t *testing.T) {
	for _, c := range []struct {
		name    string
		message int
		want    bool // ESP in UDP
	}{
		{"only the responder sees one", 3, false},
		{"only the initiator sees one", 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := rewritten(t, c.message)
			for range 2 {
				if err := d.Traffic(); err != nil {
					t.Fatalf("%v\n%s", err, d.Log.String())
				}
				for _, e := range d.Ends {
					if e.Outbound.Encap != c.want {
						t.Errorf("%s: in UDP: got %v, want %v", e.Name, e.Outbound.Encap, c.want)
					}
				}
				d.Step(1, ike.RekeyChild{}) // the responder of the first offers what was agreed
				d.Run()
			}
			if got := d.b.State().Rekeys + d.a.State().Rekeys; got == 0 {
				t.Error("the rekey did not happen")
			}
		})
	}
}

// at is p with other ports at both ends.
func at(p iketest.Packet, port uint16) iketest.Packet {
	p.Local = netip.AddrPortFrom(p.Local.Addr(), port)
	p.Remote = netip.AddrPortFrom(p.Remote.Addr(), port)
	return p
}

// Whoever changes what the responder says of its address may also change where the
// initiator's next message goes, so that the responder sees later that it has moved
// to port 4500; and nobody has it move back.
func TestAMoveToPort4500MayBeSeenLate(t *testing.T) {
	d := newDuo(t, func(a, _ *policy.Config) { a.Restart = true })
	d.Step(0, ike.Initiate{})
	for range 3 {
		d.DeliverNext()
	}
	d.Queue[0].Data = bytes.Clone(d.Queue[0].Data)
	d.Queue[0].Data[len(d.Queue[0].Data)-1] ^= 1
	d.DeliverNext()
	if got := d.Queue[0].Remote.Port(); got != 4500 {
		t.Fatalf("message 5: got port %d, want 4500", got)
	}
	d.Queue[0] = at(d.Queue[0], 500)
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatalf("%v\n%s", err, d.Log.String())
	}
	d.Step(1, ike.RekeyChild{})
	d.Queue[0] = at(d.Queue[0], 500)
	d.DeliverNext()
	for _, m := range []*Machine{d.a, d.b} {
		if s := m.State(); s.Local.Port() != 4500 || s.Remote.Port() != 4500 {
			t.Errorf("got %v and %v, want port 4500", s.Local, s.Remote)
		}
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Errorf("%v\n%s", err, d.Log.String())
	}
}
