package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/secret"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestOptionsThatAreNotGivenAreAWSDefaults(t *testing.T) {
	o, err := TunnelOptionsInput{}.complete(1)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(o.Phase1Lifetime, o.Phase2Lifetime, o.RekeyMargin, o.RekeyFuzz, o.ReplayWindow, o.DPDTimeout, o.DPDTimeoutAction, o.StartupAction, o.IKEVersions,
		o.Phase1Encryption, o.Phase2Encryption, o.Phase1Integrity, o.Phase2Integrity, o.Phase1DHGroups, o.Phase2DHGroups, o.LivenessInterval, o.LivenessTimeout)
	const want = "8h0m0s 1h0m0s 4m30s 100 1024 30s clear add [ikev1 ikev2]" +
		" [AES128 AES256 AES128-GCM-16 AES256-GCM-16] [AES128 AES256 AES128-GCM-16 AES256-GCM-16]" +
		" [SHA1 SHA2-256 SHA2-384 SHA2-512] [SHA1 SHA2-256 SHA2-384 SHA2-512]" +
		" [2 14 15 16 17 18 19 20 21 22 23 24] [2 5 14 15 16 17 18 19 20 21 22 23 24] 0s 0s"
	if squeeze(got) != squeeze(want) {
		t.Errorf("defaults: got %s, want %s", got, want)
	}
	if o.InsideCIDR.IsValid() || !o.PreSharedKey.IsZero() {
		t.Errorf("inside block %v and key of %d characters: chosen without looking at others", o.InsideCIDR, o.PreSharedKey.Len())
	}
}

// squeeze drops spaces: fmt.Sprint puts none between two strings.
func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }

