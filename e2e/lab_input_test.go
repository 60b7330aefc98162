//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBadTopologyChangesNothing gives `lab check` and `lab up` what is wrong:
// each must say what and where, and nothing may come of it.
func TestBadTopologyChangesNothing(t *testing.T) {
	dir := scratch(t)
	const inside1 = "TunnelInsideCidr: 169.254.10.0/30"
	for _, bad := range []struct {
		name     string
		from, to string
		want     []string
	}{
		{"no YAML", "name: system-overview", "name: [system-overview", []string{"topology.yaml:"}},
		{"an unknown field", "internet:\n", "colour: blue\ninternet:\n", []string{"colour"}},
		{"overlapping inside ranges", "169.254.11.0/30", "169.254.10.0/30", []string{"TunnelInsideCidr", "169.254.10.0/30"}},
		{"a reserved inside range", inside1, "TunnelInsideCidr: 169.254.169.252/30", []string{"TunnelInsideCidr", "169.254.169.252/30", "reserved"}},
		{"a key that starts with 0", inside1, inside1 + "\n        PreSharedKey: 0FindMeNowhere", []string{"PreSharedKey", "begin with 0"}},
		{"a key that is too short", inside1, inside1 + "\n        PreSharedKey: Nowhr12", []string{"PreSharedKey", "8 to 64"}},
		{"an unknown suite", "Phase1EncryptionAlgorithms: [AES256-GCM-16]", "Phase1EncryptionAlgorithms: [AES512]", []string{"Phase1EncryptionAlgorithms", "AES512", "AES256-GCM-16"}},
		{"a second gateway of a VPC", "vpn_gateway: vgw-a\n      route", "vpn_gateway: vgw-a\n      vpn_gateway: vgw-b\n      route", []string{"vpn_gateway"}},
		{"an endpoint of no service", "service: shop, subnets", "service: shoe, subnets", []string{"shoe"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			file := variant(t, dir, bad.from, bad.to)
			before := traces(t)
			for _, verb := range []string{"check", "up"} {
				s := command(t, time.Minute, seikan(t), "lab", verb, file)
				if s.code != 1 && s.code != 2 {
					t.Errorf("lab %s: got %v, want exit code 1 or 2", verb, s)
				}
				for _, want := range append(bad.want, position(t, file, s)) {
					if !strings.Contains(s.err, want) {
						t.Errorf("lab %s: got %q, want %q in it", verb, s.err, want)
					}
				}
				if strings.Contains(s.out+s.err, "Nowh") {
					t.Errorf("lab %s: the error shows a key: %q", verb, s.err)
				}
				if verb == "check" {
					t.Logf("%s", strings.TrimSpace(s.err))
				}
			}
			before.nothingSince(t)
		})
	}
}

// position finds the file with line and column in what a command said.
func position(t *testing.T, file string, s said) string {
	t.Helper()
	for line := range strings.Lines(s.err) {
		_, rest, ok := strings.Cut(line, file+":")
		var row, column int
		if n, _ := fmt.Sscanf(rest, "%d:%d", &row, &column); ok && n == 2 {
			return fmt.Sprintf("%s:%d:%d", file, row, column)
		}
	}
	t.Errorf("got %q, want line and column of %s", s.err, file)
	return file
}

// TestUseErrorsAreTold calls for labs and hosts that are not there.
func TestUseErrorsAreTold(t *testing.T) {
	before := traces(t)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"lab status", 1, "no lab is running"},
		{"lab status --name nothing", 1, "no lab is running"},
		{"lab exec --name nothing client -- true", 1, "no lab is running"},
		{"lab up --name Bad_Name", 2, "Bad_Name"},
		{"lab cut nonsense", 2, "nonsense"},
		{"lab up /nonexistent.yaml", 1, "/nonexistent.yaml"},
		{"lab conjure", 2, "conjure"},
	} {
		s := command(t, time.Minute, append([]string{seikan(t)}, strings.Fields(c.args)...)...)
		if s.code != c.code || !strings.Contains(s.err, c.want) {
			t.Errorf("seikan %s: got %v, want exit code %d and %q", c.args, s, c.code, c.want)
		}
	}
	before.nothingSince(t)
}

// TestEndpointThatIsNotAccepted leaves the provider's consent out: the lab is
// there, the endpoint has its addresses, and nothing is behind them.
func TestEndpointThatIsNotAccepted(t *testing.T) {
	l := labUp(t, "pending", variant(t, scratch(t), "accept: true", "accept: false"))
	until(t, "both tunnels at both ends", patience, l.tunnelsUp)
	until(t, "traffic", patience, l.reach)
	st, err := l.status()
	if err != nil || len(st.Endpoints) != 1 || st.Endpoints[0].State != "pendingAcceptance" {
		t.Fatalf("status: got %+v, %v, want one endpoint that is pendingAcceptance", st.Endpoints, err)
	}
	t.Logf("addresses %v; the name: %v", st.Endpoints[0].Addresses, l.exec("client", "getent", "ahostsv4", "service.example"))
	if s := l.page(); s.code == 0 || strings.Contains(s.out, "this is") {
		t.Errorf("the page: got %v, want none", s)
	}
	for _, address := range []string{"10.0.1.4", "10.0.2.4"} {
		if s := l.page("--resolve", "service.example:443:"+address); s.code == 0 {
			t.Errorf("the page at %s: got %v, want none", address, s)
		}
	}
	// What is pending stays so.
	if st, err = l.status(); err != nil || st.Endpoints[0].State != "pendingAcceptance" {
		t.Errorf("status afterwards: got %+v, %v, want pendingAcceptance", st.Endpoints, err)
	}
}
