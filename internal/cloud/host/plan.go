package host

import (
	"context"
	"fmt"
	"strings"
	"time"

	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/linux/netspec"
)

// A plan is what all features together want of the machine.
type plan struct {
	spec    netspec.Spec
	workers []vpn.Worker
	probes  []health.Wanted
	cuts    []cut
	names   dns.Plan
	faults  []error       // what features had to leave out
	again   time.Duration // when time alone changes the plan; 0: never
}

// plan tidies up and carries on what time brings about, then reads one moment of the store and asks each feature
// what it wants.
func (h *Host) plan(ctx context.Context) (p plan, err error) {
	var again time.Duration
	tidyErr := h.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		lb.Tidy(tx)
		again = sooner(vpn.Advance(tx), vpn.RecordHealth(tx))
		return nil
	})
	err = h.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		p, err = makePlan(tx)
		return err
	})
	if err != nil {
		return plan{}, fmt.Errorf("planning: %w", err)
	}
	p.faults, p.again = append(p.faults, tidyErr), again
	return p, nil
}

// makePlan merges the features' plans. It fails when they contradict each
// other: there is then no telling which one is right, and the machine stays as
// it is.
func makePlan(tx *store.Tx) (plan, error) {
	network, networkErr := vpc.MakePlan(vpc.Load(tx))
	names, namesErr := dns.MakePlan(dns.Load(tx))
	gateways := vpn.MakePlan(vpn.Load(tx))
	balancers := lb.MakePlan(lb.Load(tx))
	endpoints := endpoint.MakePlan(endpoint.Load(tx))
	spec, err := netspec.Merge(network.Spec, gateways.Spec, balancers.Spec, endpoints.Spec)
	if err != nil {
		return plan{}, err
	}
	return plan{
		spec: spec, workers: gateways.Workers, probes: balancers.Probes, names: names,
		cuts: cutsOf(balancers.Cuts, endpoints.Cuts), faults: []error{networkErr, namesErr},
	}, nil
}

// missingSpaces are the namespaces of spec that err, of Apply, is about: those
// its parts begin with. An error that has no parts is about all of them.
func missingSpaces(spec netspec.Spec, err error) map[string]bool {
	missing := map[string]bool{}
	if err == nil {
		return missing
	}
	var parts []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		parts = joined.Unwrap()
	}
	for _, n := range spec.Namespaces {
		missing[n.Name] = len(parts) == 0
		for _, part := range parts {
			if strings.HasPrefix(part.Error(), "apply "+n.Label()+": ") {
				missing[n.Name] = true
			}
		}
	}
	return missing
}
