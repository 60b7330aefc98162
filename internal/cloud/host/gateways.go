package host

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
	"seikan/internal/gateway/worker"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/linux/netapply"
)

const (
	// restartAfter is the pause before a gateway is started again that died twice
	// within steadyAfter. Any other is at once, and goes on with its SAs.
	restartAfter = time.Second
	steadyAfter  = 10 * time.Second
	// resumeWithin is how long a gateway that took the place of one that died, and
	// has its SAs, may take to have its BGP sessions again: until then what was
	// learned stays, as with a graceful restart (RFC 4724 §4.1).
	resumeWithin = 20 * time.Second
)

// gateways supervises the worker processes of the VPN gateways.
type gateways struct {
	log     *slog.Logger
	net     *netapply.Host
	command []string
	stderr  io.Writer
	state   string // where workers keep their SAs; empty: nowhere
	logs    *tunnelLogs
	changed func() // a status arrived; must not block
	died    func() // a worker ended by itself; must not block

	// mu guards running.
	mu      sync.Mutex
	running map[string]*runningGateway // by gateway id
	watches sync.WaitGroup
}

// A runningGateway is one worker process and what it was told.
type runningGateway struct {
	process  *worker.Process
	config   gateway.Config
	outsides []netip.Addr
	started  time.Time
	died     time.Time // zero while it lives
	lost     time.Time // when the one died in whose place it is; zero without
	again    bool      // one died soon after its start, and this is in its place
}

// young reports whether it died soon after its start.
func (r *runningGateway) young() bool {
	return r != nil && !r.died.IsZero() && r.died.Sub(r.started) < steadyAfter
}

// lostAt is when the gateway was lost that r was, or, when r took its place and died
// soon, the first of those: one that dies again and again does not go on with
// anything. It is zero when r lives or never was.
func (r *runningGateway) lostAt() time.Time {
	switch {
	case r == nil:
		return time.Time{}
	case r.young() && !r.lost.IsZero():
		return r.lost
	}
	return r.died
}

