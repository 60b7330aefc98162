//go:build e2e

// Command soak drives two of our gateways at full rate for minutes, with new
// keys every few seconds, and holds them to three things: not one octet is
// changed, memory stays flat and so does the number of goroutines.
//
// A client and a server in namespaces of their own send each other noise over
// TCP, through a gateway each; both ends hash what passes, and the receiver
// compares it with what it must be. It runs in namespaces from which no packet
// leaves, and the kernel ends what it started when it ends. `make soak` runs
// it; it is no part of what is green or red.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"seikan/e2e/world"
)

// A plan is what is run.
type plan struct {
	minutes   float64
	gigabytes float64
	rekey     time.Duration
	up, down  int // streams from the client and to it
	cbc       bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == gatewayVerb {
		exit(runGateway(os.Args[2:]))
	}
	var p plan
	flag.Float64Var(&p.minutes, "minutes", 10, "how long at least")
	flag.Float64Var(&p.gigabytes, "gigabytes", 20, "how much at least, of all streams together")
	flag.DurationVar(&p.rekey, "rekey", 5*time.Second, "between two renewals of the CHILD SA, by the two ends in turn")
	flag.IntVar(&p.up, "up", 1, "streams from the client to the server")
	flag.IntVar(&p.down, "down", 1, "streams from the server to the client")
	flag.BoolVar(&p.cbc, "cbc", false, "AES-256-CBC with SHA2-256 instead of AES-128-GCM")
	flag.Parse()
	if p.up+p.down < 1 || p.rekey < 100*time.Millisecond {
		exit(errors.New("-up, -down and -rekey: want at least one stream and 100 ms"))
	}
	os.Exit(world.Private(func() int {
		if err := p.run(); err != nil {
			fmt.Fprintln(os.Stderr, "soak:", err)
			return 1
		}
		return 0
	}))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does all of it and prints the table.
func (p plan) run() error {
	if err := world.Lines(laid); err != nil {
		return err
	}
	ends, err := startGateways(p.cbc)
	if err != nil {
		return err
	}
	defer ends.stop()
	streams, err := p.connect()
	if err != nil {
		return err
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for _, s := range streams {
		all.Go(func() { s.send(stop) })
		all.Go(s.receive)
	}
	go func() { all.Wait(); close(ended) }()
	r, err := p.watch(ends, streams, ended)
	close(stop)
	select {
	case <-ended:
	case <-time.After(stall):
		err = errors.Join(err, fmt.Errorf("the streams have not ended %v after their last octet", stall))
	}
	for _, s := range streams {
		err = errors.Join(err, s.verdict())
	}
	if r != nil {
		fmt.Print(r.table(p, streams))
		err = errors.Join(err, r.verdict())
	}
	return err
}

// stall is how long nothing may arrive.
const stall = 30 * time.Second

// watch renews keys and takes samples until there is enough of both time and
// octets, or a stream ends.
func (p plan) watch(ends gateways, streams []*stream, ended <-chan struct{}) (*record, error) {
	r := &record{began: time.Now()}
	if err := r.sample(ends, streams); err != nil {
		return nil, err
	}
	tick := time.NewTicker(p.rekey)
	defer tick.Stop()
	moved, at := int64(0), time.Now()
	for {
		select {
		case <-ended:
			return r, errors.New("the streams ended by themselves")
		case <-tick.C:
		}
		took, err := ends.renew(r.renewals % 2)
		if err != nil {
			return r, err
		}
		r.renewals++
		r.slowest = max(r.slowest, took)
		if err := r.sample(ends, streams); err != nil {
			return r, err
		}
		if n := r.last().octets; n > moved {
			moved, at = n, time.Now()
		} else if time.Since(at) > stall {
			return r, fmt.Errorf("nothing has arrived for %v", stall)
		}
		if r.last().at.Minutes() >= p.minutes && float64(r.last().octets) >= p.gigabytes*1e9 {
			return r, nil
		}
	}
}
