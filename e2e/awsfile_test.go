//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/frr"
	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// awsDefaultIKE and -ESP are what AWS allows unless told otherwise, the lowest first, as it
// chooses (vpn §2.1, §2.2), in strongSwan's words; awsGroups are the groups.
const (
	awsGroups     = "modp1024-modp2048-modp3072-modp4096-ecp256-ecp384-ecp521"
	awsDefaultIKE = "aes128-aes256-sha1-sha256-sha384-sha512-" + awsGroups +
		",aes128gcm16-aes256gcm16-prfsha1-prfsha256-prfsha384-prfsha512-" + awsGroups
	awsDefaultESP = "aes128-aes256-sha1-sha256-sha384-sha512-" + awsGroups + ",aes128gcm16-aes256gcm16-" + awsGroups
)

// awsEnds are the two, as the sample files describe them.
func awsEnds() []awsEnd {
	keys := []string{"KeyOfTunnelOne.For_Tests.Only.01", "KeyOfTunnelTwo.For_Tests.Only.02"}
	return twoEnds(func(i int, e *awsEnd) { e.key, e.ike, e.esp = keys[i], awsDefaultIKE, awsDefaultESP })
}

// TestAWSFileWithBGPRunsAsItIs has `seikan gateway run` take what AWS gives of a
// connection, and no word more than the network to announce.
func TestAWSFileWithBGPRunsAsItIs(t *testing.T) {
	for name, suites := range map[string][2]string{
		// Nobody says what is allowed: AWS takes the lowest of what is not weak.
		"bgp.xml": {"AES128/SHA2-256", "AES128/SHA2-256"},
		"bgp.txt": {"AES128/SHA2-256", "AES128/SHA2-256"},
		// The first tunnel is kept to IKEv2 and the best.
		"bgp.json": {"AES256-GCM-16/PRF-SHA2-384/DH20", "AES128/SHA2-256"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../internal/site/awsconfig/testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			w := world.New(t)
			w.SecondGateway()
			ends := awsEnds()
			if name == "bgp.json" {
				ends[0].ike, ends[0].esp = "aes256-sha384-modp2048-ecp384,aes256gcm16-prfsha384-modp2048-ecp384", "aes256-sha384-modp2048-ecp384,aes256gcm16-modp2048-ecp384"
			}
			var routers []*frr.Router
			for _, e := range ends {
				routers = append(routers, e.start(t, w))
			}
			ours := ourgateway.StartFile(t, w, ourgateway.Config{Namespace: "cgw", PSK: ends[0].key}, string(text), "--advertise", world.CustomerSite)
			took := w.Until("both sessions", 60*time.Second, func() error { return spoken(ours, 1, world.ServerSite, "") })
			t.Logf("both sessions after %v", took.Round(100*time.Millisecond))
			for _, r := range routers {
				w.Until("our prefix at FRR", 10*time.Second, func() error { return r.Has(world.CustomerSite, "65000") })
			}
			w.Until("traffic", 10*time.Second, w.Reach)
			for _, up := range []bool{true, false} {
				if got, err := w.Transfer(world.Load{Up: up, Octets: 4 << 20}); err != nil || !got.Whole(4<<20) {
					t.Errorf("transfer: got %+v, %v", got, err)
				}
			}
			bothByIKEv2(t, ours, suites)
			if got := w.Exec("cgw", "ip", "route", "show", "default"); strings.Contains(got, "tun") {
				t.Errorf("the site's default route: got %q, want its own", got)
			}
			if packets, _ := w.Seen("clear"); packets != 0 {
				t.Errorf("%d packets crossed the internet in clear", packets)
			}
		})
	}
}

// bothByIKEv2 checks that both tunnels are up by IKEv2 from behind NAT, with the
// given suites of phase 1.
func bothByIKEv2(t *testing.T, g *ourgateway.Gateway, suites [2]string) {
	t.Helper()
	st, err := g.Whole()
	if err != nil || len(st.Tunnels) != 2 {
		t.Fatalf("got %+v, %v, want two tunnels", st, err)
	}
	for i, tun := range st.Tunnels {
		if !tun.Up || tun.IKE.Version != 2 || !tun.IKE.NATLocal || !strings.Contains(tun.IKE.Suite, suites[i]) {
			t.Errorf("tunnel %d: up %v, IKE %+v, want IKEv2 from behind NAT with %s", i+1, tun.Up, tun.IKE, suites[i])
		}
	}
}
