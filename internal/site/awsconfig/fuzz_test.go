package awsconfig

import (
	"regexp"
	"strings"
	"testing"
)

// keyIn finds what a file has for keys.
var keyIn = regexp.MustCompile(`(?:<pre_shared_key>|"PreSharedKey": "|- Pre-Shared Key           : )([^<"\\\s]{8,})`)

// laws hold of every input: what is accepted is a whole connection, read the
// same way twice, and no error holds a key.
func laws(t *testing.T, in []byte) {
	c, err := Parse(in, "")
	if err != nil {
		for _, m := range keyIn.FindAllSubmatch(in, -1) {
			if key := string(m[1]); strings.Count(string(in), key) == 1 && strings.Contains(err.Error(), key) {
				t.Fatalf("the error holds a key: %v", err)
			}
		}
		if len(err.Error()) > 4000 {
			t.Fatalf("an error of %d characters", len(err.Error()))
		}
		return
	}
	again, err := Parse(in, c.ID)
	if err != nil || dump(again) != dump(c) {
		t.Fatalf("read again: got %s, %v, want %s", dump(again), err, dump(c))
	}
	for _, tun := range c.Tunnels {
		if pskRule(string(tun.PSK.Reveal())) != "" || !tun.AWS.Outside.IsValid() || !tun.Customer.Outside.IsValid() || !tun.Customer.Inside.IsValid() {
			t.Fatalf("not whole: %s", dump(c))
		}
		if c.Static != (tun.Customer.ASN == 0) || c.Static != (tun.HoldTime == 0) {
			t.Fatalf("neither static nor BGP: %s", dump(c))
		}
	}
	if c.Tunnels[0].Customer.Inside.Overlaps(c.Tunnels[1].Customer.Inside) || c.Tunnels[0].AWS.Outside.Compare(c.Tunnels[1].AWS.Outside) >= 0 {
		t.Fatalf("the tunnels are not two in order: %s", dump(c))
	}
}

func fuzz(f *testing.F, format Format, names ...string) {
	for _, name := range names {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		// Each target stays with its format; the others have targets of their own.
		if _, found, err := Recognise(in); err == nil && found == format {
			laws(t, in)
		}
	})
}

func FuzzXML(f *testing.F)  { fuzz(f, XML, "bgp.xml", "static.xml") }
func FuzzText(f *testing.F) { fuzz(f, Text, "bgp.txt", "static.txt") }
func FuzzJSON(f *testing.F) { fuzz(f, JSON, "bgp.json", "static.json", "inside-ipv6.json") }
