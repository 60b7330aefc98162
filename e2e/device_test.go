//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/bird"
	"seikan/e2e/frr"
	"seikan/e2e/libreswan"
	"seikan/e2e/ourgateway"
	"seikan/e2e/pump"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// samples are AWS's files; the addresses of their connection are the world's.
const samples = "../internal/site/awsconfig/testdata/"

// exported is what `seikan gateway export` writes for a device, by path.
func exported(t *testing.T, file, device string, flags ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"gateway", "export", file, "--device", device, "-o", dir}, flags...)
	if out, err := exec.Command(os.Getenv("SEIKAN"), args...).CombinedOutput(); err != nil {
		t.Fatalf("seikan %s: %v: %s", strings.Join(args, " "), err, out)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// only is the one file of a device that has one.
func only(t *testing.T, files map[string]string) string {
	t.Helper()
	for _, text := range files {
		if len(files) == 1 {
			return text
		}
	}
	t.Fatalf("got %d files, want one", len(files))
	return ""
}

// awsFile is our gateway as AWS's two endpoints of the samples' connection: it
// waits, and has the samples' keys and suites. Version is of IKE; routing what the
// gateway and each tunnel have.
func awsFile(version int, bgp bool) string {
	all, routes := "routes: ["+world.CustomerSite+"]\n", [2]string{}
	if bgp {
		all = "bgp: {asn: 64512, announce: [" + world.ServerSite + "]}\n"
		routes = [2]string{"    bgp: {peer_asn: 65000, max_prefixes: 100, med: 100}\n", "    bgp: {peer_asn: 65000, max_prefixes: 100, med: 200}\n"}
	}
	suites := [2]string{
		"    phase1: {encryption: [AES256, AES256-GCM-16], integrity: [SHA2-384], dh_groups: [14, 20], lifetime: 4h}\n" +
			"    phase2: {encryption: [AES256, AES256-GCM-16], integrity: [SHA2-384], dh_groups: [14, 20], lifetime: 30m}\n",
	}
	var b strings.Builder
	b.WriteString(all + "tunnels:\n")
	for i, e := range awsEnds() {
		fmt.Fprintf(&b, "  - name: t%d\n    interface: tun%[1]d\n    startup_action: add\n    dpd_action: clear\n    ike_versions: [%d]\n"+
			"    outside: {local_address: %s, remote_address: %s, local_id: %[3]s, remote_id: %[4]s}\n    pre_shared_key: %s\n    inside_address: %s\n%s%s",
			i+1, version, e.address, world.NAT, e.key, e.inside+world.InsideBits, suites[i], routes[i])
	}
	return b.String()
}

// A customerEnd is how a device of another maker runs the files that were
// exported for it: the names of its tunnels' interfaces by their XFRM IDs.
func marks(prefix string) map[uint32]string {
	return map[uint32]string{0x0a01: prefix + "1", 0x0b01: prefix + "2"}
}

// exportUp waits until both tunnels of the AWS end are up, checks how, and that
// traffic flows both ways.
func exportUp(t *testing.T, w *world.World, aws *ourgateway.Gateway, version int) {
	t.Helper()
	w.Until("both tunnels", 60*time.Second, func() error {
		st, err := aws.Whole()
		if err != nil {
			return err
		}
		for _, tun := range st.Tunnels {
			if !tun.Up || tun.IKE.Version != version || !tun.IKE.NATRemote {
				return fmt.Errorf("%s: got up %v, %+v, want it up with IKEv%d and the peer behind NAT", tun.ID, tun.Up, tun.IKE, version)
			}
		}
		return nil
	})
}

// flows checks traffic through the tunnels, and that none went beside them.
func flows(t *testing.T, w *world.World) {
	t.Helper()
	w.Until("traffic", 20*time.Second, w.Reach)
	for _, up := range []bool{true, false} {
		if got, err := w.Transfer(world.Load{Up: up, Octets: 4 << 20}); err != nil || !got.Whole(4<<20) {
			t.Errorf("transfer: got %+v, %v", got, err)
		}
	}
	if packets, _ := w.Seen("clear"); packets != 0 {
		t.Errorf("%d packets crossed the internet in clear", packets)
	}
}

// failsOver cuts tunnel 1's path: tunnel 2 carries on, and both are up again once it
// is mended.
func failsOver(t *testing.T, w *world.World, aws *ourgateway.Gateway, version int) {
	t.Helper()
	w.CutTo(world.Responder)
	took := w.Until("traffic over tunnel 2", 60*time.Second, w.Reach)
	t.Logf("traffic went on %v after tunnel 1's path was cut", took.Round(100*time.Millisecond))
	w.Mend()
	exportUp(t, w, aws, version)
	w.Until("traffic after the mend", 30*time.Second, w.Reach)
}

// TestStrongSwanRunsItsExportedFiles loads what is written for strongSwan, FRR and
// BIRD as it is, behind NAT, against our gateway as AWS's end.
func TestStrongSwanRunsItsExportedFiles(t *testing.T) {
	for _, tt := range []struct {
		name, sample, speaker string
		version               int
		flags                 []string
	}{
		{"static", "static.xml", "", 2, []string{"--route", world.ServerSite}},
		{"static-ikev1", "static.xml", "", 1, []string{"--route", world.ServerSite, "--ike-version", "ikev1"}},
		{"frr", "bgp.json", "frr", 2, []string{"--advertise", world.CustomerSite}},
		{"bird", "bgp.json", "bird", 2, []string{"--advertise", world.CustomerSite}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world.New(t)
			w.SecondAddress()
			aws := startText(t, w, "resp", awsFile(tt.version, tt.speaker != ""))
			prefix := "vpn-9abcdef0-"
			if tt.speaker == "" {
				prefix = "vpn-76543210-"
			}
			p := pump.Start(t, w, pump.Place{Namespace: "cgw", Shim: pump.XFRM, Links: marks(prefix)})
			strongswan.StartFiles(t, w, "cgw", exported(t, samples+tt.sample, "strongswan", tt.flags...), p.Env())
			exportUp(t, w, aws, tt.version)
			if tt.speaker != "" {
				speak(t, w, tt.speaker, only(t, exported(t, samples+tt.sample, tt.speaker, tt.flags...)))
				w.Until("both sessions", 60*time.Second, func() error { return spoken(aws, 1, world.CustomerSite, "") })
			}
			flows(t, w)
			failsOver(t, w, aws, tt.version)
		})
	}
}

