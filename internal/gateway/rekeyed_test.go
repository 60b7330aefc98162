package gateway

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// TestPeerThatMovesAfterARekeyIsKnown looks for the tunnel of a message that
// comes from elsewhere with the SPIs of a rekeyed IKE SA.
func TestPeerThatMovesAfterARekeyIsKnown(t *testing.T) {
	customer, cloud := pair()
	customer.Interface, customer.Inside = "tun9", prefix("169.254.11.1/30")
	customer.Routes, cloud.Routes = nil, nil
	// The cloud's gateway looks at its tunnels only when one of them says that
	// something has changed.
	here, err := New(Config{Name: "cloud", Tunnels: []Tunnel{cloud}}, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go here.engine.Run(t.Context())
	defer here.stopAll()
	if err := here.converge(t.Context()); err != nil {
		t.Fatal(err)
	}
	there, _, _ := run(t, Config{Name: "customer", Tunnels: []Tunnel{customer}})
	tunnel, late := here.tunnels["1"].tunnel, time.After(patience)
	before := ike.Snapshot{}
	for range 2 {
		for now := before; now.Phase != ike.Established || now.SPIi == before.SPIi; now = tunnel.State() {
			select {
			case <-here.kick:
			case <-late:
				t.Fatalf("IKE SA %x %x, before %x %x: the gateway does not hear of it", now.SPIi, now.SPIr, before.SPIi, before.SPIr)
			}
		}
		if err := here.converge(t.Context()); err != nil {
			t.Fatal(err)
		}
		before = tunnel.State()
		elsewhere := ike.Datagram{
			Local: netip.AddrPortFrom(cloud.Outside.Local, 4500), Remote: netip.MustParseAddrPort("192.0.2.9:4500"),
			Data: binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, before.SPIi), before.SPIr),
		}
		if here.mail.Load().find(elsewhere) == nil {
			t.Errorf("SPIs %x %x: got no tunnel", before.SPIi, before.SPIr)
		}
		until(t, there, "the tunnel", func(s Status) bool { return len(s.Tunnels) == 1 && s.Tunnels[0].Up })
		if err := there.RekeyIKE(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
	}
}
