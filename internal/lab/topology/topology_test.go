package topology

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const overview = "../../../lab/system-overview.yaml"

func TestSystemOverviewIsAccepted(t *testing.T) {
	topo, err := ReadFile(overview)
	if err != nil {
		t.Fatal(err)
	}
	client, site, ok := topo.Host("client")
	if !ok || client.Resolver != "dns" || site.LAN.CIDR != netip.MustParsePrefix("192.168.1.0/24") {
		t.Errorf("got client %+v of %+v, want one on 192.168.1.0/24 that asks dns", client, site)
	}
	ftp, vpc, ok := topo.Instance("ftp-1")
	if !ok || ftp.Service != FTP || ftp.PassivePort != 1024 || vpc.Name != "vpc-b" {
		t.Errorf("got %+v in %q, want an FTP server with passive port 1024 in vpc-b", ftp, vpc.Name)
	}
	if got, want := strings.Join(topo.Machines(), " "), "router cgw client dns app-1 web-1 web-2 ftp-1"; got != want {
		t.Errorf("got machines %q, want %q", got, want)
	}
	last := topo.Cloud.LoadBalancers[0].Listeners[3]
	if want := (Health{Port: 21, Interval: 5 * time.Second, Healthy: 2, Unhealthy: 2}); last.Health != want || last.TargetPort != 1024 {
		t.Errorf("got listener %+v, want health %+v and target port 1024", last, want)
	}
	if got := topo.VPN[0].Tunnels[1].Liveness; got != (Liveness{250 * time.Millisecond, 750 * time.Millisecond}) {
		t.Errorf("got liveness %+v, want 250ms and 750ms", got)
	}
}

func TestTheOtherTopologiesAreAccepted(t *testing.T) {
	static, err := ReadFile("../../../lab/static.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c := static.VPN[0]; c.Dynamic() || len(c.Routes) != 1 || c.Certificates || c.Roaming {
		t.Errorf("static: got %+v, want a static route and pre-shared keys", c)
	}
	transit, err := ReadFile("../../../lab/transit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if g := transit.Cloud.TransitGateways[0]; !g.ECMP || len(g.VPCs) != 2 || len(g.RouteTables) != 2 || !g.RouteTables[1].Routes[0].Blackhole || len(transit.Behind(transit.VPN[0])) != 2 {
		t.Errorf("transit: got %+v, want two VPCs, two route tables, ECMP and a blackhole", g)
	}
	roaming, err := ReadFile("../../../lab/roaming.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c := roaming.VPN[0]; !c.Dynamic() || c.BGP.ASN != 65000 || !c.Certificates || !c.Roaming {
		t.Errorf("roaming: got %+v, want BGP, certificates and no address", c)
	}
}

// Each file under testdata/bad begins with an edit of the system overview:
// a line "--- text to replace" and lines "+++ replacement", or is a whole file
// when it does not. The golden file beside it holds the errors.
func TestBadFilesAreExplained(t *testing.T) {
	good, err := os.ReadFile(overview)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v, want some", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("lab.yaml", edited(t, good, text))
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("got\n%swant (%s, %v)\n%s", got, golden, err, want)
			}
		})
	}
}

// edited applies the edit in text to good.
func edited(t *testing.T, good, text []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(text, []byte("--- ")) {
		return text
	}
	out := string(good)
	for edit := range strings.SplitSeq(string(text), "--- ") {
		if edit == "" {
			continue
		}
		old, replacement, ok := strings.Cut(edit, "\n+++ ")
		if !ok || strings.Count(out, old) == 0 {
			t.Fatalf("the text to replace, %q, is not in the system overview", old)
		}
		out = strings.Replace(out, old, strings.TrimSuffix(replacement, "\n"), 1)
	}
	return []byte(out)
}

func TestNoErrorShowsAKey(t *testing.T) {
	good, err := os.ReadFile(overview)
	if err != nil {
		t.Fatal(err)
	}
	const key = "0StartsWithZeroAndIsSecret"
	bad := bytes.Replace(good, []byte("IKEVersions: [ikev2]"), []byte("PreSharedKey: "+key), 1)
	_, err = Parse("lab.yaml", bad)
	if err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want an error without the key", err)
	}
	topo, err := Parse("lab.yaml", bytes.Replace(bad, []byte(key), []byte(key[1:]), 1))
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%+v", topo); strings.Contains(shown, key[1:]) {
		t.Errorf("printing the topology shows the key")
	}
}

func TestHugeFileIsRefused(t *testing.T) {
	_, err := Parse("lab.yaml", bytes.Repeat([]byte("#\n"), maxSize))
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v, want the size refused", err)
	}
}

func TestNearestFindsTheLikelyWord(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"adress", "address"}, {"adddress", "address"}, {"addres", "address"}, {"Address", "address"}, {"adrdess", "address"}, {"port", ""}, {"", ""},
	} {
		if got := nearest(c.word, []string{"name", "address"}); got != c.want {
			t.Errorf("nearest(%q): got %q, want %q", c.word, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile(overview)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		topo, err := Parse("f.yaml", in)
		if err == nil {
			if topo.Name == "" || len(topo.Sites) == 0 || len(topo.Cloud.VPCs) == 0 {
				t.Fatalf("accepted a topology without its required parts: %+v", topo)
			}
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems {
			t.Fatalf("got %T with %d problems, want 1 to %d Problems", err, len(problems), maxProblems)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 {
				t.Fatalf("%+v has no position", p)
			}
		}
	})
}
