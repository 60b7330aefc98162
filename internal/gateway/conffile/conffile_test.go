package conffile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// minimal is the least that a gateway needs.
const minimal = `
name: office
routes: [10.0.0.0/16]
tunnels:
  - outside: {remote_address: 203.0.113.10, local_id: 198.51.100.2}
    pre_shared_key: ExampleKey_0123456789
    inside_cidr: 169.254.10.0/30
  - outside: {remote_address: 203.0.113.11}
    pre_shared_key_file: second.psk
    inside_address: 169.254.11.2/30
    phase1: {encryption: [AES256], integrity: [SHA2-256], dh_groups: [14], lifetime: 8h}
    phase2: {encryption: [AES256], integrity: [SHA2-256], dh_groups: [14], lifetime: 1h}
    liveness: {interval: 300ms, timeout: 1s}
`

// folder is a directory with the key file that minimal names.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "second.psk"), []byte("AnotherKey_0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMinimalFileMeansWhatItSays(t *testing.T) {
	f, err := Parse([]byte(minimal), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	one, two := f.Gateway.Tunnels[0], f.Gateway.Tunnels[1]
	for _, c := range []struct{ field, got, want string }{
		{"name of tunnel 1", one.ID, "tunnel-1"},
		{"interface of tunnel 2", two.Interface, "tun2"},
		{"our inside address", one.Inside.String(), "169.254.10.2/30"},
		{"key of tunnel 1", string(one.PSK.Reveal()), "ExampleKey_0123456789"},
		{"key of tunnel 2", string(two.PSK.Reveal()), "AnotherKey_0123456789"},
		{"route of tunnel 2", two.Routes[0].String(), "10.0.0.0/16"},
		{"liveness", two.Liveness.Interval.String(), "300ms"},
		{"first IKE suite of tunnel 2", two.IKE[0].String(), "AES256/SHA2-256/PRF-SHA2-256/DH14"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.field, c.got, c.want)
		}
	}
	if !one.Initiate || !f.Gateway.Forward {
		t.Errorf("got initiate %v and forwarding %v, want both by default", one.Initiate, f.Gateway.Forward)
	}
	if two.Lifetime.Phase1 != 8*time.Hour {
		t.Errorf("phase 1 lifetime: got %v, want 8h", two.Lifetime.Phase1)
	}
}

// A weak algorithm works, but never by default: tunnel 1 of minimal names none.
func TestWeakAlgorithmsAreUsedOnlyWhenNamed(t *testing.T) {
	for text, weak := range map[string]bool{
		"": false, "phase1: {integrity: [SHA1], dh_groups: [14]}": true, "phase1: {dh_groups: [2]}": true, "phase1: {dh_groups: [5]}": true,
		"phase1: {dh_groups: [24]}": true, "phase1: {encryption: [AES128]}": false, "phase1: {integrity: [SHA2-512]}": false,
		"phase2: {dh_groups: [22]}": true, "phase2: {encryption: [AES128], integrity: [SHA1]}": true, "phase2: {encryption: [CHACHA20-POLY1305]}": false,
	} {
		one := strings.Replace(minimal, "    inside_cidr: 169.254.10.0/30\n", "    inside_cidr: 169.254.10.0/30\n    "+text+"\n", 1)
		f, err := Parse([]byte(one), folder(t))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := slices.ContainsFunc(f.Gateway.Tunnels[0].IKE, suite.IKE.Weak) || slices.ContainsFunc(f.Gateway.Tunnels[0].ESP, suite.ESP.Weak)
		if got != weak {
			t.Errorf("%q: got a weak suite %v, want %v", text, got, weak)
		}
	}
}

func TestFormatIsReadBackAsItWas(t *testing.T) {
	want, err := Parse([]byte(minimal), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Format(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b, t.TempDir())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v,\nwant %+v\nfrom\n%s", got, want, b)
	}
}

