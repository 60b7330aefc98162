// Package cloudside is the AWS side of a lab: a control plane with its store,
// and the host that makes it true, built from the topology by the operations
// that an API's calls would run.
//
// It lives as long as its Run. It opens no port. Package cli gives it to
// package lab.
package cloudside

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"seikan/internal/cloud/host"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/sample"
	"seikan/internal/cloud/store"
	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/gateway/exporter"
	"seikan/internal/lab"
	"seikan/internal/lab/topology"
	"seikan/internal/linux/netapply"
)

// Side is the AWS side. It implements lab.Cloud.
type Side struct {
	cfg   lab.CloudConfig
	store *store.Store
	host  *host.Host
	made  *ids
}

// buildTime bounds the building of the cloud on a busy machine.
const buildTime = 30 * time.Second

// New returns a side that does nothing until Run.
func New(cfg lab.CloudConfig) (lab.Cloud, error) { return &Side{cfg: cfg}, nil }

// Run opens the store, makes what the topology names, calls ready when the
// machine is so, and keeps it until ctx ends.
func (s *Side) Run(ctx context.Context, ready func()) (err error) {
	// The lab's rows die with it: they need no fsync.
	if s.store, err = store.Open(ctx, store.Config{Dir: s.cfg.Dir, NoSync: true, Log: s.cfg.Log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	net := netapply.New(netapply.Options{})
	defer net.Close()
	s.host = host.New(host.Config{
		Log: s.cfg.Log, Store: s.store, Net: net, Gateway: []string{s.cfg.Self, "gateway-worker"}, Stderr: s.cfg.LogFile, State: filepath.Join(s.cfg.Dir, "gateways"), Logs: s.logs(),
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loop sync.WaitGroup
	loop.Go(func() { cancel(s.host.Run(ctx)) })
	if s.cfg.Metrics != "" {
		loop.Go(func() { cancel(exporter.Serve(ctx, s.cfg.Metrics, s.host.Metrics, func() {})) })
	}
	if err := s.build(ctx); err != nil {
		cancel(err)
	} else {
		ready()
	}
	<-ctx.Done()
	loop.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// logs is the directory of the tunnels' logs.
func (s *Side) logs() string { return filepath.Join(s.cfg.Dir, "logs") }

// build makes the topology's things and waits until the machine has them.
func (s *Side) build(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	if s.made, err = build(ctx, s.store, s.cfg.Topology, s.cfg.Edge); err != nil {
		return err
	}
	s.cfg.Progress("laying the VPCs, the endpoints and the load balancers")
	if err := s.host.Settle(ctx); err != nil {
		return fmt.Errorf("the machine did not become what the topology says in %v; the log says why: %w", buildTime, err)
	}
	if err := s.propagate(ctx); err != nil {
		return err
	}
	return s.host.Settle(ctx)
}

// publicAddress is where the customer gateway of c is seen from outside: the
// address of its site's router, or its own of IPv6, which nobody translates.
func (b *builder) publicAddress(c topology.Connection) (netip.Addr, error) {
	hostName := c.CustomerGateway
	h, site, ok := b.t.Host(hostName)
	if !ok {
		return netip.Addr{}, fmt.Errorf("customer gateway %q is no host of a site", hostName)
	}
	if c.OutsideIPv6 {
		return h.Address6, nil
	}
	for _, h := range site.Hosts {
		if h.Role == topology.Router && h.Outside.IsValid() {
			return h.Outside, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the site of %q has no router to the internet", hostName)
}

// CustomerConfig is the file of a connection's customer gateway, with those that
// it names: the other end of what the cloud's worker is told.
func (s *Side) CustomerConfig(ctx context.Context, name string) ([]byte, map[string][]byte, error) {
	conn, _, err := s.connection(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(s.cfg.Topology.VPN, func(c topology.Connection) bool { return c.Name == name })
	if at < 0 {
		return nil, nil, fmt.Errorf("the topology has no VPN connection %q", name)
	}
	c := s.cfg.Topology.VPN[at]
	var cfg gateway.Config
	err = s.store.View(ctx, func(tx *store.Tx) (err error) {
		cfg, err = sample.CustomerEnd(tx, conn)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	cfg.Name, cfg.BGP.Announce = name, c.BGP.Announce
	for i := range cfg.Tunnels {
		tunnel := &cfg.Tunnels[i]
		if c.Certificates {
			tunnel.Certificates = s.made.devices[name]
			// Its subject says which of the cloud's ends it is (vpn §3.7).
			tunnel.Outside.LocalID, tunnel.Outside.RemoteID = "", fmt.Sprintf("CN=%s.endpoint-%d", conn.ID, i)
		}
		if !c.Dynamic() {
			tunnel.Routes = s.cfg.Topology.Behind(c)
		}
	}
	return conffile.FormatFiles(conffile.File{Gateway: cfg})
}

// connection reads the rows of a connection of the topology.
func (s *Side) connection(ctx context.Context, name string) (conn resource.VPNConnection, device resource.CustomerGateway, err error) {
	id, ok := s.made.connections[name]
	if !ok {
		return conn, device, fmt.Errorf("no VPN connection is called %q", name)
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		conn, ok = store.VPNConnections.Get(tx, id)
		if ok {
			device, ok = store.CustomerGateways.Get(tx, conn.CustomerGatewayID)
		}
		if !ok {
			return fmt.Errorf("VPN connection %s is gone", id)
		}
		return nil
	})
	return conn, device, err
}
