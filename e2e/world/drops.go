//go:build e2e

package world

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Drops are what the kernel threw away, by "namespace: counter", without those
// that are 0.
type Drops map[string]int64

// Drops reads the counters of all namespaces: of datagrams for which a socket had
// no room, of packets that IP could not put together or send on, and of what links
// and TUNs had no room for.
func (w *World) Drops() Drops {
	w.t.Helper()
	d := Drops{}
	for _, ns := range []string{"client", "cgw", "nat", "inet", "resp", "server"} {
		d.read(ns, w.Exec(ns, "cat", "/proc/net/snmp", "/proc/net/dev"))
	}
	return d
}

// read takes the counters of proc_net(5) from text.
func (d Drops) read(ns, text string) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) > 16 && strings.HasSuffix(words[0], ":") && !strings.HasPrefix(line, "Ip:"): // a link
			d.add(ns, words[0]+" received and dropped", words[4])
			d.add(ns, words[0]+" sent and dropped", words[12])
		case len(words) == 0 || words[0] != "Udp:" && words[0] != "Ip:":
		case len(words) > 1 && words[1][0] >= 'A':
			names = words
		default:
			for i, name := range names {
				if slices.Contains([]string{"RcvbufErrors", "SndbufErrors", "MemErrors", "InDiscards", "OutDiscards", "ReasmFails"}, name) {
					d.add(ns, words[0]+" "+name, words[i])
				}
			}
		}
	}
}

func (d Drops) add(ns, counter, value string) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && n != 0 {
		d[ns+": "+counter] = n
	}
}

// Since is what has been thrown away since earlier.
func (d Drops) Since(earlier Drops) Drops {
	out := Drops{}
	for counter, n := range d {
		if n != earlier[counter] {
			out[counter] = n - earlier[counter]
		}
	}
	return out
}

// String is for a report.
func (d Drops) String() string {
	if len(d) == 0 {
		return "the kernel dropped nothing"
	}
	var all []string
	for _, counter := range slices.Sorted(maps.Keys(d)) {
		all = append(all, fmt.Sprintf("%s %d", counter, d[counter]))
	}
	return "the kernel dropped: " + strings.Join(all, ", ")
}
