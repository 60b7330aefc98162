package conffile

import (
	"reflect"
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
		if err == nil || strings.Contains(err.Error(), "no option is called") {
			t.Errorf("%s: %q is no key of the file: %v", aws, key, err)
		}
	}
}

func TestExampleHasEveryOption(t *testing.T) {
	var look func(reflect.Type)
	look = func(in reflect.Type) {
		for i := range in.NumField() {
			f := in.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key != "" && !regexp.MustCompile(`\b`+key+`\b`).MatchString(Example) {
				t.Errorf("%s is not in it", key)
			}
			kind := f.Type
			if kind.Kind() == reflect.Slice {
				kind = kind.Elem()
			}
			if kind.Kind() == reflect.Struct && kind != reflect.TypeFor[text]() {
				look(kind)
			}
		}
	}
	look(reflect.TypeFor[rawFile]())
}

func TestErrorsOfTheGatewayNameTheFilesKeys(t *testing.T) {
	const short = "tunnels:\n  - outside: {remote_address: 203.0.113.10}\n    pre_shared_key: ExampleKey_0123456789\n    "
	for text, want := range map[string]string{
		"replay_window: 10":         "replay_window 10: 64 to 2048",
		"liveness: {interval: 1ms}": "liveness.interval and timeout 1ms/20s",
		"ike_versions: [1]\n    phase1: {encryption: [AES256-GCM-16]}":                        "ike_versions [1]: no IKE suite is left",
		"ike_versions: [1]\n    resumption: true":                                             "resumption: IKEv1 has none",
		"phase2: {additional_key_exchanges: [DH14], additional_key_exchanges_required: true}": "ike_versions [2 1]: every suite of a phase asks for additional_key_exchanges",
		"ike_versions: [ikev2]\n    ppk_required: true":                                       "ppk_required: there is no PPK; give ppk_file and ppk_id",
		"rekey: {margin: 50m}": "rekey.margin 50m0s must be at most half of phase2.lifetime",
		"interface: a/b":       `interface "a/b": a link name has`,
		"startup_action: add\n  - outside: {remote_address: any}\n    pre_shared_key: ExampleKey_01": "outside.remote_address: missing; only a peer with certificates",
	} {
		_, err := Parse([]byte(short+text+"\n"), t.TempDir())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it to say %q", text, err, want)
		}
	}
}
