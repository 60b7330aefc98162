//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// wrongFiles are made of AWS's file bgp.xml, each with what must be said of it.
func wrongFiles(right string) []struct{ name, text, said string } {
	second := strings.LastIndex(right, "  <ipsec_tunnel>")
	return []struct{ name, text, said string }{
		{"truncated", right[:second+200], `line \d+: the file ends within "vpn_connection/ipsec_tunnel`},
		{"a tunnel missing", right[:second] + right[strings.LastIndex(right, "</ipsec_tunnel>")+len("</ipsec_tunnel>\n"):], `line \d+: vpn_connection: 1 ipsec_tunnel; a connection has two`},
		{"overlapping inside CIDRs", strings.ReplaceAll(right, "169.254.11.", "169.254.10."), `line \d+: vpn_connection/ipsec_tunnel\[2\]: the inside addresses 169.254.10.0/30 overlap`},
		{"a forbidden character", strings.Replace(right, "KeyOfTunnelOne.", "KeyOfTunnelOne-", 1), `line \d+: vpn_connection/ipsec_tunnel\[2\]/ike/pre_shared_key: character 15 is not allowed`},
		{"another vendor's", "crypto isakmp policy 200\n  encryption aes 128\n  authentication pre-share\n  group 2\nexit\n", `this is a Cisco IOS configuration; download`},
	}
}

// TestWrongAWSFilesStartAndChangeNothing gives the gateway wrong files with all
// rights that it could use: where none runs nothing is laid or sent, and one that
// carries traffic goes on with the same SAs and routes.
func TestWrongAWSFilesStartAndChangeNothing(t *testing.T) {
	text, err := os.ReadFile(samples + "bgp.xml")
	if err != nil {
		t.Fatal(err)
	}
	right := string(text)
	w := world.New(t)
	w.SecondAddress()
	before := laidIn(w, "cgw")
	for _, wrong := range wrongFiles(right) {
		file := filepath.Join(t.TempDir(), "aws.xml")
		if err := os.WriteFile(file, []byte(wrong.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := endedBy(w.Command("cgw", seikan(t), "gateway", "run", "--config", file, "--advertise", world.CustomerSite))
		refused(t, wrong.name+", none runs", wrong.said, out, err)
	}
	if now := laidIn(w, "cgw"); now != before {
		t.Errorf("laid by wrong files: got\n%s\nwant what was there:\n%s", now, before)
	}
	for _, kind := range []string{"ike", "natt", "plain", "clear"} {
		if packets, _ := w.Seen(kind); packets != 0 {
			t.Errorf("wrong files sent %d packets of %s", packets, kind)
		}
	}

	startText(t, w, "resp", awsFile(2, true))
	ours := ourgateway.StartFile(t, w, ourgateway.Config{Namespace: "cgw", PSK: awsEnds()[0].key}, right, "--advertise", world.CustomerSite)
	w.Until("both sessions", 60*time.Second, func() error { return spoken(ours, 1, world.ServerSite, "") })
	w.Until("traffic", 10*time.Second, w.Reach)
	sas := sasOf(t, ours)
	before = laidIn(w, "cgw")
	both := startStreams(t, w, "tun1", "tun1")
	for _, wrong := range wrongFiles(right) {
		out, err := ours.ReloadWhole(w, wrong.text)
		refused(t, wrong.name+", one runs", wrong.said, out, err)
	}
	both.more(t, w)
	for _, d := range both.stop(t) {
		if d.Sent == 0 || d.Lost != 0 || d.Duplicated != 0 {
			t.Errorf("traffic beside wrong files: got %v, want none lost", d)
		}
	}
	if now := sasOf(t, ours); now != sas {
		t.Errorf("after wrong files: got SAs %s, want those of before, %s", now, sas)
	}
	if now := laidIn(w, "cgw"); now != before {
		t.Errorf("after wrong files: got\n%s\nwant what was there:\n%s", now, before)
	}
	if out, err := ours.ReloadWhole(w, right); err != nil || !strings.Contains(out, "unchanged") {
		t.Errorf("the right file again: got %v, %s, want nothing to change", err, out)
	}
}

// endedBy runs cmd, which must end by itself.
func endedBy(cmd *exec.Cmd) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	bounded := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	out, err := bounded.CombinedOutput()
	return string(out), errors.Join(err, ctx.Err())
}

// refused checks that a file was refused, and how.
func refused(t *testing.T, what, said, out string, err error) {
	t.Helper()
	exit, isExit := errors.AsType[*exec.ExitError](err)
	if !isExit || exit.ExitCode() != 1 || errors.Is(err, context.DeadlineExceeded) || !regexp.MustCompile(said).MatchString(out) {
		t.Errorf("%s: got %v, %q, want exit code 1 and %s", what, err, out, said)
	}
}

// laidIn is what a namespace has, but for what comes of itself when links get their
// carrier: links, addresses, routes, rules, nftables and UDP sockets.
func laidIn(w *world.World, ns string) string {
	return w.Exec(ns, "sh", "-c", "cut -d: -f1 /proc/net/dev; ip -o -4 address; ip -4 route show table all; ip rule; nft list ruleset; sysctl net.ipv4.ip_forward; cut -d: -f2,3 /proc/net/udp")
}

// sasOf names the SAs of both tunnels, which must be up.
func sasOf(t *testing.T, g *ourgateway.Gateway) (all string) {
	t.Helper()
	st, err := g.Whole()
	if err != nil {
		t.Fatal(err)
	}
	for _, tun := range st.Tunnels {
		if !tun.Up || tun.Child == nil {
			t.Fatalf("%s is %s %s", tun.ID, tun.Phase, tun.Reason)
		}
		all += fmt.Sprintf("%s %s/%s ", tun.ID, tun.Child.SPIIn, tun.Child.SPIOut)
	}
	return all
}