func TestFormatFilesIsReadBackFromTheFilesThatItNames(t *testing.T) {
	want, err := Parse([]byte(minimal), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	ca := certtest.New(t, "authority")
	own, key := ca.Issue(certtest.Request{Name: "office"})
	tunnel := &want.Gateway.Tunnels[0]
	tunnel.PSK, tunnel.Outside.LocalID = secret.Secret{}, ""
	tunnel.Certificates = gateway.Certificates{Own: own, Key: secret.New(key), CA: ca.PEM()}
	if _, err := Format(want); err == nil {
		t.Error("Format of a configuration with certificates: got no error, want one")
	}
	text, others, err := FormatFiles(want)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range others {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Parse(text, dir)
	if err != nil || len(others) != 3 {
		t.Fatalf("got %d files, %v, want 3, and to read\n%s", len(others), err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v,\nwant %+v\nfrom\n%s", got, want, text)
	}
	tunnel.Certificates.OCSP = []byte("a response")
	if _, _, err := FormatFiles(want); err == nil {
		t.Error("FormatFiles with an OCSP response: got no error, want one")
	}
}

func TestStateDirectoryIsLookedUpBesideTheFile(t *testing.T) {
	dir := folder(t)
	for name, want := range map[string]string{"state": filepath.Join(dir, "state"), "/var/lib/seikan": "/var/lib/seikan"} {
		f, err := Parse([]byte(minimal+"state_directory: "+name+"\n"), dir)
		if err != nil || f.State != want {
			t.Errorf("%s: got %q, %v, want %q", name, f.State, err, want)
		}
		b, err := Format(f)
		if err != nil || !strings.Contains(string(b), "state_directory: "+want) {
			t.Errorf("%s: written as %s, %v", name, b, err)
		}
	}
}

func TestErrorsNameLineFieldValueAndRule(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "name: office", "nam: office", "line 2: no option is called nam"},
		{"suite", "encryption: [AES256]", "encryption: [DES]", `line 11: phase1.encryption: `},
		{"group", "dh_groups: [14]", "dh_groups: [1]", "phase1.dh_groups"},
		{"key too short", "ExampleKey_0123456789", "short", "line 6: pre_shared_key: 5 characters given; a key has 8 to 64"},
		{"key begins with 0", "ExampleKey_0123456789", "0ExampleKey", "does not start with 0"},
		{"two keys", "pre_shared_key: ExampleKey_0123456789", "pre_shared_key: ExampleKey_0123456789\n    pre_shared_key_file: second.psk", "give either pre_shared_key or pre_shared_key_file"},
		{"inside", "169.254.10.0/30", "10.1.0.0/30", `line 7: inside_cidr: "10.1.0.0/30" is not a /30 of 169.254.0.0/16`},
		{"peer", "remote_address: 203.0.113.11", "remote_address: aws.example", `outside.remote_address: "aws.example" is not an IPv4 address`},
		{"lifetime", "lifetime: 1h", "lifetime: 9h", "phase2.lifetime 9h0m0s must be shorter than phase1.lifetime"},
		{"route to the peer itself", "10.0.0.0/16", "0.0.0.0/0", "holds the peer's own address"},
		{"route to the other peer", "10.0.0.0/16", "203.0.113.11/32", "peer's own address 203.0.113.11 of tunnel tunnel-2"},
		{"fuzz", "    liveness:", "    rekey: {fuzz_percent: 101}\n    liveness:", "rekey.fuzz_percent: 101"},
		{"second document", "name: office", "name: office\n---\nname: shop", "more than one YAML document"},
		{"duration", "interval: 300ms", "interval: soon", `liveness.interval: "soon" is not a duration`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.Replace(minimal, tt.old, tt.new, 1)
			if in == minimal {
				t.Fatalf("the case changes nothing: %q is not in the file", tt.old)
			}
			_, err := Parse([]byte(in), folder(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestKeysAreInNoError(t *testing.T) {
	const key = "0ExampleKey-with+bad/letters"
	_, err := Parse([]byte(strings.Replace(minimal, "ExampleKey_0123456789", key, 1)), folder(t))
	if err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want an error without the key", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Parse(in, t.TempDir())
		if err != nil {
			return
		}
		b, err := Format(got)
		if errors.Is(err, errFiles) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(b, t.TempDir()); err != nil {
			t.Fatalf("%q was read but its own form is not: %v\n%s", in, err, b)
		}
	})
}
