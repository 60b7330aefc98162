//go:build e2e

// Command benchike measures what IKE costs: setups a second and processor time
// a setup of our responder and of strongSwan's, with strongSwan's load-tester
// as the initiator of both; and what thousands of tunnels of one gateway cost
// while nothing but dead peer detection happens.
//
// It makes two namespaces joined by a veth and takes them away. It decides
// nothing about whether a figure is good. scripts/bench-ike.sh runs it, after
// it has built strongSwan with the load-tester.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// A plan is what is measured.
type plan struct {
	swan    string // the prefix that strongSwan is installed in
	setups  int    // tunnels of one run
	runs    int    // of each responder; the median counts
	tunnels int    // for dead peer detection; 0 leaves that out
	watch   time.Duration
	watches int    // how often one after the other
	profile string // directory for processor profiles of our responder
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == respondVerb {
		exit(respond(os.Args[2:]))
	}
	var p plan
	flag.StringVar(&p.swan, "strongswan", "", "prefix of a strongSwan with the load-tester")
	flag.IntVar(&p.setups, "setups", 2000, "tunnels that are set up in a run")
	flag.IntVar(&p.runs, "runs", 3, "runs of each responder and suite, of which the median counts; 0 for none")
	flag.IntVar(&p.tunnels, "tunnels", 10000, "tunnels of the gateway whose dead peer detection is watched; 0 for none")
	flag.DurationVar(&p.watch, "watch", time.Minute, "how long it is watched")
	flag.IntVar(&p.watches, "watches", 3, "how often it is watched, one time after the other; the figure of each is printed")
	flag.StringVar(&p.profile, "profile", "", "directory for processor profiles of our responder")
	flag.Parse()
	if p.swan == "" {
		exit(errors.New("-strongswan: the prefix of a strongSwan with the load-tester is needed"))
	}
	exit(p.run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchike:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run measures everything and prints the tables.
func (p plan) run() error {
	bench, err := newBench(p)
	if err != nil {
		return err
	}
	defer bench.close()
	if err := bench.describe(); err != nil {
		return err
	}
	if p.runs > 0 {
		if err := bench.compareAll(); err != nil {
			return err
		}
	}
	if p.tunnels == 0 {
		return nil
	}
	return bench.idle(suites[1])
}

// compareAll prints the table of all suites.
func (b *bench) compareAll() error {
	fmt.Printf("| suite, PSK | responder | setups/s | CPU ms a setup | ours ÷ strongSwan: CPU | setups/s |\n|---|---|---:|---:|---:|---:|\n")
	for _, s := range suites {
		if err := b.compare(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// compare runs both responders in turn and prints their medians.
func (b *bench) compare(s benchSuite) error {
	var ours, theirs []sample
	for range b.plan.runs {
		o, err := b.load(s, b.startOurs)
		if err != nil {
			return fmt.Errorf("our responder: %w", err)
		}
		t, err := b.load(s, b.startSwan)
		if err != nil {
			return fmt.Errorf("strongSwan's responder: %w", err)
		}
		fmt.Fprintf(os.Stderr, "%s: ours %v, strongSwan's %v\n", s.name, o, t)
		ours, theirs = append(ours, o), append(theirs, t)
	}
	o, t := median(ours), median(theirs)
	fmt.Printf("| %s | ours | %.0f | %.3f | %.2f | %.2f |\n", s.name, o.rate, o.cpu, o.cpu/t.cpu, o.rate/t.rate)
	fmt.Printf("| %s | strongSwan's | %.0f | %.3f | | |\n", s.name, t.rate, t.cpu)
	return nil
}

// describe says what is measured where.
func (b *bench) describe() error {
	version, err := exec.Command(b.plan.swan+"/libexec/ipsec/charon", "--version").Output()
	if err != nil {
		return fmt.Errorf("strongSwan: %w", err)
	}
	fmt.Printf("%s%s\n%d setups a run, median of %d runs, responders in turn; initiator: strongSwan's load-tester with %d attempts under way.\n"+
		"strongSwan: GMP for groups of numbers and OpenSSL for all else, short exponents, %d threads, no log, no denial-of-service protection, no ESP at all; ours: TUN, addresses and routes for each tunnel.\n\n",
		version, machine(), b.plan.setups, b.plan.runs, underway, swanThreads)
	return nil
}
