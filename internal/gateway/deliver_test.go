package gateway

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/ike"
)

func TestMessagesFindTheirTunnel(t *testing.T) {
	here, elsewhere := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	known, stranger := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.9")
	fixed, any, moving := &running{}, &running{}, &running{}
	d := &directory{
		peers:  map[peer]*running{{here, known}: fixed, {local: here}: any},
		moving: map[spis]*running{{1, 2}: moving},
	}
	of := func(i, r uint64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, i), r)
	}
	for _, tt := range []struct {
		name          string
		local, remote netip.Addr
		data          []byte
		want          *running
	}{
		{"a known peer", here, known, of(5, 6), fixed},
		{"a known peer that says nothing", here, known, nil, fixed},
		{"a peer that moved to where another one is", here, known, of(1, 2), moving},
		{"somebody", here, stranger, of(5, 6), any},
		{"somebody who says nothing", here, stranger, nil, any},
		{"a peer that moved", here, stranger, of(1, 2), moving},
		{"a peer that moved, to another address of ours", elsewhere, stranger, of(1, 2), moving},
		{"the SPIs the other way round", elsewhere, stranger, of(2, 1), nil},
		{"somebody where nobody waits", elsewhere, stranger, of(5, 6), nil},
	} {
		got := d.find(ike.Datagram{Local: netip.AddrPortFrom(tt.local, 500), Remote: netip.AddrPortFrom(tt.remote, 500), Data: tt.data})
		if got != tt.want {
			t.Errorf("%s: got another tunnel than wanted", tt.name)
		}
	}
}

func TestMessagesForNobodyAreCountedAndCostNothing(t *testing.T) {
	g := &Gateway{}
	g.mail.Store(&directory{peers: map[peer]*running{}, moving: map[spis]*running{}})
	d := ike.Datagram{Local: netip.MustParseAddrPort("192.0.2.1:500"), Remote: netip.MustParseAddrPort("198.51.100.9:500"), Data: make([]byte, 400)}
	if got := testing.AllocsPerRun(100, func() { g.deliver(nil, d) }); got != 0 {
		t.Errorf("got %v allocations for each, want none", got)
	}
	st := g.Status()
	if st.Strangers != 101 || st.StrangerFrom != d.Remote.Addr() {
		t.Errorf("got %d, the last from %v, want 101 from %v", st.Strangers, st.StrangerFrom, d.Remote.Addr())
	}
}
