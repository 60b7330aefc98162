package conffile

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// schema is ours, read back.
func schema(t *testing.T) map[string]any {
	t.Helper()
	b, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// validate is as much of JSON Schema as ours uses; an unknown word is an error.
func validate(s map[string]any, v any, path string) error {
	for word, arg := range s {
		var bad bool
		switch word {
		case "$schema", "title", "description", "properties":
		case "type":
			bad = !isOfType(v, arg)
		case "enum":
			bad = !slices.ContainsFunc(arg.([]any), func(e any) bool { return fmt.Sprintf("%T%v", number(e), e) == fmt.Sprintf("%T%v", number(v), v) })
		case "pattern":
			text, ok := v.(string)
			bad = ok && !regexp.MustCompile(arg.(string)).MatchString(text)
		case "minimum":
			f, ok := number(v).(float64)
			bad = ok && f < arg.(float64)
		case "maximum":
			f, ok := number(v).(float64)
			bad = ok && f > arg.(float64)
		case "required":
			m, _ := v.(map[string]any)
			for _, key := range arg.([]any) {
				bad = bad || m[key.(string)] == nil
			}
		case "items":
			list, _ := v.([]any)
			for i, e := range list {
				if err := validate(arg.(map[string]any), e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		case "additionalProperties":
			m, _ := v.(map[string]any)
			for key, e := range m {
				below, ok := s["properties"].(map[string]any)[key].(map[string]any)
				if !ok {
					return fmt.Errorf("%s.%s: no such key", path, key)
				}
				if err := validate(below, e, path+"."+key); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("the schema has a word that this test does not know: %s", word)
		}
		if bad {
			return fmt.Errorf("%s: %v is against %s: %v", path, v, word, arg)
		}
	}
	return nil
}

func number(v any) any {
	if n, ok := v.(int); ok {
		return float64(n)
	}
	return v
}

func isOfType(v, arg any) bool {
	if list, ok := arg.([]any); ok {
		return slices.ContainsFunc(list, func(a any) bool { return isOfType(v, a) })
	}
	switch v := number(v).(type) {
	case string:
		return arg == "string"
	case float64:
		return arg == "number" || arg == "integer" && v == math.Trunc(v)
	case bool:
		return arg == "boolean"
	case []any:
		return arg == "array"
	case map[string]any:
		return arg == "object"
	}
	return false
}

// asJSON is YAML as a validator sees it.
func asJSON(t *testing.T, in string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(in), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFilesThatAreReadFitTheSchema(t *testing.T) {
	f, err := Parse([]byte(minimal), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	formatted, err := Format(f)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{"example": Example, "minimal": minimal, "formatted": string(formatted), "certificates": certified("\n    rsa_pss: true")} {
		if err := validate(schema(t), asJSON(t, in), ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSchemaHasARuleForEveryKeyAndNoOther(t *testing.T) {
	used := map[string]bool{}
	var look func(s map[string]any, path string)
	look = func(s map[string]any, path string) {
		r, name := ruleOf(path)
		leaf := s["properties"] == nil && s["items"] == nil
		if path != "" && path != "tunnels[]" && reflect.DeepEqual(r, rule{}) {
			t.Errorf("%s has no rule; add it to the table", path)
		}
		if leaf && strings.HasSuffix(path, "[]") && r.pattern == "" && len(r.words) == 0 {
			t.Errorf("%s: its rule does not say what an element is", path)
		}
		used[name] = true
		if items, ok := s["items"].(map[string]any); ok {
			look(items, path+"[]")
		}
		properties, _ := s["properties"].(map[string]any)
		for key, below := range properties {
			look(below.(map[string]any), strings.TrimPrefix(path+"."+key, "."))
		}
	}
	look(schema(t), "")
	for path := range rules {
		if !used[path] {
			t.Errorf("%s has a rule, but is no key of the file; remove it", path)
		}
	}
}

// place puts a value at a key of one tunnel into a file that is fine otherwise.
func place(path, value string) string {
	keys := strings.Split(strings.TrimPrefix(path, "tunnels[]."), ".")
	if strings.HasSuffix(path, "[]") {
		value = "[" + value + "]"
		keys[len(keys)-1] = strings.TrimSuffix(keys[len(keys)-1], "[]")
	}
	outside, key := "remote_address: 203.0.113.10", "pre_shared_key: ExampleKey_0123456789"
	line := keys[0] + ": " + value
	switch {
	case !strings.HasPrefix(path, "tunnels[]."):
		return strings.Replace(minimal, "routes: [10.0.0.0/16]", line, 1)
	case keys[0] == "outside" && keys[1] == "remote_address":
		line, outside = "", "remote_address: "+value
	case keys[0] == "outside":
		line, outside = "", outside+", "+keys[1]+": "+value
	case len(keys) == 2:
		line = keys[0] + ": {" + keys[1] + ": " + value + "}"
	case keys[0] == "pre_shared_key":
		line, key = "", line
	}
	return "tunnels:\n  - outside: {" + outside + "}\n    " + key + "\n    " + line + "\n"
}

// Schema and decoder say the same of every value below, and of all words.
func TestSchemaAndDecoderAgreeOnValues(t *testing.T) {
	// Values that are fine for some pattern, and others that are fine for none.
	candidates := []string{
		"10.0.0.0/16", "203.0.113.12", "169.254.20.0/30", "169.254.20.2/30", "192.168.1.2", "8h", "1h30m", "20m", "300ms", "1.5h", "tun7",
		"AnotherKey_0123456789", "ML-KEM-768", "DH20", "\"%any\"", "a b", "10.0.0.0", "8 hours", "x/y", "\"0123456789\"", "123456789", "ROT13", "5", "-5m", "1.2.3.4.5", "short", "\"\"",
	}
	s := schema(t)
	compared := 0
	for path, r := range rules {
		list := slices.Clone(candidates)
		switch {
		case len(r.words) > 0:
			list = append(list, r.words...)
		case r.most != 0:
			list = []string{fmt.Sprint(r.least), fmt.Sprint(r.most), fmt.Sprint(r.least - 1), fmt.Sprint(r.most + 1), "word"}
		case r.pattern == "":
			continue
		}
		for _, value := range list {
			in := place(path, value)
			_, err := Parse([]byte(in), folder(t))
			fits := validate(s, asJSON(t, in), "") == nil
			if value == `""` || err != nil && aboutOthers(err) {
				continue // an empty value is none
			}
			compared++
			if fits != (err == nil) {
				t.Errorf("%s: %s: the schema says %v, the decoder %v", path, value, fits, err)
			}
		}
	}
	if compared < 500 {
		t.Errorf("only %d values compared", compared)
	}
}

// aboutOthers reports whether the decoder's complaint is about how a value goes
// with others, which a schema cannot know.
func aboutOthers(err error) bool {
	return regexp.MustCompile("is left|must be shorter than|at most half of|only a peer with certificates|chase themselves|which IKEv1|the interval is at least|is used twice|does not fit").MatchString(err.Error())
}
