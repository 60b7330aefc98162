package secret

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// key is what must never be seen, in a form that no placeholder contains.
const key = "Zq7.hunter2_kEy"

// holder is how secrets are held: exported, unexported, by pointer, in
// collections and in interfaces.
type holder struct {
	Name    string
	Key     Secret
	private Secret
	Pointer *Secret
	List    []Secret
	Map     map[string]Secret
	Any     any
}

// held is a holder full of the key.
func held() holder {
	s := FromString(key)
	return holder{"tunnel-1", s, s, &s, []Secret{s}, map[string]Secret{"psk": s}, s}
}

// wantHidden fails if out shows the key in any form that a formatter knows:
// as text, as octets in decimal or in hexadecimal, spaced or not.
func wantHidden(t *testing.T, how, out string) {
	t.Helper()
	b := []byte(key)
	decimal := strings.Trim(fmt.Sprint(b), "[]")
	low := strings.ToLower(out)
	for _, form := range []string{
		key, decimal, fmt.Sprintf("%x", b), fmt.Sprintf("% x", b), fmt.Sprintf("%#v", b[:4]), "0x5a, 0x71", "5a713", "WnE3Lmh1",
	} {
		if strings.Contains(low, strings.ToLower(form)) {
			t.Errorf("%s shows the secret as %q: %s", how, form, out)
		}
	}
}

func TestNoVerbPrintsASecret(t *testing.T) {
	s := FromString(key)
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
		for _, flags := range []string{"", "+", "#", " ", "-20", "020", "+#", "# ", ".3"} {
			format := "%" + flags + string(verb)
			wantHidden(t, format, fmt.Sprintf(format, s))
			if verb != 'p' { // %p of a pointer is its address
				wantHidden(t, format+" of a pointer", fmt.Sprintf(format, &s))
			}
		}
	}
	for _, format := range []string{"%v", "%s", "%q", "%x", "%d", "%#v", "%+v"} {
		if got := fmt.Sprintf(format, s); got != redacted {
			t.Errorf("%s: got %q, want %q", format, got, redacted)
		}
	}
	for how, got := range map[string]string{"String": s.String(), "Sprint": fmt.Sprint(s), "Sprintln": strings.TrimSpace(fmt.Sprintln(s))} {
		if got != redacted {
			t.Errorf("%s: got %q, want %q", how, got, redacted)
		}
	}
	wantHidden(t, "an error", fmt.Errorf("bad key %v: %w", s, errEncode).Error())
}

func TestNoVerbPrintsASecretHeldByOthers(t *testing.T) {
	h := held()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		wantHidden(t, format, fmt.Sprintf(format, h))
		wantHidden(t, format+" of a pointer", fmt.Sprintf(format, &h))
		wantHidden(t, format+" of a list", fmt.Sprintf(format, []holder{h}))
		wantHidden(t, format+" of a map", fmt.Sprintf(format, map[string]holder{"a": h}))
		wantHidden(t, format+" of a map of keys", fmt.Sprintf(format, map[*Secret]Secret{&h.Key: h.Key}))
	}
	if got := fmt.Sprintf("%+v", struct{ K Secret }{h.Key}); got != "{K:"+redacted+"}" {
		t.Errorf("%%+v of a struct: got %q, want the placeholder in it", got)
	}
	if got := fmt.Sprintf("%#v", struct{ K Secret }{h.Key}); !strings.Contains(got, redacted) {
		t.Errorf("%%#v of a struct: got %q, want the placeholder in it", got)
	}
}

func TestNoLogHandlerPrintsASecret(t *testing.T) {
	var out bytes.Buffer
	s, h := FromString(key), held()
	for name, handler := range map[string]slog.Handler{
		"text": slog.NewTextHandler(&out, nil),
		"JSON": slog.NewJSONHandler(&out, nil),
	} {
		out.Reset()
		log := slog.New(handler).With("psk", s)
		log.Info("up", "key", s, "pointer", &s, "holder", h, "holders", []*holder{&h}, slog.Group("g", "key", s))
		wantHidden(t, name+" handler", out.String())
		if !strings.Contains(out.String(), "psk") || !strings.Contains(out.String(), redacted) {
			t.Errorf("%s handler: got %s, want the placeholder under psk", name, out.String())
		}
	}
}

