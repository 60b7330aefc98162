package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
)

// Sizes of the embedded etcd: a cloud on one machine has thousands of rows of
// a kilobyte, not millions. But the row of a VPN connection has what its customer
// gateway announces, up to maxRow, and that may change every second.
const (
	maxRow        = 1536 << 10 // what etcd takes in one request
	maxTxnOps     = 4096
	snapshotCount = 250     // transactions kept in memory for the log; up to twice as many
	backendBytes  = 2 << 30 // beyond it etcd takes no more writes
	keptRevisions = 200     // history, which only watches need; it is cut every five minutes
)

// errHeld is returned when another process has the directory open.
var errHeld = errors.New("another process holds it; stop that one or choose another directory")

// openEmbedded starts etcd in s.cfg.Dir and connects to it in process.
func (s *Store) openEmbedded(ctx context.Context) error {
	unlock, err := holdDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	if err := clearHalfMade(s.cfg.Dir); err != nil {
		unlock()
		return err
	}
	etcd, err := embed.StartEtcd(embeddedConfig(s.cfg))
	if err != nil {
		unlock()
		return err
	}
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.cfg.Dir, readyFile), nil, 0o600)
	}
	if err != nil {
		etcd.Close()
		unlock()
		return err
	}
	s.etcd, s.unlock = etcd, unlock
	s.client = v3client.New(etcd.Server)
	return nil
}

// embeddedConfig is the configuration of a cluster of one that listens
// nowhere.
func embeddedConfig(cfg Config) *embed.Config {
	// The peer URL is only the member's name in its own membership list:
	// nothing listens there and nobody calls it.
	self := url.URL{Scheme: "http", Host: "localhost:2380"}

	c := embed.NewConfig()
	c.Name = "seikan"
	c.Dir = filepath.Join(cfg.Dir, etcdDir)
	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil, nil
	c.AdvertisePeerUrls = []url.URL{self}
	c.InitialCluster = c.Name + "=" + self.String()
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(quietLogger(cfg.Log))
	c.UnsafeNoFsync = cfg.NoSync
	// A member alone wins its election at the first timeout: a short one opens
	// the store five times sooner.
	c.TickMs, c.ElectionMs = 20, 100
	c.SnapshotCount, c.SnapshotCatchUpEntries = snapshotCount, snapshotCount
	c.MaxTxnOps, c.MaxRequestBytes = maxTxnOps, maxRow
	c.QuotaBackendBytes = backendBytes
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModeRevision, strconv.Itoa(keptRevisions)
	c.EnableGRPCGateway = false
	return c
}

// The parts of a data directory.
const (
	lockFile  = "lock"
	readyFile = "ready" // exists once etcd has answered for the first time
	etcdDir   = "etcd"
)

// clearHalfMade removes what a first start left that ended before etcd could
// answer. Such a member may not know its own cluster and would never answer;
// no row can be in it.
func clearHalfMade(dir string) error {
	_, err := os.Stat(filepath.Join(dir, readyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(filepath.Join(dir, etcdDir))
	}
	return err
}

// holdDir makes dir, or takes one that exists, readable by its owner alone since
// rows hold pre-shared keys, and locks it until unlock is called or the process ends. Without it a
// second etcd would wait for the first for ever.
func holdDir(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() { f.Close() }, nil
}

// quietLogger gives etcd a logger that passes on errors and nothing else.
func quietLogger(log *slog.Logger) *zap.Logger {
	return zap.New(slogCore{log})
}

// A slogCore is a zap core that writes to slog.
type slogCore struct{ log *slog.Logger }

// Enabled passes errors and worse.
func (slogCore) Enabled(l zapcore.Level) bool { return l >= zapcore.ErrorLevel }

// With drops the fields: they name etcd's own parts.
func (c slogCore) With([]zapcore.Field) zapcore.Core { return c }

// Check adds the core to entries it takes.
func (c slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write logs one entry.
func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	c.log.Error("etcd: "+e.Message, "error", enc.Fields["error"])
	return nil
}

// Sync has nothing to flush.
func (slogCore) Sync() error { return nil }
