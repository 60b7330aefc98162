// Package host makes what the cloud's features want true on one machine, and
// tells them what it sees.
//
// It reads one moment of the store, merges every feature's plan into one
// netspec, applies it, and keeps the services that packets alone cannot be:
// a worker process for each VPN gateway, DNS listeners, health probes. What
// these find out goes back into the store as status. It takes no decision of
// its own about any resource. A fault of one resource is reported with that
// resource's id and does not stop the others. When it ends, what it made in the
// kernel goes on forwarding, and the next host takes that over as it is; its
// gateways end with it, and those of a host that crashed give way to the next
// one's. The cloud role and the lab run it, one for a machine.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/reconcile"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/linux/netapply"
)

// A Config is what New needs. Every field but State and
// Logs is required.
type Config struct {
	Log   *slog.Logger
	Store *store.Store
	Net   *netapply.Host
	// Gateway is the command that serves a gateway worker, such as
	// "/proc/self/exe", "gateway-worker".
	Gateway []string
	Stderr  io.Writer // the workers' logs
	// State is the directory below which each gateway's worker keeps its SAs, so
	// that the next one goes on with them if it dies; empty: nowhere.
	State string
	// Logs is the directory for the logs that tunnel options ask for; empty: they
	// are not kept.
	Logs string
}

// A Host is this machine's part of the cloud.
type Host struct {
	cfg       Config
	gateways  *gateways
	listeners *listeners
	probes    *health.Runner
	queue     *reconcile.Queue[string]
	telemetry *telemetry
	links     missing // looks at the machine use it, one at a time

	// mu guards the fields below it.
	mu      sync.Mutex
	waiting []chan struct{}          // closed when a look that began after they came has succeeded
	found   map[string]health.Status // what probes found out and the store does not know yet, by key
}

// The keys of the queue.
const (
	keyMachine   = "machine"   // make the machine what the store wants
	keyTelemetry = "telemetry" // tell the store what the gateways see
	keyHealth    = "health"    // tell the store what the probes found out
)

// New returns a host that does nothing until Run.
func New(cfg Config) *Host {
	h := &Host{cfg: cfg, found: map[string]health.Status{}}
	h.queue = reconcile.New(h.reconcile, reconcile.Options[string]{
		Workers: 3, MaxDelay: 5 * time.Second,
		OnError: func(key string, err error, retry time.Duration) {
			cfg.Log.Error("the machine is not as wanted; trying again", "part", key, "in", retry, "err", err)
		},
	})
	h.telemetry = newTelemetry(cfg.Store)
	h.gateways = &gateways{
		log: cfg.Log, net: cfg.Net, command: cfg.Gateway, stderr: cfg.Stderr, state: cfg.State, logs: newTunnelLogs(cfg.Logs, cfg.Log), running: map[string]*runningGateway{},
		changed: func() { h.queue.Add(keyTelemetry) },
		died:    func() { h.queue.Add(keyMachine); h.queue.Add(keyTelemetry) },
	}
	h.listeners = newListeners(cfg.Log, cfg.Net)
	h.probes = health.NewRunner(h.dial, h.noteHealth)
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
	switch key {
	case keyTelemetry:
		now := time.Now()
		again, err = h.telemetry.record(ctx, h.gateways.statuses(), h.gateways.resuming(now), now)
	case keyHealth:
		err = h.recordHealth(ctx)
	default:
		again, err = h.converge(ctx)
	}
	if ctx.Err() != nil {
		return 0, nil // what the end interrupts is no fault
	}
	return again, err
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

// converge makes the machine what the store wants: read, decide, apply,
// report. What fails is left for the next look; everything else goes on.
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
	report, applyErr := h.cfg.Net.Apply(ctx, p.spec)
	for _, c := range report.Changes {
		h.cfg.Log.Debug("applied", "change", c)
	}
	if leftOut := h.probes.Set(p.probes); leftOut > 0 {
		p.faults = append(p.faults, fmt.Errorf("health checks: %d are left out: this machine runs %d", leftOut, health.MaxProbes))
	}
	again, broken := h.gateways.converge(p.workers)
	again = sooner(again, p.again)
	again = sooner(again, h.links.wait(report.Pending, time.Now())) // TUNs that a worker is about to make
	h.queue.Add(keyTelemetry)                                       // a gateway that could not be started has no other way to say so
	missing := missingSpaces(p.spec, applyErr)
	markErr := h.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		vpn.MarkRealised(tx, func(g resource.VPNGateway) bool {
			return broken[string(g.ID)] != nil || missing[string(g.ID)] || missing[string(g.Attachment.VPCID)]
		})
		vpn.MarkTransitRealised(tx, func(space string) bool { return broken[space] != nil || missing[space] })
		return nil
	})
	errs := append(p.faults, applyErr, h.cut(ctx, p.cuts), h.listeners.converge(p.names), markErr)
	for _, id := range slices.Sorted(maps.Keys(broken)) {
		errs = append(errs, fmt.Errorf("VPN gateway %s: %w", id, broken[id]))
	}
	return again, errors.Join(errs...)
}

// sooner is the shorter of two waits, of which 0 is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
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

// noteHealth takes what a probe found out. The runner calls it from many
// goroutines; the store hears of it as soon as it can, however often that
// fails.
func (h *Host) noteHealth(p health.Probe, s health.Status) {
	h.cfg.Log.Info("target "+string(s.State), "target", p.Target, "node", p.Source, "reason", s.Reason)
	h.mu.Lock()
	h.found[p.Key] = s
	h.mu.Unlock()
	h.queue.Add(keyHealth)
}

// recordHealth writes what probes have found out, all in one, and cuts the
// flows of targets that have just failed.
func (h *Host) recordHealth(ctx context.Context) error {
	h.mu.Lock()
	found := h.found
	h.found = map[string]health.Status{}
	h.mu.Unlock()
	var cuts []lb.Cut
	err := h.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		cuts = nil // an earlier attempt's
		for key, s := range found {
			cuts = append(cuts, lb.RecordHealth(tx, key, s)...)
		}
		return nil
	})
	if err == nil {
		return h.cut(ctx, cutsOf(cuts, nil))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, s := range found {
		if _, newer := h.found[key]; !newer {
			h.found[key] = s
		}
	}
	return fmt.Errorf("recording the health of %d targets: %w", len(found), err)
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