func TestEveryOptionHasItsBounds(t *testing.T) {
	zero, beyond := 0, 101
	for _, c := range []struct {
		name string
		in   TunnelOptionsInput
		want string // the whole error; empty for none
	}{
		{"inside: host bits", TunnelOptionsInput{InsideCIDR: prefix("169.254.44.110/30")}, ""},
		{"inside: not link-local", TunnelOptionsInput{InsideCIDR: prefix("10.0.0.0/30")}, "TunnelInsideCidr: 10.0.0.0/30 is not a /30 of 169.254.0.0/16"},
		{"inside: too long", TunnelOptionsInput{InsideCIDR: prefix("169.254.10.0/31")}, "TunnelInsideCidr: 169.254.10.0/31 is not a /30 of 169.254.0.0/16"},
		{"inside: too wide", TunnelOptionsInput{InsideCIDR: prefix("169.254.10.0/29")}, "TunnelInsideCidr: 169.254.10.0/29 is not a /30 of 169.254.0.0/16"},
		{"inside: IPv6", TunnelOptionsInput{InsideCIDR: prefix("fd00::/30")}, "TunnelInsideCidr: fd00::/30 is not a /30 of 169.254.0.0/16"},
		{"inside: no length", TunnelOptionsInput{InsideCIDR: netip.PrefixFrom(netip.MustParseAddr("169.254.9.0"), -1)}, "TunnelInsideCidr: invalid Prefix is not a /30 of 169.254.0.0/16"},
		{"inside: second of a reserved network", TunnelOptionsInput{InsideCIDR: prefix("169.254.5.4/30")}, ""},
		{"inside: after the reserved ones", TunnelOptionsInput{InsideCIDR: prefix("169.254.6.0/30")}, ""},
		{"inside: the metadata service's neighbour", TunnelOptionsInput{InsideCIDR: prefix("169.254.169.248/30")}, ""},
		{"key: shortest", TunnelOptionsInput{PreSharedKey: secret.FromString("a.c_E6G8")}, ""},
		{"key: longest", TunnelOptionsInput{PreSharedKey: secret.FromString(strings.Repeat("k", 64))}, ""},
		{"key: too short", TunnelOptionsInput{PreSharedKey: secret.FromString("abcdefg")}, "PreSharedKey: has 7 characters, not 8 to 64"},
		{"key: too long", TunnelOptionsInput{PreSharedKey: secret.FromString(strings.Repeat("k", 65))}, "PreSharedKey: has 65 characters, not 8 to 64"},
		{"key: starts with 0", TunnelOptionsInput{PreSharedKey: secret.FromString("0bcdefgh")}, "PreSharedKey: starts with 0, which no key may"},
		{"key: hyphen", TunnelOptionsInput{PreSharedKey: secret.FromString("abcd-fgh")}, "PreSharedKey: has a character at place 5 that is not one of A-Z, a-z, 0-9, period and underscore"},
		{"key: letter of another alphabet", TunnelOptionsInput{PreSharedKey: secret.FromString("abcdefgé")}, "PreSharedKey: has a character at place 8 that is not one of A-Z, a-z, 0-9, period and underscore"},
		{"phase 1: shortest", TunnelOptionsInput{Phase1Lifetime: 901 * time.Second, Phase2Lifetime: 900 * time.Second}, ""},
		{"phase 1: too short", TunnelOptionsInput{Phase1Lifetime: 899 * time.Second, Phase2Lifetime: 900 * time.Second}, "Phase1LifetimeSeconds: 899 s is not a whole number from 900 to 28800"},
		{"phase 1: too long", TunnelOptionsInput{Phase1Lifetime: 28801 * time.Second}, "Phase1LifetimeSeconds: 28801 s is not a whole number from 900 to 28800"},
		{"phase 1: broken second", TunnelOptionsInput{Phase1Lifetime: 5000500 * time.Millisecond}, "Phase1LifetimeSeconds: 5000.5 s is not a whole number from 900 to 28800"},
		{"phase 2: too short", TunnelOptionsInput{Phase2Lifetime: 899 * time.Second}, "Phase2LifetimeSeconds: 899 s is not a whole number from 900 to 3600"},
		{"phase 2: too long", TunnelOptionsInput{Phase2Lifetime: 3601 * time.Second}, "Phase2LifetimeSeconds: 3601 s is not a whole number from 900 to 3600"},
		{"phase 2: as long as phase 1", TunnelOptionsInput{Phase1Lifetime: time.Hour}, "Phase2LifetimeSeconds: 3600 s is not less than Phase1LifetimeSeconds, 3600 s"},
		{"margin: shortest", TunnelOptionsInput{RekeyMargin: time.Minute}, ""},
		{"margin: too short", TunnelOptionsInput{RekeyMargin: 59 * time.Second}, "RekeyMarginTimeSeconds: 59 s is not a whole number from 60 to 1800"},
		{"margin: half of phase 2", TunnelOptionsInput{RekeyMargin: 450 * time.Second, Phase2Lifetime: 900 * time.Second}, ""},
		{"margin: more than half of phase 2", TunnelOptionsInput{RekeyMargin: 451 * time.Second, Phase2Lifetime: 900 * time.Second}, "RekeyMarginTimeSeconds: 451 s is not a whole number from 60 to 450"},
		{"fuzz: none", TunnelOptionsInput{RekeyFuzz: &zero}, ""},
		{"fuzz: too much", TunnelOptionsInput{RekeyFuzz: &beyond}, "RekeyFuzzPercentage: 101 is not 0 to 100"},
		{"window: smallest", TunnelOptionsInput{ReplayWindow: 64}, ""},
		{"window: largest", TunnelOptionsInput{ReplayWindow: 2048}, ""},
		{"window: too small", TunnelOptionsInput{ReplayWindow: 63}, "ReplayWindowSize: 63 is not 64 to 2048"},
		{"window: too large", TunnelOptionsInput{ReplayWindow: 2049}, "ReplayWindowSize: 2049 is not 64 to 2048"},
		{"DPD: too short", TunnelOptionsInput{DPDTimeout: 29 * time.Second}, "DPDTimeoutSeconds: 29 s is not a whole number from 30 to 86400"},
		{"DPD: unknown action", TunnelOptionsInput{DPDTimeoutAction: "hold"}, `DPDTimeoutAction: "hold" is none of clear, none, restart`},
		{"startup: unknown action", TunnelOptionsInput{StartupAction: "route"}, `StartupAction: "route" is none of add, start`},
		{"IKE: unknown version", TunnelOptionsInput{Algorithms: Algorithms{IKEVersions: []string{"ikev3"}}}, "IKEVersions: ikev3 is none of ikev1 ikev2"},
		{"IKE: the old version alone", TunnelOptionsInput{Algorithms: Algorithms{IKEVersions: []string{"ikev1"}}}, ""},
		{"IKE: the old version with what it has not", TunnelOptionsInput{Algorithms: Algorithms{IKEVersions: []string{"ikev1"}, Phase1Encryption: []string{"AES256-GCM-16"}}},
			"Phase1EncryptionAlgorithms: ikev1 has no AES-GCM in phase 1, so that the tunnel could never come up; allow AES128 or AES256, or ikev2"},
		{"startup: start", TunnelOptionsInput{StartupAction: "start"}, ""},
		{"startup: start with the old version alone", TunnelOptionsInput{StartupAction: "start", Algorithms: Algorithms{IKEVersions: []string{"ikev1"}}},
			"StartupAction: start needs ikev2 among IKEVersions, since IKEv1 is only answered; allow it, or use add"},
		{"phase 1: unknown cipher", TunnelOptionsInput{Algorithms: Algorithms{Phase1Encryption: []string{"AES256", "3DES"}}}, "Phase1EncryptionAlgorithms: 3DES is none of AES128 AES256 AES128-GCM-16 AES256-GCM-16"},
		{"phase 2: unknown cipher", TunnelOptionsInput{Algorithms: Algorithms{Phase2Encryption: []string{"aes256"}}}, "Phase2EncryptionAlgorithms: aes256 is none of AES128 AES256 AES128-GCM-16 AES256-GCM-16"},
		{"phase 1: unknown hash", TunnelOptionsInput{Algorithms: Algorithms{Phase1Integrity: []string{"MD5"}}}, "Phase1IntegrityAlgorithms: MD5 is none of SHA1 SHA2-256 SHA2-384 SHA2-512"},
		{"phase 2: unknown hash", TunnelOptionsInput{Algorithms: Algorithms{Phase2Integrity: []string{"SHA2-224"}}}, "Phase2IntegrityAlgorithms: SHA2-224 is none of SHA1 SHA2-256 SHA2-384 SHA2-512"},
		{"phase 1: group 5", TunnelOptionsInput{Algorithms: Algorithms{Phase1DHGroups: []int{5}}}, "Phase1DHGroupNumbers: 5 is none of 2 14 15 16 17 18 19 20 21 22 23 24"},
		{"phase 2: group 5", TunnelOptionsInput{Algorithms: Algorithms{Phase2DHGroups: []int{5}}}, ""},
		{"phase 2: unknown group", TunnelOptionsInput{Algorithms: Algorithms{Phase2DHGroups: []int{1}}}, "Phase2DHGroupNumbers: 1 is none of 2 5 14 15 16 17 18 19 20 21 22 23 24"},
		{"liveness: shortest", TunnelOptionsInput{LivenessInterval: 50 * time.Millisecond, LivenessTimeout: 50 * time.Millisecond}, ""},
		{"liveness: interval too short", TunnelOptionsInput{LivenessInterval: 49 * time.Millisecond}, "LivenessInterval: 49ms is not 50ms to 10s"},
		{"liveness: interval too long", TunnelOptionsInput{LivenessInterval: 11 * time.Second}, "LivenessInterval: 11s is not 50ms to 10s"},
		{"liveness: timeout too short", TunnelOptionsInput{LivenessInterval: 50 * time.Millisecond, LivenessTimeout: 49 * time.Millisecond}, "LivenessTimeout: 49ms is not 50ms to 1h0m0s"},
		{"BFD: fastest", TunnelOptionsInput{BFD: &resource.BFD{Interval: 50 * time.Millisecond, Multiplier: 2}}, ""},
		{"BFD: interval too short", TunnelOptionsInput{BFD: &resource.BFD{Interval: 49 * time.Millisecond}}, "BFDInterval: 49ms is not 50ms to 1m0s"},
		{"BFD: interval too long", TunnelOptionsInput{BFD: &resource.BFD{Interval: 61 * time.Second}}, "BFDInterval: 1m1s is not 50ms to 1m0s"},
		{"BFD: multiplier alone", TunnelOptionsInput{BFD: &resource.BFD{Multiplier: 3}}, "BFDInterval: 0s is not 50ms to 1m0s"},
		{"BFD: one lost packet", TunnelOptionsInput{BFD: &resource.BFD{Interval: time.Second, Multiplier: 1}}, "BFDMultiplier: 1 is not 2 to 50"},
		{"BFD: slowest", TunnelOptionsInput{BFD: &resource.BFD{Interval: time.Second, Multiplier: 51}}, "BFDMultiplier: 51 is not 2 to 50"},
		{"liveness: timeout alone", TunnelOptionsInput{LivenessTimeout: time.Second}, "LivenessTimeout: 1s is less than half of LivenessInterval, 10s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.in.complete(2)
			want := ""
			if c.want != "" {
				want = "InvalidParameterValue: TunnelOptions.2." + c.want
			}
			if got := text(err); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestReservedInsideBlocksAreRefused(t *testing.T) {
	for _, block := range []string{"169.254.0.0/30", "169.254.1.0/30", "169.254.2.0/30", "169.254.3.0/30", "169.254.4.0/30", "169.254.5.0/30", "169.254.169.252/30", "169.254.169.254/30"} {
		_, err := TunnelOptionsInput{InsideCIDR: prefix(block)}.complete(1)
		if resource.CodeOf(err) != resource.CodeInvalidParameterValue || !strings.Contains(text(err), "is reserved") {
			t.Errorf("%s: got %v, want InvalidParameterValue saying that it is reserved", block, err)
		}
	}
}

func TestTheOrderOfARequestMeansNothing(t *testing.T) {
	o, err := TunnelOptionsInput{InsideCIDR: prefix("169.254.44.110/30"), Algorithms: Algorithms{
		Phase1Encryption: []string{"AES256-GCM-16", "AES128", "AES128"}, Phase2DHGroups: []int{20, 14}}}.complete(1)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"AES128", "AES256-GCM-16"}; !slices.Equal(o.Phase1Encryption, want) {
		t.Errorf("Phase1Encryption: got %v, want %v", o.Phase1Encryption, want)
	}
	if want := []int{14, 20}; !slices.Equal(o.Phase2DHGroups, want) {
		t.Errorf("Phase2DHGroups: got %v, want %v", o.Phase2DHGroups, want)
	}
	if want := prefix("169.254.44.108/30"); o.InsideCIDR != want {
		t.Errorf("InsideCIDR: got %v, want %v", o.InsideCIDR, want)
	}
}

func TestInsideBlocksCoverTheNetworkOnce(t *testing.T) {
	seen := make(map[netip.Prefix]bool)
	reserved := 0
	for n := range insideBlocks {
		block := insideBlock(n)
		if seen[block] || block != block.Masked() || !prefix("169.254.0.0/16").Contains(block.Addr()) {
			t.Fatalf("block %d: got %v, want a new /30 of 169.254.0.0/16", n, block)
		}
		seen[block] = true
		if reservedInside(block) {
			reserved++
		}
	}
	if reserved != 7 {
		t.Errorf("reserved blocks: got %d, want 7", reserved)
	}
}
