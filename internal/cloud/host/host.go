// Package host makes what the cloud's features want true on one machine, and
// tells them what it sees.
//
// It reads one moment of the store, merges every feature's plan into one
// netspec, applies it, and keeps the services that packets alone cannot be:
// a worker process for each VPN gateway, DNS listeners, health probes. What
// these find out goes back into the store as status. It takes no decision of
// its own about any resource; if it ends, the kernel's state and the gateways
// go on forwarding. The cloud role and the lab run it, one for a machine.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/reconcile"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// A Config is what New needs. Every field is required.
type Config struct {
	Log   *slog.Logger
	Store *store.Store
	Net   *netapply.Host
	// Gateway is the command that serves a gateway worker, such as
	// "/proc/self/exe", "gateway-worker".
	Gateway []string
	Stderr  io.Writer // the workers' logs
}

// A Host is this machine's part of the cloud.
type Host struct {
	cfg       Config
	gateways  *gateways
	listeners *listeners
	probes    *health.Runner
	queue     *reconcile.Queue[string]
	telemetry *telemetry

	// mu guards waiting.
	mu      sync.Mutex
	waiting []chan struct{} // closed when a look that began after they came has succeeded
}

// The keys of the queue.
const (
	keyMachine   = "machine"   // make the machine what the store wants
	keyTelemetry = "telemetry" // tell the store what the gateways see
)

// New returns a host that does nothing until Run.
func New(cfg Config) *Host {
	h := &Host{cfg: cfg}
	h.queue = reconcile.New(h.reconcile, reconcile.Options[string]{
		Workers: 2, MaxDelay: 5 * time.Second,
		OnError: func(key string, err error, retry time.Duration) {
			cfg.Log.Error("the machine is not as wanted; trying again", "part", key, "in", retry, "err", err)
		},
	})
	h.telemetry = newTelemetry(cfg.Store)
	h.gateways = &gateways{
		log: cfg.Log, net: cfg.Net, command: cfg.Gateway, stderr: cfg.Stderr, running: map[string]*runningGateway{},
		changed: func() { h.queue.Add(keyTelemetry) },
		died:    func() { h.queue.Add(keyMachine) },
	}
	h.listeners = newListeners(cfg.Log, cfg.Net)
	h.probes = health.NewRunner(h.dial, h.recordHealth)
	return h
}

// Run keeps the machine as the store wants until ctx ends. When it returns,
// its workers and goroutines have ended; what it made in the kernel stays.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops sync.WaitGroup
	for _, run := range []func(context.Context) error{h.watch, h.queue.Run, h.probes.Run} {
		loops.Go(func() { cancel(run(ctx)) })
	}
	<-ctx.Done()
	loops.Wait()
	h.listeners.stop()
	h.gateways.stop()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("host: %w", cause)
	}
	return nil
}

// watch asks for another look whenever a row changed.
func (h *Host) watch(ctx context.Context) error {
	return h.cfg.Store.Watch(ctx, func([]store.Change) { h.queue.Add(keyMachine) })
}

func (h *Host) reconcile(ctx context.Context, key string) (again time.Duration, err error) {
	if key == keyTelemetry {
		return 0, h.telemetry.record(ctx, h.gateways.statuses())
	}
	return h.converge(ctx)
}