func TestEveryEncoderRefusesASecret(t *testing.T) {
	s := FromString(key)
	encoders := map[string]func(v any) ([]byte, error){
		"JSON": json.Marshal,
		"YAML": yaml.Marshal,
		"XML":  xml.Marshal,
		"gob": func(v any) ([]byte, error) {
			var out bytes.Buffer
			err := gob.NewEncoder(&out).Encode(v)
			return out.Bytes(), err
		},
	}
	values := map[string]any{
		"itself":    s,
		"a pointer": &s,
		"a field":   struct{ Key Secret }{s},
		"a list":    struct{ Keys []Secret }{[]Secret{s}},
	}
	for encoder, encode := range encoders {
		for what, v := range values {
			out, err := encode(v)
			if err == nil {
				t.Errorf("%s of %s: got %q, want an error", encoder, what, out)
				continue
			}
			wantHidden(t, encoder+" of "+what, string(out))
			wantHidden(t, "the error of "+encoder+" of "+what, err.Error())
		}
	}
	if out, err := json.Marshal(map[string]any{"psk": s}); err == nil {
		t.Errorf("JSON of a map: got %s, want an error", out)
	}
}

func TestEqualComparesContents(t *testing.T) {
	a := FromString(key)
	cases := []struct {
		name string
		b    Secret
		want bool
	}{
		{"itself", a, true},
		{"the same octets", New([]byte(key)), true},
		{"another last octet", FromString(key[:len(key)-1] + "!"), false},
		{"another first octet", FromString("!" + key[1:]), false},
		{"a prefix", FromString(key[:5]), false},
		{"more", FromString(key + "x"), false},
		{"nothing", Secret{}, false},
	}
	for _, c := range cases {
		if got := a.Equal(c.b); got != c.want {
			t.Errorf("equal to %s: got %v, want %v", c.name, got, c.want)
		}
		if got := c.b.Equal(a); got != c.want {
			t.Errorf("%s equal to it: got %v, want %v", c.name, got, c.want)
		}
	}
	if !(Secret{}).Equal(New(nil)) {
		t.Error("two empty secrets are not equal")
	}
}

func TestNewCopiesItsArgument(t *testing.T) {
	b := []byte(key)
	s := New(b)
	clear(b)
	if got := string(s.Reveal()); got != key {
		t.Errorf("after the caller cleared its bytes: got %q, want %q", got, key)
	}
}

func TestWipeReachesEveryCopyButNoOtherSecret(t *testing.T) {
	s := FromString(key)
	same, other := s, New(s.Reveal())
	s.Wipe()
	for name, got := range map[string][]byte{"itself": s.Reveal(), "a copy": same.Reveal()} {
		if !bytes.Equal(got, make([]byte, len(key))) {
			t.Errorf("%s after Wipe: got %q, want zeros", name, got)
		}
	}
	if got := string(other.Reveal()); got != key {
		t.Errorf("a secret made from it after Wipe: got %q, want %q", got, key)
	}
	Secret{}.Wipe() // must not panic
}

// Tests of whole configurations use reflect.DeepEqual, so it must see contents.
func TestDeepEqualSeesContents(t *testing.T) {
	if a, b := FromString(key), New([]byte(key)); !reflect.DeepEqual(a, b) {
		t.Error("two secrets with the same contents differ")
	}
	if a, b := FromString(key), FromString(key+"x"); reflect.DeepEqual(a, b) {
		t.Error("two secrets with other contents do not differ")
	}
	if reflect.TypeFor[Secret]().Comparable() {
		t.Error("secrets compare with ==, which would compare addresses")
	}
}

func TestLengthAndEmptiness(t *testing.T) {
	cases := []struct {
		s    Secret
		len  int
		zero bool
	}{
		{Secret{}, 0, true}, {New(nil), 0, true}, {FromString(""), 0, true}, {FromString(key), len(key), false}, {New([]byte{0}), 1, false},
	}
	for i, c := range cases {
		if got := c.s.Len(); got != c.len {
			t.Errorf("case %d: length %d, want %d", i, got, c.len)
		}
		if got := c.s.IsZero(); got != c.zero {
			t.Errorf("case %d: empty %v, want %v", i, got, c.zero)
		}
	}
}
