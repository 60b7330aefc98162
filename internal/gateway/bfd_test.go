package gateway

import (
	"strings"
	"testing"
	"time"

	"seikan/internal/routing/bfd"
)

// TestBFDCutsWhatItHasSeenFail: RFC 5882 would not have a peer without BFD, or
// one that ended it on purpose, lose its routes.
func TestBFDCutsWhatItHasSeenFail(t *testing.T) {
	failed := time.Unix(1000, 0)
	for _, tt := range []struct {
		name        string
		status      bfd.Status
		established time.Time // of BGP; zero: not
		want        bool
	}{
		{"the peer has no BFD", bfd.Status{State: bfd.Down}, failed, false},
		{"it is up", bfd.Status{State: bfd.Up}, failed.Add(-time.Hour), false},
		{"it failed and was ended on purpose then", bfd.Status{State: bfd.Down}, failed.Add(-time.Hour), false},
		{"it failed under the session", bfd.Status{State: bfd.Down, Failed: failed}, failed.Add(-time.Hour), true},
		{"it comes up again", bfd.Status{State: bfd.Init, Failed: failed}, failed.Add(-time.Hour), true},
		{"it failed, and the session too", bfd.Status{State: bfd.Down, Failed: failed}, time.Time{}, true},
		{"the peer is back, without BFD", bfd.Status{State: bfd.Down, Failed: failed}, failed.Add(time.Minute), false},
	} {
		if got := cut(tt.status, tt.established); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestBFDIsOfASession(t *testing.T) {
	cfg := dynamic()
	cfg.Tunnels[0].BGP.BFD = BFD{Interval: 300 * time.Millisecond, Multiplier: 3}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.Tunnels[0].BGP.BFD.Multiplier = 0
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "tunnel 1: BGP.BFD: field Multiplier 0: 2 to 50") {
		t.Errorf("got %v", err)
	}
	cfg.Tunnels[0].BGP = Session{BFD: BFD{Interval: time.Second, Multiplier: 3}}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "BGP.PeerASN: missing") {
		t.Errorf("without a session: got %v", err)
	}
}

// TestBFDComesAndGoesWithItsOption over a TUN that nobody answers at.
func TestBFDComesAndGoesWithItsOption(t *testing.T) {
	g, _, stop := run(t, dynamic())
	until(t, g, "both tunnels and BGP", func(s Status) bool { return runs(s) && s.BGP != nil })
	cfg := dynamic()
	cfg.Tunnels[0].BGP.BFD = BFD{Interval: 300 * time.Millisecond, Multiplier: 3}
	if _, err := g.Change(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s := g.Status()
	if b := s.BGP.Peers[0].BFD; b == nil || b.State != "Down" || b.Cut || b.TransmitMillis != 1000 || s.BGP.Peers[1].BFD != nil {
		t.Errorf("got %+v and %+v, want one session, down, and nothing cut", b, s.BGP.Peers[1].BFD)
	}
	if _, err := g.Change(t.Context(), dynamic()); err != nil {
		t.Fatal(err)
	}
	if s := g.Status(); s.BGP.Peers[0].BFD != nil {
		t.Errorf("got %+v, want none", s.BGP.Peers[0].BFD)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
