//go:build e2e

package main

import (
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
)

// A panel is one measure of the picture.
type panel struct{ measure, title string }

var panels = []panel{
	{"tcp.up", "TCP, AES-128-GCM: Mbit/s, more is better"},
	{"cbc.up", "TCP, AES-256-CBC, SHA2-256: Mbit/s, more is better"},
	{"udp.small.up", "UDP, 64 octets, ≤ 0.1 % lost: packets/s, more is better"},
	{"udp.large.up", "UDP, 1,400 octets, ≤ 0.1 % lost: packets/s, more is better"},
	{"cpu", "processor time of both ends a gigabyte: s, less is better"},
	{"ping.avg", "round trip, mean: ms, less is better"},
	{"load.p99", "round trip beside a stream, p99: ms, less is better"},
	{"loss.up", "TCP with 1 % of the packets lost: Mbit/s, more is better"},
}

// Sizes of the picture in its own unit.
const (
	panelWidth = 420
	nameWidth  = 120
	barWidth   = 215
	barHeight  = 15
	barStep    = 19
	headHeight = 24
	gap        = 16
)

// plot draws bars of the medians. Plain routing is left out: beside it nobody
// could be told from another.
func (r *results) plot() string {
	var body strings.Builder
	x, y, tallest := gap, gap, 0
	for _, p := range panels {
		bars, height := r.panel(p, x, y)
		if bars == "" {
			continue
		}
		body.WriteString(bars)
		tallest = max(tallest, height)
		if x == gap {
			x += panelWidth + gap
		} else {
			x, y, tallest = gap, y+tallest+gap, 0
		}
	}
	if tallest > 0 {
		y += tallest + gap
	}
	width, foot := 2*panelWidth+3*gap, headHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, y+foot)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, y+foot)
	b.WriteString(body.String())
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#555" font-size="11">%s</text>`+"\n</svg>\n", gap, y+foot/2, html.EscapeString(
		fmt.Sprintf("%s, %s, %s; rounds: %d. make bench-dataplane", r.Machine, r.Kernel, r.Date, r.Runs)))
	return b.String()
}

// panel draws one measure with its corner at x, y; nothing if nobody has it.
func (r *results) panel(p panel, x, y int) (bars string, height int) {
	most := 0.0
	for _, c := range r.columns {
		if m, ok := r.median(c, p.measure); ok && c != veth {
			most = max(most, m)
		}
	}
	if most == 0 {
		return "", 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold" fill="#222">%s</text>`+"\n", x, y+12, html.EscapeString(p.title))
	height = headHeight
	for _, c := range r.columns {
		m, ok := r.median(c, p.measure)
		if !ok || c == veth {
			continue
		}
		colour := "#8a94a6"
		switch {
		case c == null:
			colour = "#d3d8e0"
		case slices.Contains(r.own, c):
			colour = "#1f77b4"
		}
		name := title(c)
		if c == null {
			name = "ours, no cipher"
		}
		top, length := y+height, m/most*barWidth
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#222">%s</text>`, x+nameWidth-6, top+12, html.EscapeString(name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, x+nameWidth, top, length, barHeight, colour)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#222">%s</text>`+"\n", float64(x+nameWidth)+length+5, top+12, number(m))
		height += barStep
	}
	return b.String(), height
}

// writePlot writes the picture into a file.
func (r *results) writePlot(file string) error { return os.WriteFile(file, []byte(r.plot()), 0o644) }