// speak runs a BGP speaker at the customer with an exported configuration.
func speak(t *testing.T, w *world.World, speaker, config string) {
	t.Helper()
	if speaker == "bird" {
		bird.Start(t, w, "cgw", config)
		return
	}
	frr.Start(t, w, "cgw", "").Load(config)
}

// TestLibreswanRunsItsExportedFiles is the same for libreswan.
func TestLibreswanRunsItsExportedFiles(t *testing.T) {
	for _, tt := range []struct {
		name, sample string
		version      int
		flags        []string
	}{
		{"static", "static.xml", 2, []string{"--route", world.ServerSite}},
		{"static-ikev1", "static.xml", 1, []string{"--route", world.ServerSite, "--ike-version", "ikev1"}},
		{"frr", "bgp.json", 2, []string{"--advertise", world.CustomerSite}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world.New(t)
			w.SecondAddress()
			aws := startText(t, w, "resp", awsFile(tt.version, tt.name == "frr"))
			p := pump.Start(t, w, pump.Place{Namespace: "cgw", Shim: pump.XFRM, Links: map[uint32]string{}})
			libreswan.StartFiles(t, w, "cgw", exported(t, samples+tt.sample, "libreswan", tt.flags...), p)
			exportUp(t, w, aws, tt.version)
			if tt.name == "frr" {
				speak(t, w, "frr", only(t, exported(t, samples+tt.sample, "frr", tt.flags...)))
				w.Until("both sessions", 60*time.Second, func() error { return spoken(aws, 1, world.CustomerSite, "") })
			}
			flows(t, w)
			failsOver(t, w, aws, tt.version)
		})
	}
}

// TestExportedBFDIsSpoken loads what is written for FRR and BIRD of a connection
// with BFD, which AWS has not: our gateway is the other end. A broken path is found
// by both, and carries nothing.
func TestExportedBFDIsSpoken(t *testing.T) {
	for _, speaker := range []string{"frr", "bird"} {
		t.Run(speaker, func(t *testing.T) {
			w := world.New(t)
			w.SecondAddress()
			aws := startText(t, w, "resp", strings.ReplaceAll(awsFile(2, true), "bgp: {peer_asn: 65000", "bgp: {bfd: {interval: 250ms}, peer_asn: 65000"))
			p := pump.Start(t, w, pump.Place{Namespace: "cgw", Shim: pump.XFRM, Links: marks("vpn-9abcdef0-")})
			strongswan.StartFiles(t, w, "cgw", exported(t, samples+"bgp.json", "strongswan", "--advertise", world.CustomerSite), p.Env())
			exportUp(t, w, aws, 2)
			own := filepath.Join(t.TempDir(), "gateway.yaml")
			text := only(t, exported(t, samples+"bgp.json", "seikan", "--advertise", world.CustomerSite))
			watched := strings.ReplaceAll(text, "      peer_asn: 64512\n", "      peer_asn: 64512\n      bfd: {interval: 250ms}\n")
			if watched == text {
				t.Fatalf("no session in\n%s", text)
			}
			if err := os.WriteFile(own, []byte(watched), 0o600); err != nil {
				t.Fatal(err)
			}
			config := only(t, exported(t, own, speaker))
			if speaker == "bird" {
				bird.Start(t, w, "cgw", config)
			} else {
				frr.StartBFD(t, w, "cgw", "", "bfd\n").Load(config)
			}
			w.Until("both sessions", 60*time.Second, func() error { return spoken(aws, 1, world.CustomerSite, "") })
			w.Until("BFD", 20*time.Second, func() error { return watchedBy(aws) })
			w.Until("traffic", 10*time.Second, w.Reach)
			w.CutTo(world.Responder)
			took := w.Until("traffic over tunnel 2", 3*time.Second, w.Reach)
			t.Logf("traffic goes on %v after tunnel 1's path was cut, or sooner: who waits for an answer waits a second", took.Round(10*time.Millisecond))
			w.Mend()
			w.Until("BFD after the mend", 60*time.Second, func() error { return watchedBy(aws) })
		})
	}
}
