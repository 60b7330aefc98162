package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Change names a row to look at again: it was written or deleted.
type Change struct{ Table, Key string }

// Watch calls notify, one call at a time, until ctx ends; it then returns
// context.Cause. The first call has no changes and means: the watch stands,
// look at everything. So does every later call without changes, made when the
// history had gaps. Changes made while notify runs are collected, each row
// once, and given to the next call in order of table and key: the last change
// is never lost, those between may be.
func (s *Store) Watch(ctx context.Context, notify func([]Change)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := pending{changes: make(map[Change]struct{}), wake: make(chan struct{}, 1)}
	var reader sync.WaitGroup
	reader.Go(func() { cancel(s.collect(ctx, &p)) })
	defer reader.Wait()
	defer cancel(nil)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.wake:
		}
		if changes, some := p.take(); some {
			notify(changes)
		}
	}
}

// A pending collects changes for a notify that is busy. It holds each row once,
// so it is bounded by the number of rows.
type pending struct {
	wake chan struct{} // holds one: there is something to take

	// mu guards the fields below it.
	mu      sync.Mutex
	all     bool
	changes map[Change]struct{}
}

// add notes the changes, or that everything is to be looked at.
func (p *pending) add(all bool, changes []Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = p.all || all
	for _, c := range changes {
		p.changes[c] = struct{}{}
	}
	select {
	case p.wake <- struct{}{}:
	default: // a call is due already and will find these too
	}
}

// take returns what was collected, nil for everything. There is nothing when
// what the wake-up was for came in time for the call before.
func (p *pending) take() (changes []Change, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.SortedFunc(maps.Keys(p.changes), func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
	})
	clear(p.changes)
	if p.all {
		p.all = false
		return nil, true
	}
	return list, len(list) > 0
}

// collect reads etcd's watch into p until ctx ends or etcd closes.
func (s *Store) collect(ctx context.Context, p *pending) error {
	for {
		// The watch starts at the revision after this one, then everything is
		// looked at: no change falls between.
		resp, err := s.client.Get(ctx, root, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return fmt.Errorf("store: watch: %w", err)
		}
		watch, cancel := context.WithCancel(ctx)
		events := s.client.Watch(watch, root, clientv3.WithPrefix(), clientv3.WithRev(resp.Header.Revision+1))
		p.add(true, nil)
		err = drain(events, p)
		cancel()
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
	}
}

// errWatchClosed is returned when etcd ends a watch without a reason.
var errWatchClosed = errors.New("store: watch: closed")

// drain adds events to p until the watch ends.
func drain(events clientv3.WatchChan, p *pending) error {
	for resp := range events {
		if err := resp.Err(); err != nil {
			return fmt.Errorf("store: watch: %w", err)
		}
		var changes []Change
		for _, ev := range resp.Events {
			if table, key, ok := splitKey(string(ev.Kv.Key)); ok {
				changes = append(changes, Change{Table: table, Key: key})
			}
		}
		if len(changes) > 0 {
			p.add(false, changes)
		}
	}
	return errWatchClosed
}
