//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results is everything measured, as it is written into the file of -json.
type results struct {
	Machine  string
	Kernel   string
	Load     string  // before
	Stolen   float64 // of the processors' time, by the host, in percent
	Date     string
	Versions []string
	Runs     int
	Seconds  int
	Took     time.Duration
	// Values are those of each round, by contender and measure.
	Values map[string]map[string][]float64
	Failed []string

	columns  []string
	own      []string // columns that are builds of ours
	failures []error
	before   stat
}

// A stat is the processors' time since they started, in ticks.
type stat struct{ total, stolen float64 }

// readStat reads the first line of /proc/stat; zeros if it cannot.
func readStat() (s stat) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, word := range strings.Fields(line) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil || i > 8 { // the rest is part of user time
			continue
		}
		s.total += v
		if i == 8 {
			s.stolen = v
		}
	}
	return s
}

func newResults(p plan) *results {
	r := &results{Date: time.Now().Format("2 January 2006"), Runs: p.runs, Seconds: p.seconds, Values: map[string]map[string][]float64{}, before: readStat()}
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	r.Machine = fmt.Sprintf("%s, %d processors", model, runtime.NumCPU())
	load, _ := os.ReadFile("/proc/loadavg")
	r.Load = strings.TrimSpace(string(load))
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	r.Kernel = "Linux " + strings.TrimSpace(string(kernel))
	for _, c := range p.contenders() {
		r.columns = append(r.columns, c.label)
		if c.own {
			r.own = append(r.own, c.label)
		}
	}
	r.Versions = p.versions()
	return r
}

// versions names what is compared.
func (p plan) versions() (list []string) {
	list = append(list, runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				list = append(list, "commit "+s.Value[:min(12, len(s.Value))])
			}
		}
	}
	first := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).CombinedOutput()
		line, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(line)
	}
	congestion, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	list = append(list, first("iperf3", "--version"), "TCP's congestion control: "+strings.TrimSpace(string(congestion)))
	if p.only.has(wireguard) {
		list = append(list, wireguardVersion(p.wire))
	}
	if p.only.has(openvpn) {
		line := first("openvpn", "--version")
		list = append(list, strings.Join(strings.Fields(line)[:min(2, len(strings.Fields(line)))], " "))
	}
	if p.only.has(strongswan) {
		list = append(list, "strongSwan "+first("dpkg-query", "-W", "-f", "${Version}", "strongswan-swanctl")+" (kernel-libipsec)")
	}
	return list
}

// take takes note of a value.
func (r *results) take(contender, measure string, value float64) {
	if r.Values[contender] == nil {
		r.Values[contender] = map[string][]float64{}
	}
	r.Values[contender][measure] = append(r.Values[contender][measure], value)
}

// fail takes note that a job came to nothing. The variant without a cipher may.
func (r *results) fail(contender, what string, err error) {
	err = fmt.Errorf("%s%s: %w", contender, what, err)
	progress("%v", err)
	if contender != null {
		r.failures = append(r.failures, err)
	}
	r.Failed = append(r.Failed, err.Error())
}

// median of a measure, and whether there is one.
func (r *results) median(contender, measure string) (float64, bool) {
	s := slices.Clone(r.Values[contender][measure])
	if len(s) == 0 {
		return 0, false
	}
	slices.Sort(s)
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2, true
	}
	return s[len(s)/2], true
}

// A goal is what ours shall be, compared with something or by itself.
type goal struct {
	than    string  // a contender; empty: ours itself
	measure string  // of it; empty: the same
	atLeast float64 // 0 in both: there is no goal
	atMost  float64
	alone   bool // the value itself, not a ratio
}

// A row is one measure of the table.
type row struct {
	measure string
	title   string
	unit    string
	goals   []goal
}

var rows = []row{
	{"tcp.up", "TCP, one stream, client → server", "Mbit/s", []goal{{than: wireguard, atLeast: 2.5}, {than: strongswan, atLeast: 7}, {than: null, atLeast: 0.75}}},
	{"tcp.down", "TCP, one stream, server → client", "Mbit/s", []goal{{than: wireguard, atLeast: 2.5}, {than: strongswan, atLeast: 7}, {than: null, atLeast: 0.75}}},
	{"cbc.up", "the same with AES-256-CBC and SHA2-256, client → server", "Mbit/s", []goal{{than: strongswan, atLeast: 3}}},
	{"cbc.down", "the same with AES-256-CBC and SHA2-256, server → client", "Mbit/s", []goal{{than: strongswan, atLeast: 3}}},
	{"cpu", "processor time of both gateways a gigabyte", "s", []goal{{than: wireguard, atMost: 0.5}}},
	{"rss", "memory of a gateway after the streams (RSS)", "MB", nil},
	{"peak", "most memory it had (VmHWM)", "MB", []goal{{alone: true, atMost: 80}}},
	{"one", "two tunnels: one stream through one of them", "Mbit/s", nil},
	{"eight", "two tunnels: four streams through each at once, sum", "Mbit/s", []goal{{measure: "one", atLeast: 1}}},
	{"sas.one", "100 TCP streams through one tunnel, the data plane alone, sum", "Mbit/s", nil},
	{"sas.many", "the same through 100 of 10,000 tunnels, sum", "Mbit/s", []goal{{measure: "sas.one", atLeast: 0.8}}},
	{"udp.small.up", "UDP, payload of 64 octets, the most with ≤ 0.1 % lost, client → server", "packets/s", []goal{{than: wireguard, atLeast: 2}}},
	{"udp.small.down", "UDP, payload of 64 octets, the most with ≤ 0.1 % lost, server → client", "packets/s", []goal{{than: wireguard, atLeast: 2}}},
	{"udp.large.up", "UDP, IP packets of 1,400 octets, the most with ≤ 0.1 % lost, client → server", "packets/s", []goal{{than: wireguard, atLeast: 2}}},
	{"udp.large.down", "UDP, IP packets of 1,400 octets, the most with ≤ 0.1 % lost, server → client", "packets/s", []goal{{than: wireguard, atLeast: 2}}},
	{"ping.avg", "ping, nothing else under way, mean", "ms", []goal{{than: wireguard, atMost: 0.6}}},
	{"ping.p99", "ping, nothing else under way, p99", "ms", nil},
	{"load.p99", "ping beside one stream, p99", "ms", []goal{{than: wireguard, atMost: 1}}},
	{"loss.up", "TCP, one stream, 1 % lost either way, client → server", "Mbit/s", []goal{{than: wireguard}}},
	{"loss.down", "TCP, one stream, 1 % lost either way, server → client", "Mbit/s", []goal{{than: wireguard}}},
	{"reorder.up", "TCP, one stream, 10 % late either way, client → server", "Mbit/s", []goal{{than: wireguard}}},
	{"reorder.down", "TCP, one stream, 10 % late either way, server → client", "Mbit/s", []goal{{than: wireguard}}},
}

