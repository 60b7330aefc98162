package bgp

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestIPv6BetweenTwoSpeakers exchanges IPv6 prefixes over a session between IPv6
// addresses, and changes what is announced.
func TestIPv6BetweenTwoSpeakers(t *testing.T) {
	for _, a := range []string{"fd00::1/128", "fd00::2/128"} {
		if out, err := exec.Command("ip", "address", "add", a, "dev", "lo", "nodad").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", a, err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "address", "del", a, "dev", "lo").Run() })
	}
	one, two := addr("fd00::1"), addr("fd00::2")
	a, b := at(64512, "127.6.0.1"), at(65000, "127.6.0.2")
	a.Listen, b.Listen = []netip.Addr{one}, []netip.Addr{two}
	a.Peers = []Peer{{Name: "b", Local: one, Remote: two, ASN: 65000, Announce: list("2001:db8:a::/48", "2001:db8:b::/48", "::/0", "fe80::/64"), MED: 50, Prepend: 1, MaxPrefixes: 100}}
	b.Peers = []Peer{{Name: "a", Local: two, Remote: one, ASN: 64512, Announce: list("2001:db8:1::/48")}}
	both := run(t, a, b)
	got := both[1].until(t, "a", "two prefixes", func(p PeerStatus) bool { return p.Established && p.Accepted == 2 && p.Received == 4 })
	if !slices.Equal(got.prefixes(), []string{"2001:db8:a::/48", "2001:db8:b::/48"}) {
		t.Errorf("got %v", got.prefixes())
	}
	for _, r := range got.Routes {
		want := map[string]string{"::/0": DefaultRefused, "fe80::/64": "martian prefix"}[r.Prefix.String()]
		if r.NextHop != one || !slices.Equal(r.ASPath, []uint32{64512, 64512}) || r.MED != 50 || r.Refused != want {
			t.Errorf("got %+v, want next hop fd00::1, the path 64512 64512, MED 50, refused %q", r, want)
		}
	}
	both[0].until(t, "b", "one prefix", func(p PeerStatus) bool { return p.Accepted == 1 && p.Announced == 4 })

	b.Peers[0].AcceptDefault = true
	both[1].set(t, b)
	a.Peers[0].Announce = list("2001:db8:b::/48", "2001:db8:c::/48", "::/0")
	both[0].set(t, a)
	got = both[1].until(t, "a", "three others", func(p PeerStatus) bool {
		return slices.Equal(p.prefixes(), []string{"::/0", "2001:db8:b::/48", "2001:db8:c::/48"})
	})
	if !got.Established {
		t.Errorf("got %+v, want the session still", got)
	}

	// What others announce is passed on with their path.
	a.Relayed = []Relayed{{prefix("2001:db8:c::/48"), []uint32{65002}}}
	both[0].set(t, a)
	both[1].until(t, "a", "the path of what is passed on", func(p PeerStatus) bool {
		at := slices.IndexFunc(p.Routes, func(r Route) bool { return r.Prefix == prefix("2001:db8:c::/48") })
		return at >= 0 && slices.Equal(p.Routes[at].ASPath, []uint32{64512, 64512, 65002}) && p.Routes[at].NextHop == one
	})
}

func TestFamiliesDoNotMix(t *testing.T) {
	cfg := Config{ASN: 64512, RouterID: addr("127.0.0.1"), Peers: []Peer{{Name: "b", Local: addr("fd00::1"), Remote: addr("127.0.0.2"), ASN: 65000}}}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "two addresses of one family are wanted") {
		t.Errorf("got %v", err)
	}
	cfg.Peers[0].Remote = addr("fd00::2")
	cfg.Peers[0].Announce = list("10.0.0.0/8")
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "field Announce 10.0.0.0/8: a prefix of the session's family") {
		t.Errorf("got %v", err)
	}
}