// Settle waits until the machine is what the store wanted at some moment after
// the call, or ctx ends.
func (h *Host) Settle(ctx context.Context) error {
	done := make(chan struct{})
	h.mu.Lock()
	h.waiting = append(h.waiting, done)
	h.mu.Unlock()
	h.queue.Add(keyMachine)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A plan is what all features together want of the machine.
type plan struct {
	spec    netspec.Spec
	workers []vpn.Worker
	probes  []health.Wanted
	cuts    []cut
	names   dns.Plan
}

// converge makes the machine what the store wants: read, decide, apply,
// report.
func (h *Host) converge(ctx context.Context) (again time.Duration, err error) {
	h.mu.Lock()
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	defer func() { h.settled(waiting, err) }()
	p, err := h.plan(ctx)
	if err != nil {
		return 0, err
	}
	report, err := h.cfg.Net.Apply(ctx, p.spec)
	for _, c := range report.Changes {
		h.cfg.Log.Debug("applied", "change", c)
	}
	if err != nil {
		return 0, err
	}
	h.probes.Set(p.probes)
	again, gatewayErr := h.gateways.converge(p.workers)
	err = errors.Join(gatewayErr, h.listeners.converge(p.names), h.cut(ctx, p.cuts))
	if err != nil {
		return 0, err
	}
	return again, h.cfg.Store.Update(ctx, markRealised)
}

// settled lets those go that waited for this look, or keeps them for the next.
func (h *Host) settled(waiting []chan struct{}, err error) {
	if err != nil {
		h.mu.Lock()
		h.waiting = append(h.waiting, waiting...)
		h.mu.Unlock()
		return
	}
	for _, done := range waiting {
		close(done)
	}
}

// plan reads one moment of the store and asks each feature what it wants.
func (h *Host) plan(ctx context.Context) (plan, error) {
	var p plan
	err := h.cfg.Store.View(ctx, func(tx *store.Tx) (err error) {
		p, err = makePlan(tx)
		return err
	})
	if err != nil {
		return plan{}, fmt.Errorf("planning: %w", err)
	}
	return p, nil
}

// makePlan merges the features' plans.
func makePlan(tx *store.Tx) (plan, error) {
	network, err := vpc.MakePlan(vpc.Load(tx))
	if err != nil {
		return plan{}, err
	}
	names, err := dns.MakePlan(dns.Load(tx))
	if err != nil {
		return plan{}, err
	}
	gateways := vpn.MakePlan(vpn.Load(tx))
	balancers := lb.MakePlan(lb.Load(tx))
	endpoints := endpoint.MakePlan(endpoint.Load(tx))
	spec, err := netspec.Merge(network.Spec, gateways.Spec, balancers.Spec, endpoints.Spec)
	if err != nil {
		return plan{}, err
	}
	cuts := cutsOf(balancers.Cuts, endpoints.Cuts)
	return plan{
		spec: spec, workers: gateways.Workers, probes: balancers.Probes, cuts: cuts, names: names,
	}, nil
}

// markRealised turns what was pending and now is true into available.
func markRealised(tx *store.Tx) error {
	vpn.MarkRealised(tx)
	return nil
}

// Gateways are the latest reports of the VPN gateways, by id.
func (h *Host) Gateways() map[string]gateway.Status { return h.gateways.statuses() }

// dial opens a health check's connection inside the namespace of its node.
func (h *Host) dial(ctx context.Context, p health.Probe) (conn net.Conn, err error) {
	err = h.cfg.Net.In(p.Namespace, func() error {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.Source, 0))}
		conn, err = d.DialContext(ctx, "tcp4", p.Target.String())
		return err
	})
	return conn, err
}

// recordHealth writes what a probe found and cuts the flows of a target that
// has just failed. The runner calls it; an error is logged, since the next
// change writes again.
func (h *Host) recordHealth(p health.Probe, s health.Status) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var cuts []lb.Cut
	err := h.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		cuts = lb.RecordHealth(tx, p.Key, s)
		return nil
	})
	h.cfg.Log.Info("target "+string(s.State), "target", p.Target, "node", p.Source, "reason", s.Reason)
	if err == nil {
		err = h.cut(ctx, cutsOf(cuts, nil))
	}
	if err != nil {
		h.cfg.Log.Error("recording a target's health", "target", p.Target, "err", err)
	}
}

// A cut names the TCP connections of a namespace that must end; a Target that
// is not valid means all of them.
type cut struct {
	namespace string
	target    netip.AddrPort
}

func cutsOf(balancers []lb.Cut, endpoints []endpoint.Cut) (out []cut) {
	for _, c := range balancers {
		out = append(out, cut{c.Namespace, c.Target})
	}
	for _, c := range endpoints {
		out = append(out, cut{namespace: c.Namespace})
	}
	return out
}

// cut forgets connections, so that what follows of them is answered with RST
// or dropped (pl §2.8).
func (h *Host) cut(ctx context.Context, cuts []cut) error {
	var errs []error
	for _, c := range cuts {
		n, err := h.cfg.Net.FlushConntrack(ctx, c.namespace, netapply.Flow{Proto: protoTCP, ReplySrc: c.target})
		if err != nil {
			errs = append(errs, err)
		} else if n > 0 {
			h.cfg.Log.Info("connections are cut", "namespace", c.namespace, "target", c.target, "connections", n)
		}
	}
	return errors.Join(errs...)
}

// protoTCP is IP protocol 6.
const protoTCP = 6
