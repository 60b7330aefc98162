package iketest

import (
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// cut gives the oldest datagram on the wire to the other end in fragments, each
// of them in as many fragments again as depth says.
func cut(t *testing.T, n *Net, depth int) {
	t.Helper()
	p := n.Queue[0]
	n.Queue = n.Queue[1:]
	h, _, err := ike.ParseHeader(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	list := [][]byte{p.Data}
	for level := range depth {
		var smaller [][]byte
		for i, one := range list {
			out, err := wire.Split(h, uint16(100*level+i), one, len(one)*3/4+36)
			if err != nil {
				t.Fatal(err)
			}
			smaller = append(smaller, out...)
		}
		list = smaller
	}
	for _, one := range list {
		p.Data = one
		n.Deliver(p)
	}
}

func TestV1FragmentsAreTakenWhereTheyWereAgreed(t *testing.T) {
	certs := "version=1 auth=rsa a.peer=C=XX,O=Example,CN=b b.peer=@a.example a.id=@a.example fragment=1280"
	for _, c := range []struct {
		name, pair string
		before     int // datagrams that come whole
		depth      int
		want       bool
	}{
		{"message 3", certs, 2, 1, true},
		{"message 4", certs, 3, 1, true},
		{"message 5", certs, 4, 1, true},
		{"message 1, which has no cookie of the peer", certs, 0, 1, false},
		{"fragments of fragments", certs, 2, 2, false},
		{"pre-shared keys", "version=1 fragment=1280", 2, 1, false},
		{"turned off", certs + " b.fragment=-1", 2, 1, false},
	} {
		n, err := makePair(strings.Fields(c.pair))
		if err != nil {
			t.Fatal(err)
		}
		n.Step(0, ike.Initiate{})
		for range c.before {
			n.DeliverNext()
		}
		cut(t, n, c.depth)
		if got := len(n.Queue) > 0; got != c.want || n.Err() != nil {
			t.Errorf("%s: got an answer %v, %v, want %v", c.name, got, n.Err(), c.want)
		}
	}
}
