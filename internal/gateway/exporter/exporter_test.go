package exporter

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"seikan/internal/gateway"
	"seikan/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a gateway with a dynamic tunnel whose session stands, one whose does
// not, a static one, and one that is down.
func office() gateway.Status {
	return gateway.Status{
		Name: "office", Strangers: 2,
		Tunnels: []gateway.TunnelStatus{
			{ID: "a", Up: true, Traffic: gateway.Traffic{BytesIn: 1000, BytesOut: 2000, PacketsIn: 1, PacketsOut: 2, Drops: map[string]uint64{"replay": 3}}, IKE: gateway.IKEStatus{Rekeys: 4}},
			{ID: "b", Up: true}, {ID: "static", Up: true}, {ID: "down"},
		},
		BGP: &gateway.BGPStatus{Peers: []gateway.BGPPeer{{Tunnel: "a", ASN: 64512, Established: true, Received: 5, Accepted: 4}, {Tunnel: "b", ASN: 64512}, {Tunnel: "down", ASN: 64512, Established: true}}},
	}
}

func TestMeasurementsOfAGateway(t *testing.T) {
	text, err := metrics.Append(nil, Families(Source{Status: office(), Label: func(tunnel string) []metrics.Label { return []metrics.Label{{Name: "vpn_id", Value: "vpn-" + tunnel}} }}))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`seikan_tunnel_state{gateway="office",tunnel="a",vpn_id="vpn-a"} 1`,
		`seikan_tunnel_state{gateway="office",tunnel="b",vpn_id="vpn-b"} 0`,
		`seikan_tunnel_state{gateway="office",tunnel="static",vpn_id="vpn-static"} 1`,
		`seikan_tunnel_state{gateway="office",tunnel="down",vpn_id="vpn-down"} 0`,
		`seikan_tunnel_ipsec_up{gateway="office",tunnel="b",vpn_id="vpn-b"} 1`,
		`seikan_tunnel_data_in_bytes_total{gateway="office",tunnel="a",vpn_id="vpn-a"} 1000`,
		`seikan_tunnel_data_out_bytes_total{gateway="office",tunnel="a",vpn_id="vpn-a"} 2000`,
		`seikan_tunnel_dropped_packets_total{cause="replay",gateway="office",tunnel="a",vpn_id="vpn-a"} 3`,
		`seikan_bgp_accepted_prefixes{gateway="office",peer_asn="64512",tunnel="a",vpn_id="vpn-a"} 4`,
		`seikan_ike_stranger_messages_total{gateway="office"} 2`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("want the line %s in\n%s", want, text)
		}
	}
}

func TestOnlyLoopbackAndSocketsAreServed(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:9469": true, "[::1]:9469": true, "unix:/run/seikan/metrics": true,
		"0.0.0.0:9469": false, ":9469": false, "192.168.1.1:9469": false, "127.0.0.1:0": false, "127.0.0.1": false, "unix:metrics": false, "": false, "localhost:9469": false,
	} {
		if err := CheckAddress(address); (err == nil) != ok {
			t.Errorf("%q: got %v, want accepted %v", address, err, ok)
		}
	}
}

// A scrape over a socket is read by Prometheus's own parser; nothing else is
// answered, and the end leaves no socket and no goroutine.
func TestAScrapeIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gather := func() []metrics.Family { return Families(Source{Status: office()}) }
	if err := Serve(t.Context(), "unix:"+path, gather, func() {}); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("in the place of a file: got %v, want a refusal", err)
	}
	os.Remove(path)
	ctx, cancel := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- Serve(ctx, "unix:"+path, gather, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(10 * time.Second):
		t.Fatal("it does not begin")
	}
	if err := Serve(t.Context(), "unix:"+path, gather, func() {}); err == nil || !strings.Contains(err.Error(), "answers there already") {
		t.Errorf("a second one: got %v, want a refusal", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for request, want := range map[string]int{"GET /metrics": 200, "POST /metrics": 405, "GET /": 404} {
		method, at, _ := strings.Cut(request, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, "http://gateway"+at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", request, resp.StatusCode, want)
		}
		if want != 200 {
			continue
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		got, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
		if err != nil || len(got["seikan_tunnel_state"].GetMetric()) != 4 || resp.Header.Get("Content-Type") != metrics.ContentType {
			t.Errorf("scrape: got %v and %d samples of seikan_tunnel_state, want 4, of\n%s", err, len(got["seikan_tunnel_state"].GetMetric()), body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("end: got %v, want none", err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket file after the end: got %v, want none", err)
	}
}
