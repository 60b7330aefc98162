// Package store keeps the rows of the cloud in etcd, embedded in this process
// or remote, and tells when they change.
//
// It is the one place where features meet and the one door to etcd. Update is
// serialisable and all or nothing, View reads one moment, Watch says what to
// look at again. The package knows no rule about any row: operations of the
// packages cloud/vpc, cloud/vpn and their peers decide. Packages above
// cloud/resource may use it, from many goroutines at once.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

// A Config says where the rows are. Exactly one of Dir and Endpoints is set.
type Config struct {
	// Dir is the directory of an embedded etcd, made when absent and held by
	// one process at a time. No port is opened.
	Dir string
	// Endpoints are those of an etcd cluster, "http://192.0.2.1:2379". It must
	// allow 4096 operations a transaction (--max-txn-ops) for large updates.
	Endpoints []string
	// NoSync spares the embedded etcd its fsyncs: a power failure may then cost
	// the last rows, a crash of the process not. For labs and tests.
	NoSync bool

	Log  *slog.Logger     // etcd's errors; nil discards them
	Rand io.Reader        // of ids; nil is crypto/rand
	Now  func() time.Time // of Tx.Now; nil is time.Now
}

// A Store is an open store.
type Store struct {
	cfg    Config
	client *clientv3.Client
	etcd   *embed.Etcd // nil with Endpoints
	unlock func()      // nil with Endpoints
}

// errConfig is returned for a Config that names no place, or two.
var errConfig = errors.New("store: set exactly one of Dir and Endpoints")

// Open opens the store and, with Dir, waits until the embedded etcd answers or
// ctx ends. The caller closes it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if (cfg.Dir == "") == (len(cfg.Endpoints) == 0) {
		return nil, errConfig
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{cfg: cfg}
	if cfg.Dir != "" {
		if err := s.openEmbedded(ctx); err != nil {
			return nil, fmt.Errorf("store: open %s: %w", cfg.Dir, err)
		}
		return s, nil
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cfg.Endpoints, DialTimeout: 5 * time.Second, Logger: quietLogger(cfg.Log)})
	if err != nil {
		return nil, fmt.Errorf("store: connect to %v: %w", cfg.Endpoints, err)
	}
	s.client = client
	return s, nil
}

// Close ends running watches and, with Dir, stops the embedded etcd. Every
// committed row is kept.
func (s *Store) Close() error {
	err := s.client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil // the in-process client reports its own end so
	}
	if s.etcd != nil {
		s.etcd.Close()
		s.unlock()
	}
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}
