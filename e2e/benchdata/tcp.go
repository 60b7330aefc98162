//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"seikan/internal/linux/netapply"
)

// serve starts iperf3's server at an address.
func (s *session) serve(address string) error {
	p, err := launch(server, nil, "iperf3", "-s", "-B", address, "--forceflush")
	if err != nil {
		return err
	}
	s.iperf = append(s.iperf, p)
	return p.until("iperf3's server", 5*time.Second, func() error {
		if !strings.Contains(p.printed(), "listening") {
			return errors.New("it does not listen yet")
		}
		return nil
	})
}

// A stream is what iperf3 is asked for.
type stream struct {
	from, to string // addresses; data go from the client unless down
	down     bool
	parallel int // 0: one
}

var oneUp, oneDown = stream{from: clientAddr, to: serverAddr}, stream{from: clientAddr, to: serverAddr, down: true}

// moved is what a stream has carried.
type moved struct {
	octets float64
	rate   float64 // Mbit/s
}

// tcp runs one stream and returns what arrived.
func (s *session) tcp(st stream) (moved, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.plan.seconds+15)*time.Second)
	defer cancel()
	args := []string{"-c", st.to, "-B", st.from, "-J", "-t", strconv.Itoa(s.plan.seconds), "-P", strconv.Itoa(max(1, st.parallel))}
	if st.down {
		args = append(args, "-R")
	}
	cmd := exec.CommandContext(ctx, "iperf3", args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := netapply.StartIn(client, cmd); err != nil {
		return moved{}, err
	}
	err := cmd.Wait()
	var answer struct {
		Error string
		End   struct {
			Received struct {
				Bytes float64
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := errors.Join(err, json.Unmarshal(out.Bytes(), &answer)); err != nil {
		return moved{}, fmt.Errorf("iperf3: %w: %s", err, out.String())
	}
	if answer.Error != "" || answer.End.Received.Bytes == 0 {
		return moved{}, fmt.Errorf("iperf3: no traffic passed: %s", answer.Error)
	}
	return moved{answer.End.Received.Bytes, answer.End.Received.Rate / 1e6}, nil
}

// measureTCP is one stream either way, and what it cost the gateways.
func (s *session) measureTCP(take taker) error {
	before, err := cpuTime(s.gateways)
	if err != nil {
		return err
	}
	up, err := s.tcp(oneUp)
	if err != nil {
		return err
	}
	down, err := s.tcp(oneDown)
	if err != nil {
		return err
	}
	after, err := cpuTime(s.gateways)
	if err != nil {
		return err
	}
	take("tcp.up", up.rate)
	take("tcp.down", down.rate)
	if len(s.gateways) == 0 {
		return nil
	}
	take("cpu", (after-before).Seconds()/(up.octets+down.octets)*1e9)
	for name, line := range map[string]string{"rss": "VmRSS", "peak": "VmHWM"} {
		most := 0.0
		for _, g := range s.gateways {
			m, err := memory(g, line)
			if err != nil {
				return err
			}
			most = max(most, m)
		}
		take(name, most)
	}
	return nil
}

// measureCBC is one stream either way, of a session with another cipher.
func (s *session) measureCBC(take taker) error {
	return s.measureBoth("cbc", take)
}

// measureBoth is one stream either way, as measures of that name.
func (s *session) measureBoth(name string, take taker) error {
	up, err := s.tcp(oneUp)
	if err != nil {
		return err
	}
	down, err := s.tcp(oneDown)
	if err != nil {
		return err
	}
	take(name+".up", up.rate)
	take(name+".down", down.rate)
	return nil
}

// measureEight is one stream through one tunnel, and four through each of two
// at the same time.
func (s *session) measureEight(take taker) error {
	one, err := s.tcp(oneUp)
	if err != nil {
		return err
	}
	type result struct {
		moved
		err error
	}
	results := make(chan result, 2)
	for _, st := range []stream{{from: clientAddr, to: serverAddr, parallel: 4}, {from: clientAddr2, to: serverAddr2, parallel: 4}} {
		go func() { m, err := s.tcp(st); results <- result{m, err} }()
	}
	first, second := <-results, <-results
	if err := errors.Join(first.err, second.err); err != nil {
		return err
	}
	take("one", one.rate)
	take("eight", first.rate+second.rate)
	return nil
}

// interval is between two pings.
const interval = 10 * time.Millisecond

// lostTrip is what a ping that is not answered counts as, in milliseconds.
const lostTrip = 1000

// ping returns the round trips in milliseconds, the shortest first.
func (s *session) ping(count int) (trips []float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(count)*interval+20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ping", "-n", "-i", strconv.FormatFloat(interval.Seconds(), 'f', -1, 64), "-c", strconv.Itoa(count), "-W", "1", serverAddr)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := netapply.StartIn(client, cmd); err != nil {
		return nil, err
	}
	_ = cmd.Wait() // it says whether all came
	for line := range strings.Lines(out.String()) {
		if _, after, ok := strings.Cut(line, "time="); ok {
			trip, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
			if err != nil {
				return nil, err
			}
			trips = append(trips, trip)
		}
	}
	if len(trips) == 0 {
		return nil, fmt.Errorf("ping: none of %d answered: %s", count, out.String()[max(0, out.Len()-300):])
	}
	if lost := count - len(trips); lost > 0 {
		progress("  %d of %d pings lost", lost, count)
		trips = append(trips, slices.Repeat([]float64{lostTrip}, lost)...)
	}
	slices.Sort(trips)
	return trips, nil
}

// measurePing is round trips while nothing else is under way.
func (s *session) measurePing(take taker) error {
	trips, err := s.ping(s.plan.pings)
	if err != nil {
		return err
	}
	sum := 0.0
	for _, t := range trips {
		sum += t
	}
	take("ping.avg", sum/float64(len(trips)))
	take("ping.p99", trips[len(trips)*99/100])
	return nil
}

// measureLoad is round trips beside one stream as fast as it can.
func (s *session) measureLoad(take taker) error {
	ended := make(chan error, 1)
	go func() { _, err := s.tcp(oneUp); ended <- err }()
	const lead = 300 * time.Millisecond // the stream begins
	time.Sleep(lead)
	trips, err := s.ping(int((time.Duration(s.plan.seconds)*time.Second - 2*lead) / interval))
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	take("load.p99", trips[len(trips)*99/100])
	return nil
}
