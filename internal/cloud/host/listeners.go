package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/dns/server"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netapply"
)

// listeners runs the DNS servers of this machine: sockets opened inside the
// namespaces concerned, served here.
type listeners struct {
	log *slog.Logger
	net *netapply.Host

	// Used by one goroutine at a time: the one that converges.
	running   map[dns.Listener]*runningListener
	resolvers map[resource.VPCID]*server.Resolver
}

// A runningListener is one server and how to end it.
type runningListener struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the server has returned
}

func newListeners(log *slog.Logger, net *netapply.Host) *listeners {
	return &listeners{log: log, net: net, running: map[dns.Listener]*runningListener{}, resolvers: map[resource.VPCID]*server.Resolver{}}
}

// converge makes the running servers those that are wanted, with what they
// shall know. One that ended by itself is started again.
func (l *listeners) converge(want dns.Plan) error {
	wanted := map[dns.Listener]bool{}
	for _, w := range want.Listeners {
		wanted[w] = true
	}
	for w, r := range l.running {
		if !wanted[w] || r.ended() {
			r.stop()
			delete(l.running, w)
		}
	}
	for id, view := range want.Views {
		if l.resolvers[id] == nil {
			l.resolvers[id] = new(server.Resolver)
		}
		l.resolvers[id].Set(view)
	}
	var errs []error
	for _, w := range want.Listeners {
		if l.running[w] != nil {
			continue
		}
		r, err := l.start(w)
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", w, err))
			continue
		}
		l.running[w] = r
	}
	return errors.Join(errs...)
}

// start opens w's sockets in its namespace and serves them.
func (l *listeners) start(w dns.Listener) (*runningListener, error) {
	cfg := server.Config{Answerer: l.resolvers[w.VPC]}
	if w.Upstream.IsValid() {
		cfg.Answerer = &server.Forwarder{Upstream: w.Upstream, Dial: l.dialer(w.Namespace)}
	}
	err := l.net.In(w.Namespace, func() (err error) {
		if cfg.Packet, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(w.Address)); err != nil {
			return err
		}
		cfg.Listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(w.Address))
		return err
	})
	if err != nil {
		if cfg.Packet != nil {
			cfg.Packet.Close()
		}
		return nil, err
	}
	s, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningListener{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if err := s.Serve(ctx); err != nil {
			l.log.Error("DNS server ended by itself; it will be started again", "server", w.String(), "err", err)
		}
	}()
	l.log.Info("DNS server started", "server", w.String())
	return r, nil
}

// dialer opens connections from inside namespace.
func (l *listeners) dialer(namespace string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = l.net.In(namespace, func() error {
			d := net.Dialer{Timeout: 2 * time.Second}
			conn, err = d.DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

func (r *runningListener) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *runningListener) stop() {
	r.cancel()
	<-r.done
}

// stop ends every server and waits.
func (l *listeners) stop() {
	var all sync.WaitGroup
	for w, r := range l.running {
		all.Go(r.stop)
		delete(l.running, w)
	}
	all.Wait()
}
