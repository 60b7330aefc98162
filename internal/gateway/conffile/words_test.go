package conffile

import (
	"regexp"
	"strings"
	"testing"
)

func TestWordsNameTheKeysOfTheFileBesideAWSs(t *testing.T) {
	words := Words()
	got := words("add DH20 to Phase1DHGroupNumbers, or set our remote identity")
	if want := "add DH20 to phase1.dh_groups (AWS: Phase1DHGroupNumbers), or set our outside.remote_id"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Every key that is named is one that a file may have.
	for _, aws := range []string{
		"Phase1EncryptionAlgorithms", "Phase1IntegrityAlgorithms", "Phase2EncryptionAlgorithms", "Phase2IntegrityAlgorithms", "Phase2DHGroupNumbers",
		"LocalIpv4NetworkCidr", "RemoteIpv4NetworkCidr", "PreSharedKey", "IKEVersions", "DPDTimeoutAction", "StartupAction",
	} {
		key, _, ok := strings.Cut(words(aws), " (AWS: ")
		if !ok || regexp.MustCompile(`[^a-z0-9_.]`).MatchString(key) {
			t.Fatalf("%s: got %q, want a key", aws, words(aws))
		}
		text := "tunnels:\n  - " + key + ": {}"
		if phase, name, nested := strings.Cut(key, "."); nested {
			text = "tunnels:\n  - " + phase + ": {" + name + ": {}}"
		}
		// A map is the value of none of them, so that the complaint is about it.
		_, err := Parse([]byte(text), folder(t))
		if err == nil || strings.Contains(err.Error(), "not found in type") {
			t.Errorf("%s: %q is no key of the file: %v", aws, key, err)
		}
	}
}
