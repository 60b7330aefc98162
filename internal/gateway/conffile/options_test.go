package conffile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/ipsec/ike/policy"
)

// with is minimal with more keys for tunnel 2.
func with(more string) string { return minimal + "    " + more + "\n" }

// write makes a file of dir with mode.
func write(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestOptionsArriveAtTheTunnel(t *testing.T) {
	dir := folder(t)
	write(t, dir, "ppk", strings.Repeat("p", minPPK)+"\n", 0o600)
	for _, tt := range []struct {
		text string
		got  func(gateway.Tunnel) any
		want any
	}{
		{"ike_versions: [2]", func(t gateway.Tunnel) any { return t.Versions }, []int{2}},
		{"dpd_action: clear", func(t gateway.Tunnel) any { return t.Liveness.Action }, policy.Clear},
		{"dpd_action: none", func(t gateway.Tunnel) any { return t.Liveness.Action }, policy.None},
		{"dpd_action: restart", func(t gateway.Tunnel) any { return t.Liveness.Action }, policy.Restart},
		{"startup_action: add", func(t gateway.Tunnel) any { return t.Initiate }, false},
		{"fragmentation: false", func(t gateway.Tunnel) any { return t.Extensions.NoFragmentation }, true},
		{"fragment_size: 600", func(t gateway.Tunnel) any { return t.Extensions.FragmentSize }, 600},
		{"mobike: false", func(t gateway.Tunnel) any { return t.Extensions.NoMOBIKE }, true},
		{"mobike: true", func(t gateway.Tunnel) any { return t.Extensions.NoMOBIKE }, false},
		{"resumption: true", func(t gateway.Tunnel) any { return t.Extensions.Resumption }, true},
		{"ike_versions: [2]\n    ppk_file: ppk\n    ppk_id: one\n    ppk_required: true", func(t gateway.Tunnel) any {
			return string(t.Extensions.PPK.Reveal()) + t.Extensions.PPKID
		}, strings.Repeat("p", minPPK) + "one"},
	} {
		f, err := Parse([]byte(with(tt.text)), dir)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got := tt.got(f.Gateway.Tunnels[1]); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.text, got, tt.want)
		}
		if f.Gateway.Tunnels[1].Extensions.PPKID != "" {
			if _, err := Format(f); err == nil {
				t.Errorf("%s: got a text, want an error, since its key has no place in it", tt.text)
			}
			continue
		}
		b, err := Format(f)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(b, t.TempDir()); err != nil || !reflect.DeepEqual(again, f) {
			t.Errorf("%s: read back: got %+v, %v, want %+v", tt.text, again, err, f)
		}
	}
}

func TestWrongOptionsAreRefusedWithTheirCure(t *testing.T) {
	dir := folder(t)
	write(t, dir, "ppk", strings.Repeat("p", minPPK), 0o600)
	write(t, dir, "short", "ppk", 0o600)
	write(t, dir, "open", strings.Repeat("p", minPPK), 0o640)
	write(t, dir, "empty", "", 0o600)
	for _, tt := range []struct{ text, want string }{
		{"ike_versions: [3]", `line 14: ike_versions: "3" is not 1 or 2`},
		{"ike_versions: [2, 2]", "2 stands there twice"},
		{"dpd_action: hold", `line 14: dpd_action: "hold" is not clear`},
		{"startup_action: now", `line 14: startup_action: "now" is not start`},
		{"fragment_size: 100", "fragment_size 100: 576 to 65535"},
		{"fragmentation: false\n    fragment_size: 1000", "leave one of them out"},
		{"ppk_file: ppk", "ppk_file and ppk_id"},
		{"ppk_id: one", "ppk_file and ppk_id"},
		{"ppk_required: true", "there is no PPK"},
		{"ppk_file: short\n    ppk_id: one", "ppk_file: 3 bytes; a post-quantum pre-shared key has at least 32"},
		{"ppk_file: empty\n    ppk_id: one", "is empty"},
		{"ppk_file: open\n    ppk_id: one", "has mode 0640, so that others than its owner can read or write it; run chmod 600"},
		{"ppk_file: nothing\n    ppk_id: one", "ppk_file: open"},
		{"ike_versions: [2, 1]\n    ppk_file: ppk\n    ppk_id: one\n    ppk_required: true", "allow version 2 only"},
	} {
		if _, err := Parse([]byte(with(tt.text)), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", tt.text, err, tt.want)
		}
	}
	for _, tt := range []struct{ phase, want string }{
		{"additional_key_exchanges: [ML-KEM-512]", "line 11: phase1.additional_key_exchanges: "},
		{"additional_key_exchanges: [DH14, DH15, DH16, DH17, DH18, DH19, DH20, DH21]", "there is room for 7"},
		{"additional_key_exchanges_required: true", "set although none is named"},
		{"additional_key_exchanges: [ML-KEM-768], additional_key_exchanges_required: true", "which IKEv1 has not"},
	} {
		in := strings.Replace(with("ike_versions: [1, 2]"), "lifetime: 8h", tt.phase, 1)
		if _, err := Parse([]byte(in), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", tt.phase, err, tt.want)
		}
	}
	any := strings.Replace(minimal, "remote_address: 203.0.113.11", "remote_address: any", 1)
	if _, err := Parse([]byte(any), dir); err == nil || !strings.Contains(err.Error(), "only a peer with certificates may come from any address") {
		t.Errorf("a pre-shared key and any address: got %v, want a refusal", err)
	}
}

func TestKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	dir := folder(t)
	if err := os.Chmod(filepath.Join(dir, "second.psk"), 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := Parse([]byte(minimal), dir); err == nil || !strings.Contains(err.Error(), "pre_shared_key_file: ") || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v, want a refusal with its cure", err)
	}
}

func TestAdditionalKeyExchangesArePreferredAndWhereAskedRequired(t *testing.T) {
	for _, tt := range []struct{ phase, want string }{
		{"additional_key_exchanges: [ML-KEM-768]", "AES256/SHA2-256/PRF-SHA2-256/DH14/ML-KEM-768 AES256/SHA2-256/PRF-SHA2-256/DH14"},
		{"additional_key_exchanges: [ML-KEM-768, DH20], additional_key_exchanges_required: true", "AES256/SHA2-256/PRF-SHA2-256/DH14/ML-KEM-768/DH20"},
	} {
		f, err := Parse([]byte(strings.Replace(with("ike_versions: [2]"), "lifetime: 8h", tt.phase, 1)), folder(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range f.Gateway.Tunnels[1].IKE {
			got = append(got, s.String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.phase, got, tt.want)
		}
		b, err := Format(f)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Parse(b, t.TempDir()); err != nil || !reflect.DeepEqual(again, f) {
			t.Errorf("%s: read back: got %+v, %v, want %+v", tt.phase, again, err, f)
		}
	}
}

// certified is minimal with certificates for tunnel 2.
func certified(more string) string {
	return strings.Replace(minimal, "pre_shared_key_file: second.psk", "certificate_file: own.pem\n    private_key_file: own.key\n    ca_file: ca.pem"+more, 1)
}

func TestCertificatesAreReadFromTheirFiles(t *testing.T) {
	ca := certtest.New(t, "CA")
	chain, key := ca.Issue(certtest.Request{Name: "gateway"})
	dir := folder(t)
	write(t, dir, "own.pem", string(chain), 0o644)
	write(t, dir, "own.key", string(key), 0o600)
	weak, weakKey := ca.Issue(certtest.Request{Name: "gateway", Kind: "rsa1024"})
	write(t, dir, "weak.pem", string(weak), 0o644)
	write(t, dir, "weak.key", string(weakKey), 0o600)
	write(t, dir, "open.key", string(key), 0o644)
	write(t, dir, "ca.pem", string(ca.PEM()), 0o644)
	write(t, dir, "ca.crl", string(ca.CRL()), 0o644)
	any := func(text string) string {
		return strings.Replace(text, "remote_address: 203.0.113.11", "remote_address: any, local_address: 192.0.2.1", 1)
	}
	f, err := Parse([]byte(any(certified("\n    crl_file: ca.crl\n    rsa_pss: true\n    weak_keys: true\n    startup_action: add"))), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := f.Gateway.Tunnels[1]
	// The key is compared by itself; a list is signed anew each time.
	want := gateway.Certificates{Own: chain, Key: got.Certificates.Key, CA: ca.PEM(), CRL: got.Certificates.CRL, PSS: true, WeakKeys: true}
	if !reflect.DeepEqual(got.Certificates, want) || string(got.Certificates.Key.Reveal()) != string(key) || len(got.Certificates.CRL) == 0 || got.Outside.Remote.IsValid() {
		t.Errorf("got %+v, want %+v, the key of the file and no remote address", got, want)
	}
	if _, err := Format(f); err == nil || !strings.Contains(err.Error(), "files of their own") {
		t.Errorf("Format: got %v, want a refusal", err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"key for all to read", strings.Replace(certified(""), "own.key", "open.key", 1), "private_key_file: " + dir + "/open.key has mode 0644"},
		{"no CA", strings.Replace(certified(""), "\n    ca_file: ca.pem", "", 1), "ca_file: missing; a tunnel with certificates needs the certificates in PEM of those"},
		{"a pre-shared key as well", certified("\n    pre_shared_key: ExampleKey_0123456789"), "a tunnel authenticates by one of them"},
		{"certificate that is a key", strings.Replace(certified(""), "own.pem", "own.key", 1), "certificate_file, private_key_file: certificate and key"},
		{"weak key", strings.Replace(strings.Replace(certified(""), "own.pem", "weak.pem", 1), "own.key", "weak.key", 1), "certificate_file, private_key_file: its RSA key has 1024 bits, which is weak; have a certificate for a key of 2048 at least, or allow weak keys (weak_keys: true)"},
		{"missing file", strings.Replace(certified(""), "own.pem", "no.pem", 1), "certificate_file: open " + dir + "/no.pem"},
		{"we start towards anybody", any(certified("")), "wait for it (startup action add)"},
	} {
		if _, err := Parse([]byte(tt.text), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", tt.name, err, tt.want)
		}
	}
}
