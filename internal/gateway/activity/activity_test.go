package activity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
)

var at = time.UnixMilli(1762580429641)

// texts are the lines of a step, one a line.
func texts(lines []Line) string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

func logged() map[string]Tunnel {
	return map[string]Tunnel{"vpn-1234abcd/1": {Resource: "vpn-1234abcd_1.2.3.4", DPD: true, Activity: true, BGP: true}}
}

// The lines of the tunnel activity log have the fields of vpn §6.2, and its
// states.
func TestTheActivityLog(t *testing.T) {
	for _, c := range []struct {
		name   string
		status gateway.TunnelStatus
		text   string
		want   string
	}{
		{"§6.2 established behind NAT", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}, IKE: gateway.IKEStatus{NATRemote: true}}, "tunnel established",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":true,"ike_phase1_state":"Established","ike_phase2_state":"Established","details":"tunnel established"}`},
		{"§6.2 phase 2 refused, phase 1 kept", gateway.TunnelStatus{Phase: "ike-up"}, "received TS_UNACCEPTABLE",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Established","ike_phase2_state":"Negotiating","details":"received TS_UNACCEPTABLE"}`},
		{"§6.2 negotiating", gateway.TunnelStatus{Phase: "connecting"}, "no proposal <match>",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Negotiating","ike_phase2_state":"Down","details":"no proposal <match>"}`},
		{"§6.2 rekeying", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}}, "CHILD SA rekeyed",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Established","ike_phase2_state":"Rekeying","details":"CHILD SA rekeyed"}`},
		{"§6.2 rekeying of phase 1", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}}, "IKE SA is rekeyed",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Rekeying","ike_phase2_state":"Established","details":"IKE SA is rekeyed"}`},
		{"§6.2 CREATE_CHILD_SA is under way", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}}, "CREATE_CHILD_SA request sent, message_id: 3, for: CHILD SA",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Established","ike_phase2_state":"Rekeying","details":"CREATE_CHILD_SA request sent, message_id: 3, for: CHILD SA"}`},
		{"§6.2 CREATE_CHILD_SA for phase 1", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}}, "CREATE_CHILD_SA request processed, message_id: 4, for: IKE SA",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Rekeying","ike_phase2_state":"Established","details":"CREATE_CHILD_SA request processed, message_id: 4, for: IKE SA"}`},
		{"§6.2 CREATE_CHILD_SA is done", gateway.TunnelStatus{Phase: "established", Child: &gateway.ChildStatus{}}, "CREATE_CHILD_SA response processed, message_id: 3, for: CHILD SA",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Established","ike_phase2_state":"Established","details":"CREATE_CHILD_SA response processed, message_id: 3, for: CHILD SA"}`},
		{"§6.2 down", gateway.TunnelStatus{Phase: "failed"}, "peer is dead",
			`{"event_timestamp":1762580429,"timestamp":"2025-11-08 05:40:29.641Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Down","ike_phase2_state":"Down","details":"peer is dead"}`},
	} {
		l := NewLog()
		l.Set(logged())
		c.status.ID = "vpn-1234abcd/1"
		got := texts(l.Step(at, gateway.Status{Tunnels: []gateway.TunnelStatus{c.status}}, []Notice{{At: at, Tunnel: c.status.ID, Text: c.text}, {At: at, Tunnel: "vpn-other/1", Text: "not asked for"}}))
		if got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func peer(established bool, routes ...gateway.BGPRoute) gateway.Status {
	return gateway.Status{BGP: &gateway.BGPStatus{Peers: []gateway.BGPPeer{{Tunnel: "vpn-1234abcd/1", Established: established, Routes: routes}}}}
}

func route(p string, med uint32, as ...uint32) gateway.BGPRoute {
	r := gateway.BGPRoute{Prefix: netip.MustParsePrefix(p), NextHop: netip.MustParseAddr("169.254.50.85"), ASPath: as}
	if med > 0 {
		r.MED = &med
	}
	return r
}

// The lines of the BGP log are those of vpn §6.3, letter for letter where the
// section has a sample; the peer's doings are told, a lost session's are not.
func TestTheBGPLog(t *testing.T) {
	l := NewLog()
	l.Set(logged())
	line := func(typ, status, message string) string {
		return `{"resource_id":"vpn-1234abcd_1.2.3.4","event_timestamp":1762580429641,"timestamp":"2025-11-08 05:40:29.641Z","type":"` + typ + `","status":"` + status + `","message":` + message + `}`
	}
	of := func(prefix, path string, med int, more string) string {
		return fmt.Sprintf(`{"prefix":%q,"asPath":%q,"localPref":100,"med":%d,"nextHopIp":"169.254.50.85","weight":32768%s}`, prefix, path, med, more)
	}
	refused := route("0.0.0.0/0", 0, 64512)
	refused.Refused = "as-path contains our own AS"
	for _, step := range []struct {
		name    string
		status  gateway.Status
		notices []Notice
		want    []string
	}{
		{"established", peer(true), []Notice{{At: at, Tunnel: "vpn-1234abcd/1", BGP: true, Up: true, Text: "<text>"}}, []string{line("BGPStatus", "UP", `{"details":"<text>"}`)}},
		{"advertised", peer(true, route("172.31.0.0/16", 0, 64512)), nil, []string{line("RouteStatus", "ADVERTISED", of("172.31.0.0/16", "64512", 100, ""))}},
		{"nothing new", peer(true, route("172.31.0.0/16", 0, 64512)), nil, nil},
		{"updated, and one refused", peer(true, route("172.31.0.0/16", 50, 64512, 65001), refused), nil, []string{
			line("RouteStatus", "ADVERTISED", of("0.0.0.0/0", "64512", 100, `,"details":"as-path contains our own AS"`)),
			line("RouteStatus", "UPDATED", of("172.31.0.0/16", "64512 65001", 50, ""))}},
		{"withdrawn", peer(true, refused), nil, []string{line("RouteStatus", "WITHDRAWN", of("172.31.0.0/16", "64512 65001", 50, ""))}},
		{"the session ends", peer(false), []Notice{{At: at, Tunnel: "vpn-1234abcd/1", BGP: true, Text: "sent 6/1"}}, []string{line("BGPStatus", "DOWN", `{"details":"sent 6/1"}`)}},
		{"and comes back", peer(true, refused), nil, []string{line("RouteStatus", "ADVERTISED", of("0.0.0.0/0", "64512", 100, `,"details":"as-path contains our own AS"`))}},
	} {
		if got, want := texts(l.Step(at, step.status, step.notices)), strings.Join(step.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", step.name, got, want)
		}
	}
}

func TestLogsAreWrittenOnlyWhenAskedFor(t *testing.T) {
	both := []Notice{{At: at, Tunnel: "vpn-1234abcd/1", Text: "a"}, {At: at, Tunnel: "vpn-1234abcd/1", BGP: true, Text: "b"}}
	for _, c := range []struct {
		in   Tunnel
		want string // which logs
	}{{Tunnel{}, ""}, {Tunnel{Activity: true}, "false"}, {Tunnel{BGP: true}, "true true"}} {
		l := NewLog()
		l.Set(map[string]Tunnel{"vpn-1234abcd/1": c.in})
		var got []string
		for _, line := range l.Step(at, peer(true, route("10.0.0.0/8", 0, 1)), both) {
			got = append(got, fmt.Sprint(line.BGP))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%+v: got %q, want %q", c.in, text, c.want)
		}
	}
}

func TestTheTextForm(t *testing.T) {
	l := NewLog()
	in := logged()["vpn-1234abcd/1"]
	in.BGPAsText, in.ActivityAsText = true, true
	l.Set(map[string]Tunnel{"vpn-1234abcd/1": in})
	got := texts(l.Step(at, peer(true, route("10.0.0.0/8", 0, 65000)), []Notice{{At: at, Tunnel: "vpn-1234abcd/1", Text: `say "a"`}}))
	want := `event_timestamp=1762580429 timestamp="2025-11-08 05:40:29.641Z" dpd_enabled=true nat_t_detected=false ike_phase1_state="Down" ike_phase2_state="Down" details="say \"a\""
resource_id="vpn-1234abcd_1.2.3.4" event_timestamp=1762580429641 timestamp="2025-11-08 05:40:29.641Z" type="RouteStatus" status="ADVERTISED" message.prefix="10.0.0.0/8" message.asPath="65000" message.localPref=100 message.med=100 message.nextHopIp="169.254.50.85" message.weight=32768`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What a gateway says of tunnels and peers is gathered with what it says beside,
// the rest is only handed on, and what is not taken is bounded.
func TestTheHandlerGathersWhatIsOfATunnel(t *testing.T) {
	var text bytes.Buffer
	h := NewHandler(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
	log := slog.New(h)
	log.Info("of nobody", "x", 1)
	log.With("gateway", "office").With("tunnel", "vpn-1/1").Info("tunnel failed", "reason", "no answer", "empty", "", "peer", "office.example")
	log.With("tunnel", "vpn-1/1").Debug("both ends rekeyed the IKE SA; ours is redundant")
	log.Debug("of a tunnel, but not its own", "tunnel", "vpn-1/1")
	log.Warn("a route learned by BGP is refused", "tunnel", "vpn-1/1", "prefix", "0.0.0.0/0")
	log.Info("BGP session established", "peer", "vpn-1/2")
	log.Warn("BGP session ended", "peer", "vpn-1/2", "reason", "sent 6/1")
	var got []string
	for _, n := range h.Take() {
		got = append(got, fmt.Sprintf("%s %v %v %s", n.Tunnel, n.BGP, n.Up, n.Text))
	}
	want := "vpn-1/1 false false tunnel failed, reason: no answer, peer: office.example\nvpn-1/1 false false both ends rekeyed the IKE SA; ours is redundant\nvpn-1/2 true true BGP session established\nvpn-1/2 true false BGP session ended, reason: sent 6/1"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if out := text.String(); strings.Count(out, "\n") != 2 || !strings.Contains(out, "BGP session ended") {
		t.Errorf("handed on: got %q, want the warnings only", out)
	}
	for n := range maxNotices + 3 {
		log.Info(fmt.Sprint("event ", n), "tunnel", "vpn-1/1")
	}
	if all := h.Take(); len(all) != maxNotices || all[0].Text != "event 3 (3 events before it are lost)" {
		t.Errorf("after too many: got %d beginning with %q, want %d beginning with event 3", len(all), all[0].Text, maxNotices)
	}
	if more := h.Take(); len(more) != 0 {
		t.Errorf("taken twice: got %d, want none", len(more))
	}
}

// A line is one line of JSON whatever is in it.
func FuzzLine(f *testing.F) {
	f.Add("a\nb\"c", "vpn-1")
	f.Fuzz(func(t *testing.T, text, resource string) {
		l := NewLog()
		l.Set(map[string]Tunnel{"t": {Resource: resource, Activity: true, BGP: true}, "u": {ActivityAsText: true, Activity: true}})
		for _, line := range l.Step(at, gateway.Status{}, []Notice{{At: at, Tunnel: "t", Text: text}, {At: at, Tunnel: "t", BGP: true, Text: text}, {At: at, Tunnel: "u", Text: text}}) {
			if strings.ContainsAny(line.Text, "\n\r") || line.Tunnel == "t" && !json.Valid([]byte(line.Text)) {
				t.Fatalf("%q is not one line of JSON", line.Text)
			}
		}
	})
}