// resuming are the ids of the tunnels whose gateway has just died, or has just
// taken the place of one that did, and goes on with its SAs.
func (g *gateways) resuming(now time.Time) map[string]bool {
	out := map[string]bool{}
	if g.state == "" {
		return out
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.running {
		for _, at := range []time.Time{r.lostAt(), r.lost} {
			if at.IsZero() || now.Sub(at) > resumeWithin {
				continue
			}
			for _, t := range r.config.Tunnels {
				out[t.ID] = true
			}
		}
	}
	return out
}

// converge makes the running workers those of want. Again is when to look
// again, 0 for not; broken says by id which gateways do not run as wanted.
func (g *gateways) converge(want []vpn.Worker) (again time.Duration, broken map[string]error) {
	g.stopOthers(want)
	g.mu.Lock()
	defer g.mu.Unlock()
	broken = map[string]error{}
	for _, w := range want {
		wait, err := g.convergeOneLocked(w)
		if err != nil {
			broken[w.GatewayID] = err
		}
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return again, broken
}

// stopOthers stops the workers that are not of want, all at once, and waits.
// Meanwhile the others' statuses can be read.
func (g *gateways) stopOthers(want []vpn.Worker) {
	var all sync.WaitGroup
	defer all.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, r := range g.running {
		if !slices.ContainsFunc(want, func(w vpn.Worker) bool { return w.GatewayID == id }) {
			g.log.Info("stopping VPN gateway", "gateway", id)
			delete(g.running, id)
			g.logs.forget(id)
			all.Go(func() {
				r.process.Stop()
				if dir := g.stateOf(id); dir != "" {
					_ = os.RemoveAll(dir) // an orderly end has left nothing in it
				}
			})
		}
	}
}

// stateOf is where the worker of a gateway keeps its SAs; empty: nowhere.
func (g *gateways) stateOf(id string) string {
	if g.state == "" {
		return ""
	}
	return filepath.Join(g.state, id)
}

// convergeOneLocked starts, restarts or reconfigures one worker. The caller
// holds g.mu.
func (g *gateways) convergeOneLocked(w vpn.Worker) (again time.Duration, err error) {
	id := w.GatewayID
	cfg, err := workerConfig(w)
	if err != nil {
		return 0, err
	}
	g.logs.set(w)
	outsides := outsidesOf(w)
	r := g.running[id]
	switch {
	case r != nil && !r.died.IsZero():
		if wait := restartAfter - time.Since(r.died); wait > 0 && r.again && r.young() {
			return wait, nil
		}
	case r != nil && !slices.Equal(r.outsides, outsides):
		// Sockets are handed over at the start only.
		r.process.Stop()
	case r != nil && reflect.DeepEqual(r.config, cfg):
		return 0, nil
	case r != nil:
		if err := r.process.Set(cfg); err != nil {
			// It may have read half of it: begin anew.
			r.process.Stop()
			return 0, err
		}
		r.config = cfg
		return 0, nil
	}
	process, err := g.start(w, cfg, outsides)
	if err != nil {
		return 0, err
	}
	g.running[id] = &runningGateway{process: process, config: cfg, outsides: outsides, started: time.Now(), lost: r.lostAt(), again: r.young()}
	g.log.Info("VPN gateway started", "gateway", id, "pid", process.PID(), "tunnels", len(cfg.Tunnels))
	g.watches.Go(func() { g.watch(id, process) })
	return 0, nil
}

// start opens the outside sockets at the cloud's edge and starts the worker in
// the gateway's namespace, in the place of any that a crashed host left.
func (g *gateways) start(w vpn.Worker, cfg gateway.Config, outsides []netip.Addr) (*worker.Process, error) {
	if err := endOrphans(g.net.Path(w.Namespace), g.command, g.state != ""); err != nil {
		return nil, err
	}
	files, err := g.sockets(w.OutsideNamespace, outsides)
	if err != nil {
		return nil, err
	}
	return worker.Start(worker.Options{
		Command: g.command, Config: cfg, Files: files, State: g.stateOf(w.GatewayID), Stderr: g.stderr, Log: g.log, Changed: g.changed,
		Reported: func(st gateway.Status, said []activity.Notice) { g.logs.report(w.GatewayID, st, said) },
		Start:    func(cmd *exec.Cmd) error { return g.net.Start(w.Namespace, cmd) },
	})
}

// sockets opens the sockets of each address inside namespace.
func (g *gateways) sockets(namespace string, addrs []netip.Addr) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	for _, a := range addrs {
		var outside *udp.Outside
		err := g.net.In(namespace, func() (err error) {
			outside, err = udp.Listen(a, udp.Ports{IKE: udp.IKEPort, NAT: udp.NATPort}, udp.Options{RawESP: true, Log: g.log})
			return err
		})
		if err != nil {
			return files, fmt.Errorf("outside address %v in %s: %w", a, namespace, err)
		}
		some, err := outside.Files()
		outside.Close()
		if err != nil {
			return files, err
		}
		files = append(files, some...)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// watch notes when a worker has ended by itself.
func (g *gateways) watch(id string, p *worker.Process) {
	<-p.Done()
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.running[id]; r != nil && r.process == p {
		r.died = time.Now()
		g.log.Error("VPN gateway ended by itself; it will be started again", "gateway", id, "err", p.Err())
		g.died()
	}
}

// statuses are the latest reports by gateway id. A gateway whose worker died
// has none.
func (g *gateways) statuses() map[string]gateway.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[string]gateway.Status{}
	for id, r := range g.running {
		if s := r.process.Status(); s != nil && r.died.IsZero() {
			all[id] = *s
		}
	}
	return all
}

// stop ends every worker and waits.
func (g *gateways) stop() {
	g.mu.Lock()
	var all sync.WaitGroup
	for _, r := range g.running {
		all.Go(r.process.Stop)
	}
	clear(g.running)
	g.mu.Unlock()
	all.Wait()
	g.watches.Wait()
}

// outsidesOf lists the outside addresses of w, each once, in order.
func outsidesOf(w vpn.Worker) (out []netip.Addr) {
	for _, t := range w.Tunnels {
		if !slices.Contains(out, t.Outside) {
			out = append(out, t.Outside)
		}
	}
	return out
}
