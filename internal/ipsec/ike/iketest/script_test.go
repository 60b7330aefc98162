package iketest

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

var update = flag.Bool("update", false, "rewrite the scripts with what they print")

// TestScripts plays every conversation under testdata.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := script.Play(makePair)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for i, b := range got.Blocks {
				if want := script.Blocks[i].Want; b.Want != want {
					t.Errorf("after %q:\ngot\n%s\nwant\n%s", b.Commands, b.Want, want)
				}
			}
		})
	}
}

// A setup is what one end is made of.
type setup struct {
	policy.Config
	shared *ikev2.Shared
	speaks string // versions of IKE: "1", "both", else 2
	reborn string // what it speaks after a reboot; "" for the same
}

// makePair reads "key=value" words: "a.psk=other" is for one end, "psk=same"
// for both, "nat=1000" puts end a behind a NAT.
func makePair(words []string) (*Net, error) {
	configs := [2]setup{{Config: config(0, 0)}, {Config: config(1, 0)}}
	var nat *NAT
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if key == "nat" {
			shift, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return nil, err
			}
			nat = &NAT{Public: addrA.Addr(), Shift: uint16(shift)}
			configs[0].Local = netip.MustParseAddrPort("192.168.1.2:500")
			continue
		}
		for i := range configs {
			field, one := strings.CutPrefix(key, string(rune('a'+i))+".")
			if !one && strings.Contains(key, ".") {
				continue
			}
			if err := set(&configs[i], i, field, value); err != nil {
				return nil, fmt.Errorf("%s: %w", w, err)
			}
		}
	}
	var machines [2]Machine
	var steered [2]*Nonces
	for i, c := range configs {
		steered[i] = &Nonces{Rand: c.Tuning.Rand}
		c.Tuning.Rand = steered[i]
		m, err := c.machine()
		if err != nil {
			return nil, err
		}
		machines[i] = m
	}
	n := NewNet(start, machines[0], machines[1])
	n.NAT, n.Nonces = nat, steered
	n.Remake = func(i int) (Machine, error) {
		c := configs[i]
		c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i), 99})
		c.speaks = cmp.Or(c.reborn, c.speaks)
		return c.machine()
	}
	n.Extra = func(n *Net, words []string) error { // a proof KIND: another certificate, or whom to trust
		if len(words) != 3 || words[1] != "proof" {
			return fmt.Errorf("unknown command %q", strings.Join(words, " "))
		}
		i := int(words[0][0] - 'a')
		if err := setAuth(&configs[i], i, words[2]); err != nil {
			return err
		}
		n.Step(i, ike.AuthChanged{Auth: configs[i].Auth})
		return nil
	}
	n.Revive = func(i int, state secret.Secret) (Machine, error) {
		c := configs[i]
		c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i), 98})
		return c.restored(n.Now, state)
	}
	return n, nil
}

// set changes one field of c.
func set(c *setup, end int, field, value string) error {
	var err error
	switch field {
	case "seed":
		var seed int
		seed, err = strconv.Atoi(value)
		c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(end), byte(seed)})
	case "psk":
		c.Auth.PSK = secret.FromString(value)
	case "auth":
		err = setAuth(c, end, value)
	case "ike":
		c.IKE, err = ikeSuites(value)
	case "esp":
		c.ESP, err = espSuites(value)
	case "id":
		c.LocalID, err = ike.ParseIdentity(value)
	case "peer":
		c.RemoteID, err = ike.ParseIdentity(value)
	case "ts":
		c.LocalTS, err = prefixes(value)
	case "peerts":
		c.RemoteTS, err = prefixes(value)
	case "fragment":
		c.Extensions.FragmentSize, err = strconv.Atoi(value)
	case "ppk": // name:key
		var key string
		c.Extensions.PPKID, key, _ = strings.Cut(value, ":")
		c.Extensions.PPK = secret.FromString(key)
	case "dpdaction":
		c.Liveness.Action = map[string]policy.Action{"clear": policy.Clear, "none": policy.None, "restart": policy.Restart}[value]
	case "flag":
		return setFlag(c, value)
	case "version":
		c.speaks, c.IKE = value, []suite.IKE{suiteV1}
	case "reborn":
		c.reborn = value
	default:
		return setTime(&c.Config, field, value)
	}
	return err
}

// ikeSuites reads "AES128:SHA2-256:14,19;AES256-GCM-16:SHA2-384:20/36/37",
// where additional key exchanges stand after the groups.
func ikeSuites(text string) ([]suite.IKE, error) {
	var out []suite.IKE
	for one := range strings.SplitSeq(text, ";") {
		e, i, groups, err := parseSuite(one)
		if err != nil {
			return nil, err
		}
		more, err := additional(one)
		if err != nil {
			return nil, err
		}
		for _, s := range suite.Combine([]suite.EncrKey{e}, []suite.Integ{i}, groups) {
			s.AddKE = more
			out = append(out, s)
		}
	}
	return out, nil
}

// espSuites is ikeSuites for CHILD SAs; group 0 is none, and "+ESN" after the
// cipher asks for extended sequence numbers.
func espSuites(text string) ([]suite.ESP, error) {
	var out []suite.ESP
	for one := range strings.SplitSeq(text, ";") {
		plain := strings.Replace(one, "+ESN", "", 1)
		e, i, groups, err := parseSuite(plain)
		if err != nil {
			return nil, err
		}
		more, err := additional(one)
		if err != nil {
			return nil, err
		}
		for _, s := range suite.CombineESP([]suite.EncrKey{e}, []suite.Integ{i}, groups) {
			s.ESN, s.AddKE = plain != one, more
			out = append(out, s)
		}
	}
	return out, nil
}

// additional are the numbers after slashes in one suite.
func additional(text string) (more suite.MoreKE, err error) {
	for i, g := range strings.Split(text, "/")[1:] {
		n, err := strconv.Atoi(g)
		if err != nil || i >= len(more) {
			return more, fmt.Errorf("%q: additional key exchange %d: %v", text, i+1, err)
		}
		more[i] = suite.Group(n)
	}
	return more, nil
}

func parseSuite(text string) (suite.EncrKey, suite.Integ, []suite.Group, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return suite.EncrKey{}, 0, nil, fmt.Errorf("%q: want cipher:hash:groups", text)
	}
	encr, bits, err := suite.ParseEncr(parts[0])
	if err != nil {
		return suite.EncrKey{}, 0, nil, err
	}
	integ, err := suite.ParseInteg(parts[1])
	if err != nil {
		return suite.EncrKey{}, 0, nil, err
	}
	var groups []suite.Group
	parts[2], _, _ = strings.Cut(parts[2], "/")
	for g := range strings.SplitSeq(parts[2], ",") {
		n, err := strconv.Atoi(g)
		if err != nil {
			return suite.EncrKey{}, 0, nil, err
		}
		groups = append(groups, suite.Group(n))
	}
	return suite.EncrKey{Encr: encr, KeyBits: bits}, integ, groups, nil
}
