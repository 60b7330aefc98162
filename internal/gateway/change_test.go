package gateway

import (
	"context"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"seikan/internal/secret"
)

func TestAChangeSaysWhatBecameOfEachTunnel(t *testing.T) {
	old := dynamic()
	old.Tunnels = append(old.Tunnels, old.Tunnels[0])
	old.Tunnels[2].ID = "3"
	certified := old.Tunnels[0]
	certified.ID, certified.PSK = "5", secret.Secret{}
	certified.Certificates = Certificates{Own: []byte("ours"), Key: secret.FromString("its key"), CA: []byte("whom we believe")}
	old.Tunnels = append(old.Tunnels, certified)
	certified.Certificates.Key, certified.Certificates.CRL = secret.FromString("another key"), []byte("a list")
	cfg := dynamic()
	cfg.BGP.Announce = nil
	cfg.Tunnels[0].PSK = secret.FromString("AnotherKey_0123456789")
	cfg.Tunnels[0].Lifetime.Phase2 = time.Hour
	cfg.Tunnels[0].Certificates.CRL = []byte("a newer list")
	cfg.Tunnels[1].BGP.MED = 7
	cfg.Tunnels[1].SourceNAT = true
	another := cfg.Tunnels[1]
	another.ID = "4"
	cfg.Tunnels = append(cfg.Tunnels, certified, another)
	want := []Change{
		{What: Changed, Fields: []string{"BGP.Announce"}},
		{Tunnel: "1", What: Rebuilt, Fields: []string{"PSK", "Certificates.CRL", "Lifetime.Phase2"}},
		{Tunnel: "2", What: Changed, Fields: []string{"SourceNAT", "BGP.MED"}},
		{Tunnel: "5", What: Changed, Fields: []string{"Certificates.Key", "Certificates.CRL"}},
		{Tunnel: "4", What: Added},
		{Tunnel: "3", What: Removed},
	}
	if got := compare(old, cfg); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, c := range compare(old, old) {
		if c.What != Unchanged || c.Fields != nil {
			t.Errorf("nothing changed: got %+v", c)
		}
	}
}

func TestAChangeIsInForceWhenItIsAnswered(t *testing.T) {
	g, _, stop := run(t, dynamic())
	until(t, g, "both tunnels", runs)
	cfg := dynamic()
	cfg.Tunnels = cfg.Tunnels[1:]
	changes, err := g.Change(t.Context(), cfg)
	if err != nil || len(changes) != 2 || changes[0].What != Unchanged || changes[1].What != Removed {
		t.Errorf("got %+v, %v", changes, err)
	}
	if s := g.Status(); len(s.Tunnels) != 1 || s.Tunnels[0].ID != "2" {
		t.Errorf("got %+v, want tunnel 2 alone", s.Tunnels)
	}
	wrong := cfg
	wrong.BGP.ASN = 0
	if _, err := g.Change(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "BGP.ASN") {
		t.Errorf("a wrong one: got %v", err)
	}
	// What cannot start is told, and the rest is in force.
	cfg = dynamic()
	cfg.Tunnels[0].Interface = "lo"
	changes, err = g.Change(t.Context(), cfg)
	if err != nil || changes[0].What != Added || changes[0].Failed == "" || changes[1].What != Unchanged {
		t.Errorf("a TUN that cannot be: got %+v, %v", changes, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Change(ctx, cfg); err == nil || !strings.Contains(err.Error(), "not all of it in force") {
		t.Errorf("a gateway that does not run: got %v", err)
	}
}

// TestRouterIDOutlivesItsTunnel: with another one every session would begin
// anew, those of untouched tunnels too.
func TestRouterIDOutlivesItsTunnel(t *testing.T) {
	cfg := dynamic()
	first, second := cfg.Tunnels[0].Inside.Addr(), cfg.Tunnels[1].Inside.Addr()
	if got := cfg.routerID(netip.Addr{}); got != first {
		t.Errorf("at first: got %v, want %v", got, first)
	}
	cfg.Tunnels = cfg.Tunnels[1:]
	if got := cfg.routerID(first); got != first {
		t.Errorf("without its tunnel: got %v, want %v still", got, first)
	}
	if got := cfg.routerID(insidePeer(cfg.Tunnels[0].Inside)); got != second {
		t.Errorf("when it is a peer's address now: got %v, want %v", got, second)
	}
}

func TestSourcesAreTranslatedPerTunnel(t *testing.T) {
	cfg := dynamic()
	cfg.Tunnels[1].SourceNAT = true
	var text strings.Builder
	for _, table := range spec(cfg, nil, nil, nil).Namespaces[0].Tables {
		text.WriteString(table.String())
	}
	want := "table ip seikan_gateway {\n\tchain source {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\toifname \"" + cfg.Tunnels[1].Interface +
		"\" masquerade comment \"to " + cfg.Tunnels[1].Inside.Addr().String() + "\"\n\t}\n}\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
	if err := spec(cfg, nil, nil, nil).Validate(); err != nil {
		t.Error(err)
	}
	cfg.Tunnels[1].Inside, cfg.Tunnels[1].BGP = netip.Prefix{}, Session{}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "field SourceNAT: the tunnel has no inside address") {
		t.Errorf("without an inside address: got %v", err)
	}
	cfg = dynamic()
	cfg.Tunnels[1].SourceNAT, cfg.Tunnels[1].BGP, cfg.Tunnels[1].LocalTS = true, Session{}, prefix("192.168.1.0/24")
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "keeps the inside address") {
		t.Errorf("with a selector without it: got %v", err)
	}
}
