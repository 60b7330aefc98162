package metrics

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// parse reads text with Prometheus's own parser and prints the samples, sorted.
func parse(text []byte) (string, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	var out []string
	for name, f := range families {
		for _, m := range f.GetMetric() {
			line := name + " " + strings.ToLower(f.GetType().String())
			for _, l := range m.GetLabel() {
				line += fmt.Sprintf(" %s=%q", l.GetName(), l.GetValue())
			}
			out = append(out, line+fmt.Sprint(" ", m.GetCounter().GetValue()+m.GetGauge().GetValue()))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), nil
}

func TestAStrictParserReadsWhatIsWritten(t *testing.T) {
	text, err := Append(nil, []Family{
		{Name: "seikan_tunnel_up", Help: `Whether it is up. A \ and a` + "\nline.", Kind: Gauge, Samples: []Sample{
			{Labels: []Label{{"tunnel", `vpn-1/"1"`}, {"gateway", "a\\b\nc"}}, Value: 1}, {Labels: []Label{{"tunnel", "\xff"}}}, {Value: -0.5}}},
		{Name: "seikan_received_bytes_total", Help: "Octets.", Kind: Counter, Samples: []Sample{{Value: 1 << 40}}},
		{Name: "seikan_nothing", Help: "Nobody has any.", Kind: Gauge},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text)
	want := `seikan_received_bytes_total counter 1.099511627776e+12
seikan_tunnel_up gauge -0.5
seikan_tunnel_up gauge gateway="a\\b\nc" tunnel="vpn-1/\"1\"" 1
seikan_tunnel_up gauge tunnel="�" 0`
	if err != nil || got != want {
		t.Errorf("got  %s\n%v, want %s, of\n%s", got, err, want, text)
	}
	if _, err := parse(append(text, "seikan_tunnel_up{tunnel=\"a} 1\n"...)); err == nil {
		t.Error("the parser takes what is no sample, so that it proves nothing")
	}
}

func TestWhatTheFormatForbidsIsRefused(t *testing.T) {
	one := func(labels ...Label) []Sample { return []Sample{{Labels: labels}} }
	for name, f := range map[string][]Family{
		"name":             {{Name: "tunnel-up", Help: "x", Kind: Gauge}},
		"digit":            {{Name: "1up", Help: "x", Kind: Gauge}},
		"same name":        {{Name: "a", Help: "x", Kind: Gauge}, {Name: "a", Help: "x", Kind: Gauge}},
		"kind":             {{Name: "a", Help: "x", Kind: "histogram"}},
		"counter's name":   {{Name: "a", Help: "x", Kind: Counter}},
		"gauge's name":     {{Name: "a_total", Help: "x", Kind: Gauge}},
		"no help":          {{Name: "a", Kind: Gauge}},
		"label":            {{Name: "a", Help: "x", Kind: Gauge, Samples: one(Label{"b c", ""})}},
		"reserved label":   {{Name: "a", Help: "x", Kind: Gauge, Samples: one(Label{"__name__", ""})}},
		"same label":       {{Name: "a", Help: "x", Kind: Gauge, Samples: one(Label{"b", "1"}, Label{"b", "2"})}},
		"same labels":      {{Name: "a", Help: "x", Kind: Gauge, Samples: append(one(Label{"b", "1"}), one(Label{"b", "1"})...)}},
		"negative counter": {{Name: "a_total", Help: "x", Kind: Counter, Samples: []Sample{{Value: -1}}}},
		"no number":        {{Name: "a_total", Help: "x", Kind: Counter, Samples: []Sample{{Value: math.NaN()}}}},
	} {
		if text, err := Append(nil, f); err == nil {
			t.Errorf("%s: got %s, want an error", name, text)
		}
	}
}

// Whatever labels hold, the parser reads them back.
func FuzzLabels(f *testing.F) {
	f.Add("vpn-1", `"}`+"\n# TYPE x gauge")
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := Append(nil, []Family{{Name: "a", Help: b, Kind: Gauge, Samples: []Sample{{Labels: []Label{{"x", a}, {"y", b}}, Value: 1}}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(text)
		want := fmt.Sprintf("a gauge x=%q y=%q 1", strings.ToValidUTF8(a, "�"), strings.ToValidUTF8(b, "�"))
		if err != nil || got != want {
			t.Fatalf("got %s, %v, want %s", got, err, want)
		}
	})
}
