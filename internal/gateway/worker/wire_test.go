package worker

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func TestOrderArrivesWithItsKeysAndHidesThemFromJSON(t *testing.T) {
	want := gateway.Config{Name: "vgw-1", Forward: true, Tunnels: []gateway.Tunnel{{
		ID: "vpn-1/1", Interface: "tun1", PSK: secret.FromString("ExampleKey_0123456789"),
		Outside: gateway.Outside{Local: netip.MustParseAddr("203.0.113.10"), Remote: netip.MustParseAddr("198.51.100.2")},
		IKE:     []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
		ESP:     []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
		Inside:  netip.MustParsePrefix("169.254.10.1/30"),
		Routes:  []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")},
	}, {
		ID: "vpn-1/2", Versions: []int{2, 1},
		Certificates: gateway.Certificates{Own: []byte("own"), Key: secret.FromString("TheKeyOfOwn"), CA: []byte("ca"), WeakKeys: true},
		Extensions:   gateway.Extensions{PPK: secret.FromString("ThePPK"), PPKID: "one"},
		Liveness:     gateway.Liveness{Action: policy.None},
	}}}
	line, err := encodeOrder(want, 2, "/state")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
		t.Errorf("got %q, want one line", line)
	}
	for _, key := range []secret.Secret{want.Tunnels[0].PSK, want.Tunnels[1].Certificates.Key, want.Tunnels[1].Extensions.PPK} {
		if bytes.Contains(line, key.Reveal()) {
			t.Errorf("the key stands in the text as it is: %q", line)
		}
	}
	got, err := decodeOrder(line)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Config, want) || got.Outsides != 2 || got.State != "/state" {
		t.Errorf("got %+v with %d outsides, want %+v with 2", got.Config, got.Outsides, want)
	}
}

// A report that is over the limit is said to be, makes the one before it unknown and
// leaves those after it to be read.
func TestReportThatIsTooLongIsSaidAndForgetsTheOneBefore(t *testing.T) {
	long := io.MultiReader(strings.NewReader(`{"name":"second"`), io.LimitReader(spaces{}, maxLine), strings.NewReader("}\n"))
	lines := io.MultiReader(strings.NewReader(`{"name":"first"}`+"\n"), long, strings.NewReader("no JSON\n"+`{"name":"third"}`+"\n"+`{"name":"brok`))
	var p Process
	var seen []string
	var log bytes.Buffer
	p.readStatus(io.NopCloser(lines), Options{Config: gateway.Config{Name: "vgw-1"}, Log: slog.New(slog.NewTextHandler(&log, nil)), Changed: func() {
		name := "none"
		if st := p.Status(); st != nil {
			name = st.Name
		}
		seen = append(seen, name)
	}})
	if want := []string{"first", "none", "third"}; !slices.Equal(seen, want) {
		t.Errorf("got the reports %v, want %v", seen, want)
	}
	if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "gateway=vgw-1") || !strings.Contains(got, "longer than the 64 MiB") {
		t.Errorf("the log says %q, want one error with the gateway and the limit", got)
	}
}

// A configuration that is over the limit is no end of the supervisor.
func TestOrderThatIsTooLongIsSaidAndTheNextIsTaken(t *testing.T) {
	next, err := encodeOrder(gateway.Config{Name: "vgw-1"}, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	orders := make(chan order, 2)
	readOrders(t.Context(), io.MultiReader(io.LimitReader(spaces{}, maxLine), strings.NewReader("\n"), bytes.NewReader(next)), orders, slog.New(slog.NewTextHandler(&log, nil)))
	var got []string
	for o := range orders {
		got = append(got, o.Config.Name)
	}
	if !slices.Equal(got, []string{"vgw-1"}) || !strings.Contains(log.String(), "longer than the 64 MiB") {
		t.Errorf("got %v, and the log %q; want the order after the long one, which is logged", got, log.String())
	}
}

// spaces is a line that never ends.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
