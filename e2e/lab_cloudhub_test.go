//go:build e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestCloudHub joins two sites by one VPN gateway, which tells each by BGP what is
// behind the other: packets go from site to site through it (vpn §4.6), also by
// the other tunnel when one is cut, and no more when both are.
func TestCloudHub(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cloudhub.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(scratch(t), "cloudhub.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	l := labUp(t, "hub", file)
	ping := func(from, to string) func() error {
		return func() error {
			if s := l.exec(from, "ping", "-q", "-c", "1", "-W", "0.3", to); s.code != 0 {
				return errors.New(s.String())
			}
			return nil
		}
	}
	until(t, "site one to reach site two", 2*patience, ping("client-one", "192.168.2.10"))
	until(t, "site two to reach site one", patience, ping("client-two", "192.168.1.10"))
	if s := l.do("cut", "203.0.113.12"); s.code != 0 {
		t.Fatalf("lab cut: %v", s)
	}
	until(t, "site one to reach site two by the other tunnel", patience, ping("client-one", "192.168.2.10"))
	if s := l.do("cut", "203.0.113.13"); s.code != 0 {
		t.Fatalf("lab cut: %v", s)
	}
	until(t, "site one to be told that site two is gone", patience, func() error {
		st, err := l.status()
		if err != nil {
			return err
		}
		for _, tn := range st.Tunnels {
			if tn.End == "customer" && tn.Connection == "vpn-one" && tn.BGP != nil && len(tn.BGP.Learned) > 1 {
				return errors.New("tunnel " + tn.Remote + " still brings it")
			}
		}
		return nil
	})
	if ping("client-one", "192.168.2.10")() == nil {
		t.Error("site one reaches site two, of which both tunnels are cut")
	}
}
