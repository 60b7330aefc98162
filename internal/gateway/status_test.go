package gateway

import (
	"slices"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

func TestStatusNamesWeakAlgorithms(t *testing.T) {
	gcm := suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: 20}
	for _, tt := range []struct {
		name       string
		ike        suite.IKE
		auth       string
		esp        suite.ESP
		weak, less []string // of IKE and of the CHILD SA
	}{
		{name: "nothing", ike: gcm, auth: "PSK", esp: suite.ESP{Encr: suite.AESGCM16, KeyBits: 256, Group: 20}},
		{
			name: "AWS's lowest", auth: "PSK",
			ike:  suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 2},
			esp:  suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA1, Group: 5},
			weak: []string{"DH2", "SHA1"}, less: []string{"DH5", "SHA1"},
		},
		{name: "a signature", ike: gcm, auth: "RSA-SHA1", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"SHA1"}},
		{name: "a key", ike: gcm, auth: "RSA-SHA2-256, peer RSA-SHA2-256 (1024 bits, weak)", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"RSA below 2048 bits"}},
		{name: "a key and a signature", ike: gcm, auth: "RSA-SHA1 (1024 bits, weak)", esp: suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256}, weak: []string{"SHA1", "RSA below 2048 bits"}},
		{name: "a PRF", ike: suite.IKE{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA1, Group: 24}, weak: []string{"DH24", "SHA1"}},
	} {
		st, child := describe(ike.Snapshot{Phase: ike.Established, Suite: tt.ike, Auth: tt.auth, Child: &ike.ChildSnapshot{Suite: tt.esp}})
		if !slices.Equal(st.Weak, tt.weak) || !slices.Equal(child.Weak, tt.less) {
			t.Errorf("%s: got %v and %v, want %v and %v", tt.name, st.Weak, child.Weak, tt.weak, tt.less)
		}
	}
}

// TestStatusTellsWhenATunnelWasDown has a gateway talk to itself, and starts one
// end anew.
func TestStatusTellsWhenATunnelWasDown(t *testing.T) {
	customer, cloud := pair()
	customer.ID, customer.Interface, customer.Inside = "mine", "tun7", prefix("169.254.17.2/30")
	cloud.ID, cloud.Routes, customer.Routes = "theirs", nil, nil
	// Both ends of an SA are in one gateway here, and have the same SPIs: a peer
	// that may move is known by these.
	cloud.Extensions.NoMOBIKE, customer.Extensions.NoMOBIKE = true, true
	cfg := Config{Name: "both", Tunnels: []Tunnel{cloud, customer}}
	g, _, _ := run(t, cfg)
	st := until(t, g, "the tunnel", bothUp)
	if got := st.Tunnels[1]; len(got.Downs) != 0 || !got.Initiate || got.Dead != (DeadStatus{AfterSeconds: 30, Action: "restart"}) {
		t.Errorf("at first: got %+v, initiate %v, dead %+v, want none, true, 30 s and restart", got.Downs, got.Initiate, got.Dead)
	}
	if got := st.Tunnels[0].Child; !slices.Equal(got.LocalTS, []string{"0.0.0.0/0"}) || !slices.Equal(got.RemoteTS, []string{"0.0.0.0/0"}) {
		t.Errorf("traffic selectors: got %v and %v, want 0.0.0.0/0", got.LocalTS, got.RemoteTS)
	}
	cfg.Tunnels = slices.Clone(cfg.Tunnels)
	cfg.Tunnels[0].ReplayWindow = 64
	if err := g.Set(cfg); err != nil {
		t.Fatal(err)
	}
	st = until(t, g, "the tunnel up again", func(s Status) bool { return bothUp(s) && len(s.Tunnels[1].Downs) > 0 })
	if d := st.Tunnels[1].Downs[0]; d.At.IsZero() || d.Seconds <= 0 || d.Reason == "" {
		t.Errorf("got %+v, want when, for how long and why", d)
	}
}

// bothUp reports whether two tunnels are up.
func bothUp(s Status) bool { return len(s.Tunnels) == 2 && s.Tunnels[0].Up && s.Tunnels[1].Up }
