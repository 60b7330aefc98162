package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"seikan/internal/cloud/resource"
)

// root begins every key. Under it a table has one key "generation", rewritten
// with each change of the table, and its rows below "row/".
const root = "/seikan/1/"

func tablePrefix(table string) string   { return root + table + "/" }
func generationKey(table string) string { return tablePrefix(table) + "generation" }
func rowPrefix(table string) string     { return tablePrefix(table) + "row/" }
func rowKey(table, key string) string   { return rowPrefix(table) + key }

// A Tx is one transaction: it reads one moment of the store and its own
// writes. It belongs to the function it was given to and to one goroutine.
type Tx struct {
	get    func(key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error)
	random io.Reader
	now    time.Time
	view   bool // may not write

	rev    int64             // the moment; 0 until the first read
	seen   map[string]int64  // key read → its mod revision, 0 when absent
	known  map[string][]byte // key read → its value at rev, nil when absent
	listed map[string]bool   // tables of which known holds every row
	writes map[string][]byte // key → new value, nil to delete
	tables map[string]bool   // tables written
	err    error
}

// ErrConflict is returned when an update lost against others too often.
var ErrConflict = errors.New("store: update: too many conflicts")

var errReadOnly = errors.New("store: a view cannot write")

// maxAttempts bounds the retries of an update; with the delays between them
// they last about two seconds.
const maxAttempts = 64

// Update runs fn on a transaction and commits what it wrote: all of it or, when
// fn or the store fails, nothing. When another update changed something that fn
// read, fn runs again on a new transaction, so it must have no other effect.
// What fn read was true at the moment of the commit. The error is the store's,
// or fn's own, unwrapped.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	for attempt := range maxAttempts {
		tx := s.begin(ctx, false)
		err := fn(tx)
		if tx.err != nil {
			return tx.err
		}
		if err != nil {
			return err
		}
		done, err := s.commit(ctx, tx)
		if done || err != nil {
			return err
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
	return ErrConflict
}

// View runs fn on one moment of the store, which is the newest when fn reads
// first. Writing fails.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	tx := s.begin(ctx, true)
	err := fn(tx)
	if tx.err != nil {
		return tx.err
	}
	return err
}

// Now is the time of the transaction, the same for all its rows, in UTC.
func (tx *Tx) Now() time.Time { return tx.now }

// NewID makes an id of prefix, "vpc-0123456789abcdef0" of "vpc".
func (tx *Tx) NewID(prefix string) string {
	id, err := resource.NewID(tx.random, prefix)
	if err != nil {
		tx.fail(err)
	}
	return id
}

// Random fills b for keys and secrets.
func (tx *Tx) Random(b []byte) {
	if _, err := io.ReadFull(tx.random, b); err != nil {
		tx.fail(fmt.Errorf("store: random: %w", err))
	}
}

func (s *Store) begin(ctx context.Context, view bool) *Tx {
	return &Tx{
		get: func(key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
			if err := ctx.Err(); err != nil {
				return nil, err // the client may answer all the same
			}
			return s.client.Get(ctx, key, opts...)
		},
		random: s.cfg.Rand,
		now:    s.cfg.Now().UTC(),
		view:   view,
		seen:   make(map[string]int64),
		known:  make(map[string][]byte),
		listed: make(map[string]bool),
		writes: make(map[string][]byte),
		tables: make(map[string]bool),
	}
}

// fail keeps the first failure.
func (tx *Tx) fail(err error) {
	if tx.err == nil {
		tx.err = err
	}
}

// fetch reads at the transaction's moment, and fixes it when it is the first.
func (tx *Tx) fetch(key string, opts ...clientv3.OpOption) *clientv3.GetResponse {
	if tx.err != nil {
		return nil
	}
	resp, err := tx.get(key, append(opts, clientv3.WithRev(tx.rev))...)
	if err != nil {
		tx.fail(fmt.Errorf("store: read %s: %w", key, err))
		return nil
	}
	if tx.rev == 0 {
		tx.rev = resp.Header.Revision
	}
	return resp
}

// read returns the value of one row key, nil when absent.
func (tx *Tx) read(key string) []byte {
	if raw, ok := tx.writes[key]; ok {
		return raw
	}
	if raw, ok := tx.known[key]; ok {
		return raw
	}
	if table, _, _ := splitKey(key); tx.listed[table] {
		return nil // and the table's generation guards that
	}
	resp := tx.fetch(key)
	if resp == nil {
		return nil
	}
	tx.seen[key], tx.known[key] = 0, nil
	for _, kv := range resp.Kvs {
		tx.seen[key], tx.known[key] = kv.ModRevision, kv.Value
	}
	return tx.known[key]
}

// list returns the values of all rows of table by row key.
func (tx *Tx) list(table string) map[string][]byte {
	if !tx.listed[table] {
		resp := tx.fetch(tablePrefix(table), clientv3.WithPrefix())
		if resp == nil {
			return nil
		}
		tx.listed[table] = true
		tx.seen[generationKey(table)] = 0
		for _, kv := range resp.Kvs {
			if key := string(kv.Key); key == generationKey(table) {
				tx.seen[key] = kv.ModRevision
			} else {
				tx.known[key] = kv.Value
			}
		}
	}
	rows := make(map[string][]byte)
	for _, source := range []map[string][]byte{tx.known, tx.writes} {
		for key, raw := range source {
			if !strings.HasPrefix(key, rowPrefix(table)) {
				continue
			}
			if raw == nil {
				delete(rows, key)
			} else {
				rows[key] = raw
			}
		}
	}
	return rows
}

// write sets a row key for the commit. A value that is known to be there
// already is not written, so that it wakes nobody.
func (tx *Tx) write(table, key string, raw []byte) {
	if tx.view {
		tx.fail(errReadOnly)
		return
	}
	// Both are nil for no row; a row is never empty.
	if _, known := tx.known[key]; (known || tx.listed[table]) && bytes.Equal(tx.known[key], raw) {
		delete(tx.writes, key)
		return
	}
	tx.writes[key] = raw
	tx.tables[table] = true
}

// commit writes what tx wrote if nothing it read has changed; done is false
// when something has.
func (s *Store) commit(ctx context.Context, tx *Tx) (done bool, err error) {
	if len(tx.writes) == 0 {
		return true, nil // it read one moment: nothing to check
	}
	var guards []clientv3.Cmp
	for key, rev := range tx.seen {
		guards = append(guards, clientv3.Compare(clientv3.ModRevision(key), "=", rev))
	}
	var ops []clientv3.Op
	for key, raw := range tx.writes {
		if raw == nil {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			ops = append(ops, clientv3.OpPut(key, string(raw)))
		}
	}
	for table := range tx.tables {
		ops = append(ops, clientv3.OpPut(generationKey(table), ""))
	}
	resp, err := s.client.Txn(ctx).If(guards...).Then(ops...).Commit()
	if err != nil {
		return false, fmt.Errorf("store: commit of %d writes: %w", len(tx.writes), err)
	}
	return resp.Succeeded, nil
}

// pause waits before the next attempt: a random time below a bound that grows
// to 64 ms, so that rivals do not meet again.
func pause(ctx context.Context, attempt int) error {
	bound := time.Millisecond << min(attempt, 6)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(rand.N(bound)):
		return nil
	}
}

// splitKey takes a row's key apart; ok is false for any other key.
func splitKey(key string) (table, row string, ok bool) {
	rest, ok := strings.CutPrefix(key, root)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/row/")
}
