package gateway

import (
	"slices"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func TestExtensionsThatBothEndsWantAreInTheStatus(t *testing.T) {
	hybrid := func(t *Tunnel) {
		with := t.IKE[0]
		with.AddKE[0] = suite.MLKEM768
		t.IKE = append([]suite.IKE{with}, t.IKE...)
	}
	for _, tt := range []struct {
		name            string
		customer, cloud func(*Tunnel)
		want, without   string // extensions
		suite           string // what the IKE SA's suite ends in
	}{
		{name: "by default", want: "MOBIKE"},
		{name: "fragments", want: "fragmentation"},
		{name: "no fragments", cloud: func(t *Tunnel) { t.Extensions.NoFragmentation = true }, without: "fragmentation"},
		{name: "no moves", customer: func(t *Tunnel) { t.Extensions.NoMOBIKE = true }, without: "MOBIKE"},
		{name: "hybrid", customer: hybrid, cloud: hybrid, suite: "DH19/ML-KEM-768"},
		{name: "hybrid towards one who knows nothing of it", customer: hybrid, suite: "DH19"},
		{name: "post-quantum key", customer: withPPK("key", "one"), cloud: withPPK("key", "one"), want: "PPK"},
		{name: "post-quantum key at one end", customer: withPPK("key", "one"), without: "PPK"},
		{name: "resumption", customer: func(t *Tunnel) { t.Extensions.Resumption = true }, cloud: func(t *Tunnel) { t.Extensions.Resumption = true }},
	} {
		customer, cloud := pair()
		for _, e := range []struct {
			tunnel *Tunnel
			change func(*Tunnel)
		}{{&customer, tt.customer}, {&cloud, tt.cloud}} {
			if e.change != nil {
				e.change(e.tunnel)
			}
		}
		a, b := talk(t, customer, cloud)
		for i, e := range []*talker{a, b} {
			got := e.machine.State()
			if got.Phase != ike.Established || tt.want != "" && !slices.Contains(got.Extensions, tt.want) || slices.Contains(got.Extensions, tt.without) {
				t.Errorf("%s, end %d: got %v with %v; want %q and not %q; %q", tt.name, i, got.Phase, got.Extensions, tt.want, tt.without, e.said)
			}
			if !strings.HasSuffix(got.Suite.String(), tt.suite) {
				t.Errorf("%s, end %d: got suite %v, want one with %s", tt.name, i, got.Suite, tt.suite)
			}
		}
	}
}

// withPPK gives a tunnel a post-quantum key.
func withPPK(key, name string) func(*Tunnel) {
	return func(t *Tunnel) { t.Extensions.PPK, t.Extensions.PPKID = secret.FromString(key), name }
}

func TestPostQuantumKeysThatDoNotFitAreToldInWords(t *testing.T) {
	require := func(t *Tunnel) {
		withPPK("key", "one")(t)
		t.Extensions.PPKRequired, t.Versions = true, []int{2}
	}
	for _, tt := range []struct {
		name            string
		customer, cloud func(*Tunnel)
		there, here     []string
	}{
		{"another key", withPPK("other", "one"), require,
			[]string{`or the post-quantum pre-shared key "one" is another at the peer`}, []string{`or the post-quantum pre-shared key "one" is another at the peer`}},
		{"another name", withPPK("key", "two"), require,
			[]string{`post-quantum pre-shared key "two"`}, []string{`peer calls its post-quantum pre-shared key "two", we require "one": configure the same name at both ends`}},
		{"none", func(*Tunnel) {}, require,
			nil, []string{`peer has no post-quantum pre-shared key (it does not say USE_PPK), and we require the one called "one": configure it at the peer`}},
	} {
		customer, cloud := pair()
		tt.customer(&customer)
		tt.cloud(&cloud)
		a, b := talk(t, customer, cloud)
		a.mustSay(t, tt.name+", customer", tt.there)
		b.mustSay(t, tt.name+", cloud", tt.here)
	}
}
