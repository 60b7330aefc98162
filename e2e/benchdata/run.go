//go:build e2e

package main

import (
	"errors"
	"fmt"
	"time"
)

// A taker takes note of one value of a measure.
type taker func(measure string, value float64)

// A job is one session of a round.
type job struct {
	contender contender
	variant   variant
	impair    impairment
	steps     []step
}

// A step measures something in a session.
type step struct {
	name string
	run  func(*session, taker) error
}

// jobs are those of a round.
func (p plan) jobs() (list []job) {
	for _, c := range p.contenders() {
		rival := c.own || c.label == wireguard
		var steps []step
		add := func(name string, wanted bool, run func(*session, taker) error) {
			if wanted && p.measures.has(name) {
				steps = append(steps, step{name, run})
			}
		}
		add("tcp", true, (*session).measureTCP)
		add("udp", rival, (*session).measureUDP)
		add("ping", rival || c.label == veth, (*session).measurePing)
		add("load", rival, (*session).measureLoad)
		if c.label == null {
			steps = []step{{"null", (*session).measureTCP}}
		}
		list = append(list, job{contender: c, steps: steps})
		if p.measures.has("cbc") && (c.own || c.label == strongswan) {
			list = append(list, job{contender: c, variant: variant{cbc: true}, steps: []step{{"cbc", (*session).measureCBC}}})
		}
		if p.measures.has("eight") && c.own {
			list = append(list, job{contender: c, variant: variant{tunnels: 2}, steps: []step{{"eight", (*session).measureEight}}})
		}
		for _, i := range []impairment{loss, reorder} {
			if p.measures.has(string(i)) && rival {
				list = append(list, job{contender: c, impair: i, steps: []step{{string(i), measureImpaired(i)}}})
			}
		}
	}
	return list
}

// run measures everything and prints the table.
func (p plan) run() error {
	r := newResults(p)
	jobs := p.jobs()
	began := time.Now()
	for round := range p.runs {
		for _, j := range jobs {
			if len(j.steps) == 0 {
				continue
			}
			progress("round %d of %d: %s%s", round+1, p.runs, j.contender.label, j.what())
			if err := p.do(j, r); err != nil {
				r.fail(j.contender.label, j.what(), err)
			}
		}
	}
	if p.measures.has("sas") && len(r.own) > 0 {
		if err := p.measureSAs(r); err != nil {
			r.fail(r.own[0], ", many SAs", err)
		}
	}
	r.Took = time.Since(began)
	if err := r.write(p); err != nil {
		return err
	}
	return errors.Join(r.failures...)
}

// what a job is beyond its contender.
func (j job) what() string {
	switch {
	case j.variant.cbc:
		return ", AES-256-CBC"
	case j.variant.tunnels == 2:
		return ", two tunnels"
	case j.impair != clean:
		return ", " + string(j.impair)
	}
	return ""
}

// do is one session.
func (p plan) do(j job, r *results) error {
	s, err := p.open(j.contender, j.variant, j.impair)
	if err != nil {
		return err
	}
	defer s.close()
	for _, st := range j.steps {
		err := st.run(s, func(measure string, value float64) {
			progress("  %s %s: %.4g", j.contender.label, measure, value)
			r.take(j.contender.label, measure, value)
		})
		if err != nil {
			return fmt.Errorf("%s: %w%s", st.name, err, s.said())
		}
	}
	return nil
}
