package awsconfig

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The keys of the sample files.
const (
	key1 = "KeyOfTunnelOne.For_Tests.Only.01"
	key2 = "KeyOfTunnelTwo.For_Tests.Only.02"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples() []string {
	return []string{"bgp.xml", "static.xml", "bgp.txt", "static.txt", "bgp.json", "static.json", "inside-ipv6.json"}
}

// dump is a connection for people, without keys.
func dump(c Connection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s customer gateway %q gateway %q static %v\n", c.Format, c.ID, c.CustomerGatewayID, c.GatewayID, c.Static)
	if c.Options != nil {
		fmt.Fprintf(&b, "options: %+v\n", *c.Options)
	}
	for i, t := range c.Tunnels {
		fmt.Fprintf(&b, "tunnel %d:\n  customer %+v\n  AWS      %+v\n  key of %d, hold time %v, DPD %v × %d, MSS %d\n", i+1, t.Customer, t.AWS, t.PSK.Len(), t.HoldTime, t.DPD.Interval, t.DPD.Retries, t.MSS)
		fmt.Fprintf(&b, "  states IKE %+v\n         ESP %+v\n", t.Stated.IKE, t.Stated.ESP)
		if o := t.Options; o != nil {
			fuzz := "unknown"
			if o.RekeyFuzz != nil {
				fuzz = fmt.Sprint(*o.RekeyFuzz)
			}
			fmt.Fprintf(&b, "  allows phase 1 %+v\n         phase 2 %+v\n         versions %v, margin %v, fuzz %s, replay window %d, AWS starts %v\n", o.Phase1, o.Phase2, o.IKEVersions, o.RekeyMargin, fuzz, o.ReplayWindow, o.AWSStarts)
		}
	}
	return b.String()
}

func TestSamplesAreRead(t *testing.T) {
	for _, name := range samples() {
		c, err := Parse(sample(t, name), "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(c.Tunnels[0].PSK.Reveal()) != key1 || string(c.Tunnels[1].PSK.Reveal()) != key2 {
			t.Errorf("%s: the keys are not those of the file's tunnels", name)
		}
		golden, got := filepath.Join("testdata", name+".golden"), dump(c)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); got != string(want) {
			t.Errorf("%s differs; got\n%s\nwant\n%s", golden, got, want)
		}
	}
}

func TestTheThreeFormatsOfOneConnectionAgree(t *testing.T) {
	for _, kind := range []string{"bgp", "static"} {
		var first Connection
		for i, ext := range []string{".xml", ".txt", ".json"} {
			c, err := Parse(sample(t, kind+ext), "")
			if err != nil {
				t.Fatal(err)
			}
			c.Format, c.GatewayID, c.Options = "", "", nil
			c.Tunnels[0].Options, c.Tunnels[1].Options = nil, nil
			if i == 0 {
				first = c
			} else if dump(c) != dump(first) {
				t.Errorf("%s%s says\n%s\nbut the XML\n%s", kind, ext, dump(c), dump(first))
			}
		}
	}
}

func TestFilesAreReadAsEditorsAndShellsSaveThem(t *testing.T) {
	plain := sample(t, "static.xml")
	want, err := Parse(plain, "")
	if err != nil {
		t.Fatal(err)
	}
	utf16le := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(string(plain))) {
		utf16le = binary.LittleEndian.AppendUint16(utf16le, u)
	}
	for name, b := range map[string][]byte{
		"byte order mark":         append([]byte("\xef\xbb\xbf"), plain...),
		"UTF-16":                  utf16le,
		"carriage returns":        []byte(strings.ReplaceAll(string(plain), "\n", "\r\n")),
		"blank lines around":      []byte("\n\n" + strings.TrimPrefix(string(plain), `<?xml version="1.0" encoding="UTF-8"?>`) + "\n\n"),
		"unknown elements":        []byte(strings.Replace(string(plain), "<ipsec_tunnel>", "<news><of a='1'>x</of></news><ipsec_tunnel>", 1)),
		"all on one line":         []byte(regexp.MustCompile(`>\s+<`).ReplaceAllString(string(plain), "><")),
		"comments":                []byte(strings.Replace(string(plain), "<ike>", "<!-- of <ike> --><ike>", 1)),
		"empty routing attribute": []byte(strings.Replace(string(plain), "NoBGPVPNConnection", "", 1)),
	} {
		got, err := Parse(b, "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if dump(got) != dump(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, dump(got), dump(want))
		}
	}
}

func TestJSONIsReadInEveryShapeInWhichItIsSaved(t *testing.T) {
	var answer struct{ VpnConnections []json.RawMessage }
	if err := json.Unmarshal(sample(t, "bgp.json"), &answer); err != nil {
		t.Fatal(err)
	}
	one := string(answer.VpnConnections[1])
	other := strings.ReplaceAll(one, "vpn-0123456789abcdef0", "vpn-0fedcba9876543210")
	want := dump(must(t, string(sample(t, "bgp.json")), ""))
	text, err := json.Marshal(map[string]string{"VpnConnectionDeviceSampleConfiguration": string(sample(t, "bgp.txt"))})
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"one by --query":              one,
		"a list by --query":           "[" + one + "]",
		"create-vpn-connection":       `{"VpnConnection":` + one + "}",
		"one of two, named":           `{"VpnConnections":[` + other + "," + one + "]}",
		"XML without the key":         strings.Replace(one, "<pre_shared_key>"+key1+"</pre_shared_key>", "", 1),
		"XML with an empty key":       strings.Replace(one, "<pre_shared_key>"+key2, "<pre_shared_key>", 1),
		"something that is not known": strings.Replace(one, `"Category"`, `"News": {"of": [1, null, true]}, "Category"`, 1),
	} {
		if got := dump(must(t, in, "vpn-0123456789abcdef0")); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	if got := must(t, string(text), ""); got.Format != Text || got.Tunnels[1].Customer.ASN != 65000 {
		t.Errorf("the text within JSON: got\n%s", dump(got))
	}
}

func must(t *testing.T, in, id string) Connection {
	t.Helper()
	c, err := Parse([]byte(in), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNoPartOfAFileIsAFile(t *testing.T) {
	for _, name := range samples() {
		whole, step := sample(t, name), 1
		if strings.HasSuffix(name, ".txt") {
			// Prose follows; the last line that counts is one of section 4.
			whole = regexp.MustCompile(`(?s)^.*\n  - [^\n]*`).Find(whole)
			whole = whole[:strings.LastIndex(string(whole), ":")+2]
			step = 11
		}
		whole = []byte(strings.TrimSpace(string(whole)))
		if strings.HasSuffix(name, ".json") {
			step = 101
		}
		for n := 0; n < len(whole); n += step {
			_, err := Parse(whole[:n], "")
			if err == nil {
				t.Fatalf("%s: the first %d of %d bytes are taken for a whole file", name, n, len(whole))
			}
			if s := err.Error(); strings.Contains(s, key1[:8]) || strings.Contains(s, key2[:8]) {
				t.Fatalf("%s, %d bytes: the error holds a key: %s", name, n, s)
			}
		}
	}
}

func TestConnectionsPrintNoKeys(t *testing.T) {
	c := must(t, string(sample(t, "bgp.json")), "")
	if s := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(s, "Only.0") {
		t.Error("a key is in what fmt prints")
	}
	if reflect.TypeOf(c.Tunnels[0].PSK).String() != "secret.Secret" {
		t.Error("the key is no secret.Secret")
	}
}
