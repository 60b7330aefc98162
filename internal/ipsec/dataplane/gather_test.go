package dataplane

import (
	"net/netip"
	"testing"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
)

func TestOnlyAnswersToProbesAreGathered(t *testing.T) {
	request := ike.Header{SPIi: 1, SPIr: 2, Version: 0x20, Exchange: informational, Flags: ike.FlagInitiator}
	answer, other := request, request
	answer.Flags = ike.FlagResponse
	other.Exchange, other.Flags = 35, ike.FlagResponse // IKE_AUTH
	for _, tt := range []struct {
		name string
		kind udp.Kind
		data []byte
		want bool
	}{
		{"answer", udp.IKE, answer.Append(nil, ike.HeaderLen), true},
		{"request", udp.IKE, request.Append(nil, ike.HeaderLen), false},
		{"answer of another exchange", udp.IKE, other.Append(nil, ike.HeaderLen), false},
		{"something short", udp.IKE, make([]byte, ike.HeaderLen-1), false},
		{"answer where ESP comes, too", udp.NAT, answer.Append(nil, ike.HeaderLen), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := outsideAt(t, "127.0.0.1"), outsideAt(t, "127.0.0.2")
			fromPort, toPort := from.Ports().IKE, to.Ports().IKE
			if tt.kind == udp.NAT {
				fromPort, toPort = from.Ports().NAT, to.Ports().NAT
			}
			r := newReceiver(newOutside(New(Config{}), to), to.Socket(tt.kind))
			d := ike.Datagram{Local: netip.AddrPortFrom(from.Addr(), fromPort), Remote: netip.AddrPortFrom(to.Addr(), toPort), Data: tt.data}
			if err := from.SendIKE(d); err != nil {
				t.Fatal(err)
			}
			if err := r.step(); err != nil {
				t.Fatal(err)
			}
			if r.patient != tt.want {
				t.Errorf("got patient %v, want %v", r.patient, tt.want)
			}
		})
	}
}

// outsideAt is the sockets of addr, on ports that the kernel chooses.
func outsideAt(t *testing.T, addr string) *udp.Outside {
	t.Helper()
	out, err := udp.Listen(netip.MustParseAddr(addr), udp.Ports{}, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out
}
