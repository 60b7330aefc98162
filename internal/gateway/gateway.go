// Package gateway is one VPN gateway: tunnels, data plane, static routes and
// those that peers announce by BGP. Configuration goes in, Status comes out.
//
// The customer gateway and the cloud's VPN gateway are this package with
// another Config. It makes a TUN for each tunnel in the network namespace that
// the process runs in, and routes there; it decides by itself which live
// tunnel carries a prefix, so that a failover needs nobody else. It never
// reads files or flags, and knows nothing of AWS's objects. The gateway
// command and package worker call it.
package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/keep"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/routing/bgp"
)

// Options are how a gateway reaches the world.
type Options struct {
	Log *slog.Logger
	// Outsides are sockets opened by somebody else; Run closes them when it
	// ends. For any other local address the gateway opens its own, in its own
	// namespace.
	Outsides []*udp.Outside
	// StateDirectory is where the SAs are kept, sealed, so that a gateway that
	// was killed goes on with them when it is started again; empty: nowhere.
	// An orderly end leaves nothing there. One gateway has it at a time.
	StateDirectory string
	// Words, unless nil, puts what a negotiation says of itself into the words
	// of whoever configures this end; otherwise options have AWS's names.
	Words func(string) string
}

// A Gateway is one running VPN gateway.
type Gateway struct {
	log     *slog.Logger
	host    *netapply.Host
	engine  *dataplane.Engine
	opts    Options
	shared  *ikev2.Shared
	changed chan struct{} // holds one token when the status changed
	kick    chan struct{} // holds one token when routes must be looked at again
	mail    mail
	// pathsChanged says that our addresses towards the peers may be others, and
	// watching that somebody will say so.
	pathsChanged, watching atomic.Bool

	// mu guards the fields below it.
	mu   sync.Mutex
	want Config // what Set asked for
	have Config // what runs
	// unseen, unless nil, is closed once want was compared with the tunnels that run.
	unseen   chan struct{}
	tunnels  map[string]*running
	between  map[peer]string // the IDs of tunnels by their addresses
	outsides map[netip.Addr]*udp.Outside
	routing  routing
	failed   map[string]failure // tunnels that do not run, by ID
	store    *keep.Store        // nil: nothing is kept
}

// routing is which tunnel carries which prefix, and what BGP has to do with it.
type routing struct {
	chosen  map[netip.Prefix]pick
	applied *netspec.Spec // the whole spec that was laid last; nil when the kernel must be compared with it
	// intact is of the kernel when it was as applied says; zero when not known.
	intact netapply.Fingerprint
	speech *speech // nil without BGP
	// routerID is the one that BGP has, or had last.
	routerID netip.Addr
	relayed  []bgp.Relayed         // what peers are told of each other
	held     map[netip.Prefix]bool // learned by BGP when last a session was up
	said     map[refusedRoute]bool // the log has it
	stale    stale
}

const (
	// retryAfter is the pause after the kernel refused what we asked, and
	// before a tunnel that broke is started again.
	retryAfter = time.Second
	// lookEvery is how often the kernel is looked at though nothing happened: others
	// change addresses and routes, too.
	lookEvery = 15 * time.Second
	// lookFactor is how many times as long as the last look that was due the pause
	// before the next one is at least.
	lookFactor = 1000
)

// New checks cfg and returns a gateway that does nothing until Run.
func New(cfg Config, opts Options) (*Gateway, error) {
	if err := check(cfg, opts); err != nil {
		return nil, err
	}
	g := &Gateway{
		log: opts.Log, opts: opts, want: cfg,
		host:     netapply.New(netapply.Options{Owner: owner(), Guest: true}),
		changed:  make(chan struct{}, 1),
		kick:     make(chan struct{}, 1),
		shared:   &ikev2.Shared{Cookies: ikev2.NewCookies(rand.Reader), Tickets: ikev2.NewTickets(rand.Reader)},
		tunnels:  map[string]*running{},
		between:  map[peer]string{},
		outsides: map[netip.Addr]*udp.Outside{},
		failed:   map[string]failure{},
	}
	g.engine = dataplane.New(dataplane.Config{Log: opts.Log, OnIKE: g.deliver})
	for _, o := range opts.Outsides {
		g.outsides[o.Addr()] = o
	}
	g.mail.Store(&directory{})
	return g, nil
}

// check is all that can be said of cfg before it runs.
func check(cfg Config, opts Options) error {
	var handed []netip.Addr
	for _, o := range opts.Outsides {
		handed = append(handed, o.Addr())
	}
	return errors.Join(cfg.Validate(), cfg.ValidatePaths(handed...))
}

// owner names the records of what a gateway changed after the namespace that
// it runs in: gateways of one machine are in different ones.
func owner() string {
	info, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return "gateway"
	}
	return fmt.Sprintf("gateway-%d", info.Sys().(*syscall.Stat_t).Ino)
}

// Set changes what the gateway shall be. Tunnels whose configuration is the
// same keep their SAs; one that changed is closed and started anew. Of other
// certificates and revocations only a peer notices that was revoked since: it does
// not stay. An invalid cfg changes nothing.
func (g *Gateway) Set(cfg Config) error {
	if err := check(cfg, g.opts); err != nil {
		return err
	}
	g.mu.Lock()
	g.setLocked(cfg)
	g.mu.Unlock()
	signal(g.kick)
	return nil
}

