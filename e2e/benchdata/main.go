//go:build e2e

// Command benchdata measures what the data plane carries, ours beside
// wireguard-go, OpenVPN, strongSwan in user space and plain routing: TCP, UDP,
// round trips, processor time and memory, between two gateways on one machine.
//
// It runs in namespaces of its own, from which no packet leaves, and the kernel
// ends what it started when it ends. It decides nothing about whether a figure
// is good: it sets the goal beside it, and fails only if nothing could be
// measured. scripts/bench-dataplane.sh runs it, after it has built what is
// compared.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"seikan/e2e/world"
)

// A plan is what is measured, and with which programs.
type plan struct {
	runs     int
	seconds  int // of each stream
	pings    int
	only     words
	measures words
	short    bool
	ours     builds
	null     string // our binary with a copy in place of the cipher; empty: none
	wire     string // wireguard-go
	json     string
	plot     string
}

// words is a flag of words with commas between; empty is all.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(s string) error { *w = strings.Split(s, ","); return nil }

func (w words) has(word string) bool { return len(w) == 0 || slices.Contains(w, word) }

// builds are binaries of ours by the names they have in the table.
type builds []build

type build struct{ label, path string }

func (b *builds) String() string { return fmt.Sprint(*b) }

func (b *builds) Set(s string) error {
	*b = nil
	for one := range strings.SplitSeq(s, ",") {
		label, path, named := strings.Cut(one, "=")
		if !named {
			label, path = ours, one
		}
		if slices.ContainsFunc(*b, func(have build) bool { return have.label == label }) {
			return fmt.Errorf("%q is there twice: give each build a name, as in a=PATH,b=PATH", label)
		}
		*b = append(*b, build{label, path})
	}
	return nil
}

// The measures by name, in the order of the table.
var measures = []string{"tcp", "cbc", "null", "eight", "udp", "ping", "load", "loss", "reorder", "sas"}

func main() {
	if len(os.Args) > 1 && os.Args[1] == planeVerb {
		if err := runPlane(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "benchdata plane:", err)
			os.Exit(1)
		}
		return
	}
	p := plan{ours: builds{{ours, "bin/seikan"}}}
	flag.IntVar(&p.runs, "runs", 5, "rounds, of which the median counts")
	flag.IntVar(&p.seconds, "seconds", 5, "of each stream")
	flag.Var(&p.only, "only", "contenders, with commas between: "+strings.Join([]string{veth, ours, wireguard, openvpn, strongswan}, ",")+" (default all)")
	flag.Var(&p.measures, "measures", "measures, with commas between: "+strings.Join(measures, ",")+" (default all)")
	flag.BoolVar(&p.short, "short", false, "one round of 3 s of ours, wireguard-go and strongSwan, the main measures only")
	flag.Var(&p.ours, "ours", "our binary, or several with names: a=PATH,b=PATH")
	flag.StringVar(&p.null, "null", "", "our binary built with -tags nullcipher")
	flag.StringVar(&p.wire, "wireguard", "", "the program wireguard-go")
	flag.StringVar(&p.json, "json", "", "file for all values")
	flag.StringVar(&p.plot, "plot", "", "file for a picture, in SVG")
	flag.Parse()
	if err := p.check(); err != nil {
		fmt.Fprintln(os.Stderr, "benchdata:", err)
		os.Exit(2)
	}
	os.Exit(world.Private(func() int {
		if err := p.run(); err != nil {
			fmt.Fprintln(os.Stderr, "benchdata:", err)
			return 1
		}
		return 0
	}))
}

// check completes the plan.
func (p *plan) check() error {
	for _, m := range p.measures {
		if !slices.Contains(measures, m) {
			return fmt.Errorf("-measures: %q is none of %s", m, strings.Join(measures, ", "))
		}
	}
	if p.short {
		p.runs, p.seconds = 1, 3
		if len(p.only) == 0 {
			p.only = words{ours, wireguard, strongswan}
		}
		if len(p.measures) == 0 {
			p.measures = words{"tcp", "cbc", "udp", "ping", "load"}
		}
	}
	p.pings = 1000
	if p.short {
		p.pings = 300
	}
	if p.runs < 1 || p.seconds < 2 {
		return errors.New("-runs and -seconds: at least 1 round of 2 s is needed")
	}
	if p.wire == "" && p.only.has(wireguard) {
		return errors.New("-wireguard: the path of wireguard-go is needed")
	}
	return nil
}

// progress tells whoever waits.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}
