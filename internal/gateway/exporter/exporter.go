// Package exporter shows the measurements of gateways to Prometheus.
//
// It serves the text format at /metrics on a loopback address or a Unix socket
// that it was asked for, and never anywhere else: what it shows, addresses and
// traffic, is for whoever runs the machine. It tells no keys and takes no
// commands. The gateway command and whoever runs a cloud call it.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"seikan/internal/metrics"
)

// unixPrefix begins an address that is a Unix socket's.
const unixPrefix = "unix:"

// patience bounds one scrape, and maxHeader what a client may send.
const (
	patience  = 10 * time.Second
	maxHeader = 16 << 10
)

// CheckAddress reports an address that Serve would refuse.
func CheckAddress(address string) error {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("metrics %q: the path of a Unix socket is absolute, such as unix:/run/seikan/metrics", address)
		}
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() || at.Port() == 0 {
		return fmt.Errorf("metrics %q: a loopback address with a port is wanted, such as 127.0.0.1:9469, or unix:/run/seikan/metrics", address)
	}
	return nil
}

// Serve answers at address until ctx ends. ready is called when it does.
func Serve(ctx context.Context, address string, gather func() []metrics.Family, ready func()) error {
	if err := CheckAddress(address); err != nil {
		return err
	}
	listener, err := listen(ctx, address)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	server := &http.Server{Handler: handler(gather), ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: maxHeader}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	ready()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// listen opens the listener. A socket file that nobody answers at is replaced.
func listen(ctx context.Context, address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, unixPrefix)
	if !ok {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%s: somebody answers there already; choose another path", path)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s: a file that is no socket is there; remove it or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}

// handler answers GET /metrics and nothing else.
func handler(gather func() []metrics.Family) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		text, err := metrics.Append(nil, gather())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", metrics.ContentType)
		w.Write(text)
	})
	return mux
}