// write prints the table and writes the files that were asked for.
func (r *results) write(p plan) error {
	if after := readStat(); after.total > r.before.total {
		r.Stolen = 100 * (after.stolen - r.before.stolen) / (after.total - r.before.total)
	}
	fmt.Print(r.table())
	if p.json != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.json, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if p.plot != "" {
		return r.writePlot(p.plot)
	}
	return nil
}

// table is the Markdown.
func (r *results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s; %s; load before: %s\n%s\n", r.Machine, r.Kernel, r.Date, r.Load, strings.Join(r.Versions, "; "))
	rounds := "One round"
	if r.Runs > 1 {
		rounds = fmt.Sprintf("Median of %d rounds (each in brackets), contenders in turn", r.Runs)
	}
	fmt.Fprintf(&b, "%s; streams of %d s; everything on the same processors, of which the host stole %.1f %%. Took %.0f s.\n\n", rounds, r.Seconds, r.Stolen, r.Took.Seconds())
	fmt.Fprint(&b, "| measure |")
	for _, c := range r.columns {
		fmt.Fprintf(&b, " %s |", title(c))
	}
	fmt.Fprintf(&b, " ours ÷ others, and the goal |\n|---|%s---|\n", strings.Repeat("---:|", len(r.columns)))
	for _, row := range rows {
		if !slices.ContainsFunc(r.columns, func(c string) bool { return len(r.Values[c][row.measure]) > 0 }) {
			continue
		}
		fmt.Fprintf(&b, "| %s, %s |", row.title, row.unit)
		for _, c := range r.columns {
			fmt.Fprintf(&b, " %s |", r.cell(c, row.measure))
		}
		fmt.Fprintf(&b, " %s |\n", r.verdicts(row))
	}
	for _, f := range r.Failed {
		first, _, _ := strings.Cut(f, "\n")
		fmt.Fprintf(&b, "\nNot measured: %s\n", first)
	}
	return b.String()
}

// cell is the median and every value.
func (r *results) cell(contender, measure string) string {
	m, ok := r.median(contender, measure)
	if !ok {
		return ""
	}
	all := r.Values[contender][measure]
	if len(all) == 1 {
		return number(m)
	}
	var each []string
	for _, v := range all {
		each = append(each, number(v))
	}
	return number(m) + " (" + strings.Join(each, ", ") + ")"
}

// number has three digits, or all of a whole number.
func number(v float64) string {
	switch {
	case v >= 100:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// verdicts holds every build of ours against the goals of a row, and against
// the first of them.
func (r *results) verdicts(row row) string {
	var list []string
	for i, own := range r.own {
		name := ""
		if len(r.own) > 1 {
			name = own + ": "
		}
		if ratio, ok := r.ratio(own, row.measure, r.own[0], row.measure); ok && i > 0 {
			list = append(list, fmt.Sprintf("%s%.2f × %s", name, ratio, r.own[0]))
		}
		for _, g := range row.goals {
			if v := r.verdict(own, row.measure, g); v != "" {
				list = append(list, name+v)
			}
		}
	}
	return strings.Join(list, "; ")
}

// verdict is one goal in words; empty if something was not measured.
func (r *results) verdict(own, measure string, g goal) string {
	value, ok := r.median(own, measure)
	text := number(value)
	if !g.alone {
		than, of := g.than, g.measure
		if than == "" {
			than = own
		}
		if of == "" {
			of = measure
		}
		value, ok = r.ratio(own, measure, than, of)
		text = fmt.Sprintf("%.2f × %s", value, title(than))
		if g.than == "" {
			text = fmt.Sprintf("%.2f × the row above", value)
		}
	}
	if !ok {
		return ""
	}
	if g.atLeast == 0 && g.atMost == 0 {
		return text
	}
	met, limit := value >= g.atLeast, fmt.Sprintf("≥ %g", g.atLeast)
	if g.atMost != 0 {
		met, limit = value <= g.atMost, fmt.Sprintf("≤ %g", g.atMost)
	}
	if met {
		return text + " (goal " + limit + ": met)"
	}
	return text + " (goal " + limit + ": **missed**)"
}

func (r *results) ratio(a, of, b, by string) (float64, bool) {
	x, ok := r.median(a, of)
	y, ok2 := r.median(b, by)
	return x / y, ok && ok2 && y != 0
}
