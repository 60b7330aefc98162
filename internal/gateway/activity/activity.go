// Package activity writes what happens to tunnels as the two logs of AWS's
// Site-to-Site VPN: the tunnel activity log and the BGP log (vpn §6.2, §6.3).
//
// A Handler gathers what a gateway says to its logger of tunnels and sessions; a
// Log makes lines of that and of the gateway's status. It keeps what it must
// compare, reads no clock, writes to no file and starts nothing. Package worker
// gathers, cloud/host keeps the lines.
package activity

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"seikan/internal/gateway"
)

// A Tunnel says what is written of one tunnel. Its zero value: nothing.
type Tunnel struct {
	Resource       string // "vpn-0123456789abcdef0_203.0.113.10": connection and outside address
	DPD            bool   // dead peer detection has consequences
	Activity, BGP  bool   // which logs are written
	ActivityAsText bool   // instead of JSON
	BGPAsText      bool
}

// A Line is one line of a log, without its end.
type Line struct {
	Tunnel string // the gateway's name of it
	BGP    bool   // of the BGP log; else of the activity log
	Text   string
}

// A Log makes lines of the statuses and notices of one gateway.
type Log struct {
	tunnels map[string]Tunnel
	routes  map[string]map[netip.Prefix]gateway.BGPRoute // by tunnel, while its session stands
}

// NewLog returns a log that has seen nothing.
func NewLog() *Log { return &Log{routes: map[string]map[netip.Prefix]gateway.BGPRoute{}} }

// Set says what is written of which tunnel.
func (l *Log) Set(tunnels map[string]Tunnel) { l.tunnels = tunnels }

// Step takes a status and the notices since the one before, in the order in which
// they came, and returns the lines of both logs. now stands in lines that have no
// notice, those of routes.
func (l *Log) Step(now time.Time, st gateway.Status, notices []Notice) (out []Line) {
	for _, n := range notices {
		t := l.tunnels[n.Tunnel]
		switch {
		case n.BGP && t.BGP:
			out = append(out, t.line(n.Tunnel, true, t.session(n)))
		case !n.BGP && t.Activity:
			out = append(out, t.line(n.Tunnel, false, t.activity(st, n)))
		}
	}
	if st.BGP == nil {
		return out
	}
	for _, p := range st.BGP.Peers {
		if t := l.tunnels[p.Tunnel]; t.BGP {
			for _, e := range l.changes(p) {
				out = append(out, t.line(p.Tunnel, true, e.at(now, t)))
			}
		} else {
			delete(l.routes, p.Tunnel)
		}
	}
	return out
}

// States of a phase of IKE (vpn §6.2).
const (
	established = "Established"
	rekeying    = "Rekeying"
	negotiating = "Negotiating"
	down        = "Down"
)

// An activityLine is a line of the tunnel activity log; fields stand in the log
// in this order.
type activityLine struct {
	EventTimestamp int64  `json:"event_timestamp"` // seconds
	Timestamp      string `json:"timestamp"`
	DPDEnabled     bool   `json:"dpd_enabled"`
	NATTDetected   bool   `json:"nat_t_detected"`
	Phase1         string `json:"ike_phase1_state"`
	Phase2         string `json:"ike_phase2_state"`
	Details        string `json:"details"`
}

// stamp is how both logs write a time, in UTC.
const stamp = "2006-01-02 15:04:05.000Z"

// activity is what n says, with the states that the tunnel has in st.
func (t Tunnel) activity(st gateway.Status, n Notice) any {
	line := activityLine{EventTimestamp: n.At.Unix(), Timestamp: n.At.UTC().Format(stamp), DPDEnabled: t.DPD, Phase1: down, Phase2: down, Details: n.Text}
	at := slices.IndexFunc(st.Tunnels, func(s gateway.TunnelStatus) bool { return s.ID == n.Tunnel })
	if at < 0 {
		return line
	}
	s := st.Tunnels[at]
	line.NATTDetected = s.IKE.NATLocal || s.IKE.NATRemote
	switch {
	case s.Child != nil:
		line.Phase1, line.Phase2 = established, established
		switch text := strings.ToLower(n.Text); {
		case strings.HasPrefix(text, "create_child_sa response processed"): // and all is as it shall be
		case !strings.Contains(text, "rekey") && !strings.HasPrefix(text, "create_child_sa"):
		case strings.Contains(text, "ike sa"):
			line.Phase1 = rekeying
		default:
			line.Phase2 = rekeying
		}
	case s.Phase == "ike-up":
		line.Phase1, line.Phase2 = established, negotiating
	case s.Phase == "connecting":
		line.Phase1 = negotiating
	}
	return line
}

