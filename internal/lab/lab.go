package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/topology"
	"seikan/internal/linux/netapply"
	"seikan/internal/task"
)

// A Config is what New needs. Every field but NewCloud is required.
type Config struct {
	Topology *topology.Topology
	Inside   *sandbox.Inside
	Self     string // the path of this binary
	Log      *slog.Logger
	LogFile  *os.File // what the hosts' programs print
	// NewCloud makes the AWS side, once the network that it needs is there. Nil
	// leaves it out, and the customer gateways with it.
	NewCloud func(CloudConfig) (Cloud, error)
}

// A CloudConfig is what a Cloud is told.
type CloudConfig struct {
	Topology *topology.Topology
	Log      *slog.Logger
	LogFile  *os.File // for the logs of its workers
	Dir      string   // its own, empty, private
	Self     string   // the path of this binary
	Edge     string   // the namespace that holds the outside addresses
	Metrics  string   // where to show measurements to Prometheus, as package exporter takes it
	Progress func(line string)
}

// A Lab is one running world. It implements World.
type Lab struct {
	cfg      Config
	t        *topology.Topology
	net      *netapply.Host
	broken   *netapply.Host // owns what a walk-through breaks
	programs *programs
	started  time.Time

	// mu guards the fields below it.
	mu         sync.Mutex
	cloud      Cloud
	namespaces map[string]string // of hosts and instances, by name
	faults     Faults
	moved      map[string]netip.Addr // the outside addresses of routers that moved, by name
}

// Files in the state directory, below the sandbox's own.
const (
	CAFile      = "ca.pem" // of the authority that signed the web servers' certificates
	certsDir    = "certs"
	gatewaysDir = "gateways"
	cloudDir    = "cloud"
	// MetricsFile is the Unix socket at which Prometheus's format is served.
	MetricsFile = "metrics.sock"
)

// New returns a lab that does nothing until Run.
func New(cfg Config) *Lab {
	l := &Lab{cfg: cfg, t: cfg.Topology, started: time.Now().UTC(),
		namespaces: map[string]string{internetNS: internetNS, EdgeNS: EdgeNS}, moved: map[string]netip.Addr{}}
	l.net, l.broken = netapply.New(netapply.Options{Owner: "lab"}), netapply.New(netapply.Options{Owner: "lab-faults", Guest: true})
	l.programs = &programs{net: l.net, self: cfg.Self, log: cfg.LogFile, running: map[string]*process{}}
	for _, s := range l.t.Sites {
		for _, h := range s.Hosts {
			l.namespaces[h.Name] = h.Name
		}
	}
	return l
}

// Run builds the world, calls ready when everything in it is started, and keeps
// it until ctx ends or a part of it fails.
func (l *Lab) Run(ctx context.Context, ready func()) error {
	parts := []task.Part{{Name: "network", Run: l.runNetwork}, {Name: "control socket", Run: l.runControl}}
	if l.cfg.NewCloud != nil {
		parts = append(parts, task.Part{Name: "cloud", Run: l.runCloud, Grace: 10 * time.Second})
	}
	parts = append(parts, task.Part{Name: "servers", Run: l.runServers})
	if l.cfg.NewCloud != nil {
		parts = append(parts, task.Part{Name: "customer gateways", Run: l.runGateways})
	}
	return task.Run(ctx, ready, parts...)
}

func (l *Lab) path(elem ...string) string { return l.cfg.Inside.Handle.Path(elem...) }

// Authority is the PEM file of the authority that signed the web servers'
// certificates.
func (l *Lab) Authority() string { return l.path(CAFile) }

// Topology is what the lab is built from.
func (l *Lab) Topology() *topology.Topology { return l.t }

// runNetwork lays the sites, the internet and the edge. They go with the
// sandbox, so there is nothing to take down.
func (l *Lab) runNetwork(ctx context.Context, ready func()) error {
	l.cfg.Inside.Progress("laying the sites and the internet")
	report, err := l.net.Apply(ctx, Plan(l.t))
	l.logChanges(report)
	if err != nil {
		return err
	}
	if err := l.applyFaults(ctx); err != nil {
		return err
	}
	for _, ns := range []string{internetNS, EdgeNS} {
		if err := l.cfg.Inside.SetHost(ns, ns, nil); err != nil {
			return err
		}
	}
	for _, s := range l.t.Sites {
		for _, h := range s.Hosts {
			if err := l.cfg.Inside.SetHost(h.Name, h.Name, l.resolvConf(h)); err != nil {
				return err
			}
		}
	}
	ready()
	<-ctx.Done()
	return errors.Join(l.net.Close(), l.broken.Close())
}

