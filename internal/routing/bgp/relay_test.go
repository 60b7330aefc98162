package bgp

import (
	"fmt"
	"strings"
	"testing"
)

// A hub passes on to each site what it has of the other, with the path, and a site
// with the number of another hears nothing of that one's.
func TestAHubPassesOnWhatItIsTold(t *testing.T) {
	hub, a, b := at(64512, "127.0.0.1"), at(65001, "127.0.0.2"), at(65002, "127.0.0.3")
	for _, site := range []*Config{&a, &b} {
		site.Peers = []Peer{{Name: "hub", Local: site.RouterID, Remote: hub.RouterID, ASN: hub.ASN}}
		hub.Peers = append(hub.Peers, Peer{Name: site.RouterID.String(), Local: hub.RouterID, Remote: site.RouterID, ASN: site.ASN,
			Announce: list("10.0.0.0/16", "192.168.1.0/24", "192.168.2.0/24")})
	}
	hub.Relayed = []Relayed{{prefix("192.168.1.0/24"), []uint32{65001}}, {prefix("192.168.2.0/24"), []uint32{65002, 65003}}}
	all := run(t, hub, a, b)
	routes := func(want string) func(PeerStatus) bool {
		return func(p PeerStatus) bool {
			var got []string
			for _, r := range p.Routes {
				got = append(got, fmt.Sprintf("%v %v %v", r.Prefix, r.ASPath, r.NextHop))
			}
			return p.Established && strings.Join(got, "; ") == want
		}
	}
	all[1].until(t, "hub", "the VPC's and the other site's", routes("10.0.0.0/16 [64512] 127.0.0.1; 192.168.2.0/24 [64512 65002 65003] 127.0.0.1"))
	all[2].until(t, "hub", "the VPC's and the other site's", routes("10.0.0.0/16 [64512] 127.0.0.1; 192.168.1.0/24 [64512 65001] 127.0.0.1"))

	// Another path is told, and what is gone is withdrawn, on the same session.
	hub.Relayed = []Relayed{{prefix("192.168.2.0/24"), []uint32{65002}}}
	for i := range hub.Peers {
		hub.Peers[i].Announce = list("10.0.0.0/16", "192.168.2.0/24")
	}
	since := all[1].peer("hub").Since
	all[0].set(t, hub)
	all[1].until(t, "hub", "the shorter path", routes("10.0.0.0/16 [64512] 127.0.0.1; 192.168.2.0/24 [64512 65002] 127.0.0.1"))
	all[2].until(t, "hub", "the withdrawal", routes("10.0.0.0/16 [64512] 127.0.0.1"))
	if now := all[1].peer("hub").Since; now != since {
		t.Errorf("the session: got a new one at %v, want that of %v", now, since)
	}
}

func TestWhatIsRelayedIsChecked(t *testing.T) {
	for want, relayed := range map[string][]Relayed{
		"192.168.1.1/24":       {{prefix("192.168.1.1/24"), nil}},
		"our own ASN 64512":    {{prefix("192.168.1.0/24"), []uint32{65001, 64512}}},
		"stands there twice":   {{prefix("192.168.1.0/24"), nil}, {prefix("192.168.1.0/24"), nil}},
		"a prefix of IPv4 or ": {{prefix("fd00::1/64"), nil}},
	} {
		cfg := at(64512, "127.0.0.1")
		cfg.Relayed = relayed
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want an error with %q", relayed, err, want)
		}
	}
}