// A bgpLine is a line of the BGP log.
type bgpLine struct {
	Resource       string `json:"resource_id"`
	EventTimestamp int64  `json:"event_timestamp"` // milliseconds
	Timestamp      string `json:"timestamp"`
	Type           string `json:"type"`   // BGPStatus, RouteStatus
	Status         string `json:"status"` // UP, DOWN; ADVERTISED, UPDATED, WITHDRAWN
	Message        any    `json:"message"`
}

type sessionMessage struct {
	Details string `json:"details"`
}

// A routeMessage is what a peer did with one prefix. LocalPref and Weight are
// those that AWS gives to what a customer gateway announces.
type routeMessage struct {
	Prefix    string `json:"prefix"`
	ASPath    string `json:"asPath"`
	LocalPref int    `json:"localPref"`
	MED       uint32 `json:"med"`
	NextHop   string `json:"nextHopIp"`
	Weight    int    `json:"weight"`
	Details   string `json:"details,omitempty"` // why it is refused
}

// Attributes of every route that a customer gateway announces (vpn §4.2).
const (
	localPref  = 100
	weight     = 32768
	defaultMED = 100
)

// session is a line about the session: UP when it was established, DOWN for
// everything else (vpn §6.3).
func (t Tunnel) session(n Notice) any {
	status := "DOWN"
	if n.Up {
		status = "UP"
	}
	return bgpLine{t.Resource, n.At.UnixMilli(), n.At.UTC().Format(stamp), "BGPStatus", status, sessionMessage{n.Text}}
}

// An event is what a peer did with a prefix.
type event struct {
	status string
	route  gateway.BGPRoute
}

func (e event) at(now time.Time, t Tunnel) any {
	m := routeMessage{Prefix: e.route.Prefix.String(), ASPath: path(e.route.ASPath), LocalPref: localPref, MED: defaultMED, NextHop: e.route.NextHop.String(), Weight: weight, Details: e.route.Refused}
	if e.route.MED != nil {
		m.MED = *e.route.MED
	}
	return bgpLine{t.Resource, now.UnixMilli(), now.UTC().Format(stamp), "RouteStatus", e.status, m}
}

func path(as []uint32) string {
	var parts []string
	for _, n := range as {
		parts = append(parts, strconv.FormatUint(uint64(n), 10))
	}
	return strings.Join(parts, " ")
}

// changes are what p did with its routes since the last status, by prefix. With
// its session all of them are gone, which is not its doing and is not told.
func (l *Log) changes(p gateway.BGPPeer) (out []event) {
	if !p.Established {
		delete(l.routes, p.Tunnel)
		return nil
	}
	before, now := l.routes[p.Tunnel], map[netip.Prefix]gateway.BGPRoute{}
	for _, r := range p.Routes {
		now[r.Prefix] = r
		old, known := before[r.Prefix]
		switch {
		case !known:
			out = append(out, event{"ADVERTISED", r})
		case !same(old, r):
			out = append(out, event{"UPDATED", r})
		}
	}
	for prefix, r := range before {
		if _, still := now[prefix]; !still {
			r.Refused = ""
			out = append(out, event{"WITHDRAWN", r})
		}
	}
	l.routes[p.Tunnel] = now
	slices.SortStableFunc(out, func(a, b event) int { return a.route.Prefix.Compare(b.route.Prefix) })
	return out
}

// same reports whether a log would write the same of both.
func same(a, b gateway.BGPRoute) bool {
	med := a.MED == b.MED || a.MED != nil && b.MED != nil && *a.MED == *b.MED
	return med && a.NextHop == b.NextHop && a.Refused == b.Refused && slices.Equal(a.ASPath, b.ASPath)
}

// line writes v for its log.
func (t Tunnel) line(tunnel string, bgp bool, v any) Line {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return Line{tunnel, bgp, strconv.Quote(err.Error())} // cannot be: strings and numbers
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if bgp && t.BGPAsText || !bgp && t.ActivityAsText {
		text = plain(text)
	}
	return Line{tunnel, bgp, text}
}

// plain is the text form of a line: its keys and values in the order of the JSON
// one, inner ones with a dot before, texts quoted. AWS does not say what its own
// looks like.
func plain(line string) string {
	var parts []string
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.UseNumber()
	var keys []string
	key := ""
	for {
		token, err := decoder.Token()
		if err != nil {
			return strings.Join(parts, " ")
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' && key != "" {
				keys, key = append(keys, key), ""
			} else if v == '}' && len(keys) > 0 {
				keys = keys[:len(keys)-1]
			}
		case string:
			if key == "" {
				key = v
				continue
			}
			parts, key = append(parts, name(keys, key)+"="+strconv.Quote(v)), ""
		case json.Number:
			parts, key = append(parts, name(keys, key)+"="+v.String()), ""
		case bool:
			parts, key = append(parts, name(keys, key)+"="+strconv.FormatBool(v)), ""
		}
	}
}

func name(keys []string, key string) string {
	return strings.Join(append(slices.Clone(keys), key), ".")
}