// Changed holds a token after the status changed. One reader only.
func (g *Gateway) Changed() <-chan struct{} { return g.changed }

// signal puts a token into c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run serves until ctx ends or the data plane fails. When it returns, the
// peers were told, every goroutine it started has returned, and its TUNs and
// routes are gone.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops sync.WaitGroup
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	loops.Go(func() {
		if err := g.engine.Run(engineCtx); engineCtx.Err() == nil {
			cancel(fmt.Errorf("data plane: %w", err))
		}
	})
	if paths, err := openWatch(); err != nil {
		g.log.Warn("changed addresses are noticed late", "err", err)
	} else {
		g.watching.Store(true)
		loops.Go(func() { g.watch(engineCtx, paths) })
	}
	if err := g.openStore(); err != nil {
		cancel(err)
	} else if err := g.converge(ctx); err != nil {
		cancel(err) // what cannot start at all is said at once
	}
	g.follow(ctx)
	// Tunnels end first: they still have a word to send to their peers.
	err := g.stopAll()
	stopEngine()
	loops.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// watch looks at the paths to the peers again whenever they may be others.
func (g *Gateway) watch(ctx context.Context, paths watch) {
	defer g.watching.Store(false)
	err := paths.run(ctx, func() { g.pathsChanged.Store(true); signal(g.kick) })
	if err != nil {
		g.log.Warn("changed addresses are noticed late", "err", err)
	}
}

// follow converges whenever something happened, until ctx ends.
func (g *Gateway) follow(ctx context.Context) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	said, price, spent := "", time.Duration(0), pace{} // price is of the last look that was due
	for ctx.Err() == nil {
		due := false
		select {
		case <-g.kick:
		case <-timer.C:
			due = true
		case <-ctx.Done():
			continue
		}
		began := time.Now()
		if due && said == "" && g.intact(ctx) {
			price = time.Since(began)
			timer.Reset(max(lookEvery, lookFactor*price))
			continue
		}
		if due {
			g.pathsChanged.Store(true)
			g.forgetApplied()
		}
		wait, text := lookEvery, ""
		if err := g.converge(ctx); err != nil && ctx.Err() == nil {
			wait, text = retryAfter, err.Error()
		}
		took := time.Since(began)
		if due {
			price = took
		}
		if text == "" {
			wait = max(wait, lookFactor*price)
		}
		rest(ctx, spent.after(took, time.Now()))
		if text != "" && text != said { // said once, not every second
			g.log.Error("routes or tunnels are not as wanted; trying until they are", "err", text)
		}
		said = text
		timer.Reset(wait)
	}
}

// takeBack is how long the kernel may take to remove our links and routes: more
// than two seconds when a hundred gateways of one machine end at once.
const takeBack = 5 * time.Second

// stopAll ends every tunnel and takes back what Apply made.
func (g *Gateway) stopAll() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.routing.speech.stop() // its goodbye goes through the tunnels
	g.routing.speech = nil
	var all sync.WaitGroup
	for _, r := range g.tunnels {
		all.Go(r.stop)
	}
	all.Wait()
	clear(g.tunnels)
	clear(g.between)
	ctx, cancel := context.WithTimeout(context.Background(), takeBack)
	defer cancel()
	_, err := g.host.Apply(ctx, netspec.Spec{})
	if err != nil {
		err = fmt.Errorf("taking back links and routes: %w", err)
	}
	for _, o := range g.outsides {
		o.Close()
	}
	return errors.Join(err, g.host.Close(), g.closeStoreLocked())
}

// Status describes the gateway now.
func (g *Gateway) Status() Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{Name: g.have.Name, Strangers: g.mail.strangers.Load()}
	g.mail.mu.Lock()
	s.StrangerFrom = g.mail.stranger
	g.mail.mu.Unlock()
	for _, o := range g.outsides {
		s.UnknownSPI += g.engine.OutsideCounters(o).UnknownSPI
	}
	for _, t := range g.have.Tunnels {
		if r := g.tunnels[t.ID]; r != nil {
			s.Tunnels = append(s.Tunnels, r.status())
			s.Tunnels[len(s.Tunnels)-1].SourceNAT = t.SourceNAT
		} else {
			s.Tunnels = append(s.Tunnels, g.failed[t.ID].status(t))
		}
	}
	peers := g.peersLocked()
	s.Routes = g.routesLocked(peers)
	s.BGP = g.bgpLocked(peers)
	return s
}

// RekeyIKE and RekeyChild ask the tunnel called id for new keys now. They
// return once the tunnel has taken the request, before the peer has answered.
func (g *Gateway) RekeyIKE(ctx context.Context, id string) error {
	return g.ask(ctx, id, ike.RekeyIKE{})
}

// RekeyChild is described at RekeyIKE.
func (g *Gateway) RekeyChild(ctx context.Context, id string) error {
	return g.ask(ctx, id, ike.RekeyChild{})
}

func (g *Gateway) ask(ctx context.Context, id string, ev ike.Event) error {
	g.mu.Lock()
	r := g.tunnels[id]
	g.mu.Unlock()
	if r == nil {
		return fmt.Errorf("no tunnel that runs is called %q", id)
	}
	if !r.up() {
		return fmt.Errorf("tunnel %s is %v, not up; there is nothing to rekey", id, r.tunnel.State().Phase)
	}
	return r.tunnel.Ask(ctx, ev)
}
