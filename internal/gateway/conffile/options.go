package conffile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// rawCertificates are the keys of a tunnel that authenticates by certificate.
type rawCertificates struct {
	Own  string `yaml:"certificate_file,omitempty"`
	Key  string `yaml:"private_key_file,omitempty"`
	CA   string `yaml:"ca_file,omitempty"`
	CRL  string `yaml:"crl_file,omitempty"`
	OCSP string `yaml:"ocsp_file,omitempty"`
	PSS  bool   `yaml:"rsa_pss,omitempty"`
	Weak bool   `yaml:"weak_keys,omitempty"`
}

func (rc rawCertificates) used() bool { return rc != rawCertificates{} }

// rawExtensions are the keys of what is negotiated beyond AWS's options.
type rawExtensions struct {
	Fragmentation *bool  `yaml:"fragmentation,omitempty"`
	FragmentSize  int    `yaml:"fragment_size,omitempty"`
	MOBIKE        *bool  `yaml:"mobike,omitempty"`
	Resumption    bool   `yaml:"resumption,omitempty"`
	PPKFile       string `yaml:"ppk_file,omitempty"`
	PPKID         string `yaml:"ppk_id,omitempty"`
	PPKRequired   bool   `yaml:"ppk_required,omitempty"`
}

// A directory is where file names that are not absolute are looked up.
type directory string

// read reads the file called name for the option field. Nothing that an option
// names is larger than maxSize.
func (dir directory) read(field, name string) ([]byte, error) {
	f, err := dir.open(field, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return contents(field, f)
}

// readSecret is read for a file that nobody else may read.
func (dir directory) readSecret(field, name string) ([]byte, error) {
	f, err := dir.open(field, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: %s has mode %#o, so that others than its owner can read or write it; run chmod 600 %[2]s", field, f.Name(), mode)
	}
	return contents(field, f)
}

func (dir directory) open(field, name string) (*os.File, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(string(dir), name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return f, nil
}

func contents(field string, f *os.File) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", field, err)
	case len(b) > maxSize:
		return nil, fmt.Errorf("%s: %s is larger than %d bytes", field, f.Name(), maxSize)
	case len(b) == 0:
		return nil, fmt.Errorf("%s: %s is empty", field, f.Name())
	}
	return b, nil
}

// proof reads what the tunnel authenticates by: a pre-shared key or
// certificates.
func (rt rawTunnel) proof(t *gateway.Tunnel, dir directory) error {
	if !rt.Certificates.used() {
		return rt.psk(t, dir)
	}
	if rt.PSK.value != "" || rt.PSKFile != "" {
		return errors.New("pre_shared_key and certificates are both given; a tunnel authenticates by one of them")
	}
	for _, f := range []struct {
		field, name string
		out         *[]byte
	}{
		{"certificate_file", rt.Certificates.Own, &t.Certificates.Own},
		{"ca_file", rt.Certificates.CA, &t.Certificates.CA},
		{"crl_file", rt.Certificates.CRL, &t.Certificates.CRL},
		{"ocsp_file", rt.Certificates.OCSP, &t.Certificates.OCSP},
	} {
		if f.name == "" {
			continue
		}
		b, err := dir.read(f.field, f.name)
		if err != nil {
			return err
		}
		*f.out = b
	}
	for _, f := range []struct{ field, name, use string }{
		{"certificate_file", rt.Certificates.Own, "our certificate in PEM, then the intermediate ones"},
		{"private_key_file", rt.Certificates.Key, "the private key of our certificate in PEM"},
		{"ca_file", rt.Certificates.CA, "the certificates in PEM of those whose signature on the peer's we accept"},
	} {
		if f.name == "" {
			return fmt.Errorf("%s: missing; a tunnel with certificates needs %s", f.field, f.use)
		}
	}
	t.Certificates.PSS, t.Certificates.WeakKeys = rt.Certificates.PSS, rt.Certificates.Weak
	key, err := dir.readSecret("private_key_file", rt.Certificates.Key)
	t.Certificates.Key = secret.New(key)
	return err
}

// versions reads the versions of IKE, highest first as they are tried.
func (rt rawTunnel) versions(t *gateway.Tunnel) error {
	for _, v := range rt.IKEVersions {
		n, err := strconv.Atoi(strings.TrimPrefix(v.value, "ikev")) // AWS's words have it
		if err != nil || n != 1 && n != 2 {
			return v.errorf("ike_versions", "%q is not 1 or 2", v.value)
		}
		if slices.Contains(t.Versions, n) {
			return v.errorf("ike_versions", "%d stands there twice; once is enough", n)
		}
		t.Versions = append(t.Versions, n)
	}
	slices.Sort(t.Versions)
	slices.Reverse(t.Versions)
	return nil
}

// dpdActions are AWS's words (vpn §2.1 DPDTimeoutAction).
func dpdActions() map[string]policy.Action {
	return map[string]policy.Action{"": policy.ActionDefault, "clear": policy.Clear, "none": policy.None, "restart": policy.Restart}
}

func (rt rawTunnel) dpdAction(t *gateway.Tunnel) error {
	action, ok := dpdActions()[rt.DPDAction.value]
	if !ok {
		return rt.DPDAction.errorf("dpd_action", "%q is not clear (wait for the peer or for an operator), none (probe nobody) or restart (call the peer again)", rt.DPDAction.value)
	}
	t.Liveness.Action = action
	return nil
}

// extensions reads the options beyond AWS's.
func (rt rawTunnel) extensions(t *gateway.Tunnel, dir directory) error {
	in, out := rt.Extensions, &t.Extensions
	out.FragmentSize, out.Resumption = in.FragmentSize, in.Resumption
	out.NoFragmentation = in.Fragmentation != nil && !*in.Fragmentation
	out.NoMOBIKE = in.MOBIKE != nil && !*in.MOBIKE
	out.PPKID, out.PPKRequired = in.PPKID, in.PPKRequired
	if out.NoFragmentation && in.FragmentSize != 0 {
		return errors.New("fragment_size: given although fragmentation is false; leave one of them out")
	}
	if (in.PPKFile == "") != (in.PPKID == "") {
		return errors.New("ppk_file and ppk_id: a post-quantum pre-shared key and its name come together; give both or neither")
	}
	if in.PPKFile == "" {
		return nil
	}
	b, err := dir.readSecret("ppk_file", in.PPKFile)
	if err != nil {
		return err
	}
	key := strings.TrimRight(string(b), "\r\n")
	if len(key) < minPPK {
		return fmt.Errorf("ppk_file: %d bytes; a post-quantum pre-shared key has at least %d, drawn at random", len(key), minPPK)
	}
	out.PPK = secret.FromString(key)
	return nil
}

// minPPK is the least entropy that RFC 8784 section 6 asks for, 256 bits, in
// octets that could hold it.
const minPPK = 32