func (l *Lab) logChanges(r netapply.Report) {
	for _, c := range r.Changes {
		l.cfg.Log.Debug("applied", "change", c)
	}
}

// applyFaults breaks and mends.
func (l *Lab) applyFaults(ctx context.Context) error {
	l.mu.Lock()
	want := planFaults(l.faults)
	l.mu.Unlock()
	report, err := l.broken.Apply(ctx, want)
	l.logChanges(report)
	return err
}

// resolvConf is what a host's /etc/resolv.conf says; nil when it asks nobody.
func (l *Lab) resolvConf(h topology.Host) []byte {
	if h.Resolver == "" {
		return nil
	}
	dns, _, _ := l.t.Host(h.Resolver)
	return fmt.Appendf(nil, "# made by seikan lab for %s\nnameserver %v\noptions timeout:2 attempts:2\n", h.Name, dns.Address)
}

// runCloud builds the AWS side and learns where its instances are.
func (l *Lab) runCloud(ctx context.Context, ready func()) error {
	l.cfg.Inside.Progress("building the cloud")
	dir := l.path(cloudDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	socket, done, err := l.cfg.Inside.Handle.Socket(MetricsFile)
	if err != nil {
		return err
	}
	defer done()
	cloud, err := l.cfg.NewCloud(CloudConfig{Topology: l.t, Log: l.cfg.Log.With("part", "cloud"), LogFile: l.cfg.LogFile, Dir: dir,
		Self: l.cfg.Self, Edge: EdgeNS, Metrics: "unix:" + socket, Progress: l.cfg.Inside.Progress})
	if err != nil {
		return err
	}
	var late error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = cloud.Run(ctx, func() {
		if late = l.adopt(ctx, cloud); late != nil {
			cancel()
			return
		}
		ready()
	})
	if late != nil {
		return late
	}
	return err
}

// adopt takes the cloud in, with the namespaces of its instances.
func (l *Lab) adopt(ctx context.Context, cloud Cloud) error {
	st, err := cloud.Status(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cloud = cloud
	for _, i := range st.Instances {
		l.namespaces[i.Name] = i.Namespace
		if err := l.cfg.Inside.SetHost(i.Name, i.Namespace, l.instanceResolvConf(i.Name)); err != nil {
			return err
		}
	}
	return nil
}

// instanceResolvConf names the VPC's resolver: its base address plus two.
func (l *Lab) instanceResolvConf(name string) []byte {
	_, vpc, ok := l.t.Instance(name)
	if !ok {
		return nil
	}
	return fmt.Appendf(nil, "# made by seikan lab for %s\nnameserver %v\noptions timeout:2 attempts:2\n", name, vpc.CIDR.Addr().Next().Next())
}

// runGateways starts the customer gateways with the configuration that the
// cloud hands out for their connections.
func (l *Lab) runGateways(ctx context.Context, ready func()) error {
	l.cfg.Inside.Progress("starting the customer gateways")
	if err := os.MkdirAll(l.path(gatewaysDir), 0o700); err != nil {
		return err
	}
	var started []string
	defer func() {
		for _, h := range started {
			l.programs.stop(h)
		}
	}()
	for _, c := range l.t.VPN {
		if slices.Contains(started, c.CustomerGateway) {
			return fmt.Errorf("%s is the customer gateway of two connections; this lab gives each connection a gateway of its own", c.CustomerGateway)
		}
		if err := l.startGateway(ctx, c); err != nil {
			return err
		}
		started = append(started, c.CustomerGateway)
	}
	ready()
	<-ctx.Done()
	return nil
}

func (l *Lab) startGateway(ctx context.Context, c topology.Connection) error {
	conf, others, err := l.cloud.CustomerConfig(ctx, c.Name)
	if err != nil {
		return fmt.Errorf("configuration of %s: %w", c.CustomerGateway, err)
	}
	dir := l.path(gatewaysDir, c.CustomerGateway)
	file := filepath.Join(dir, "gateway.yaml")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(file, conf, 0o600)); err != nil {
		return err
	}
	for name, text := range others {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return l.programs.start(ctx, program{Host: c.CustomerGateway, Namespace: c.CustomerGateway,
		Args: []string{"gateway", "run", "--config", file, "--control", l.controlSocket(c.CustomerGateway)}})
}

// controlSocket is where a customer gateway answers. The path of a socket has
// at most 107 octets, so it is not below the gateways' directory.
func (l *Lab) controlSocket(host string) string {
	return filepath.Join("/run", "gw-"+host+".sock")
}
