package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Table is the rows of one noun by key. Its Name has no slash, is unique,
// and is kept for ever: it is part of every key in etcd. A key is not empty and
// may hold anything else, such as an ARN.
//
// The methods report no error: the Tx keeps the first failure of the store,
// and Update or View returns it whatever the function returned.
type Table[K ~string, T any] struct{ Name string }

// Get returns the row of key, and false when there is none.
func (t Table[K, T]) Get(tx *Tx, key K) (row T, found bool) {
	raw := tx.read(rowKey(t.Name, string(key)))
	if raw == nil {
		return row, false
	}
	if err := decodeRow(raw, &row); err != nil {
		tx.fail(fmt.Errorf("store: row %s/%s: %w", t.Name, key, err))
		var zero T
		return zero, false
	}
	return row, true
}

// Put writes the row of key, new or not.
func (t Table[K, T]) Put(tx *Tx, key K, row T) {
	if key == "" {
		tx.fail(fmt.Errorf("store: put into %s: the key is empty", t.Name))
		return
	}
	raw, err := encodeRow(&row)
	if err != nil {
		tx.fail(fmt.Errorf("store: row %s/%s: %w", t.Name, key, err))
		return
	}
	tx.write(t.Name, rowKey(t.Name, string(key)), raw)
}

// Delete removes the row of key; there need not be one.
func (t Table[K, T]) Delete(tx *Tx, key K) {
	tx.write(t.Name, rowKey(t.Name, string(key)), nil)
}

// List returns all rows in order of their keys, those written in this
// transaction included.
func (t Table[K, T]) List(tx *Tx) []T {
	rows := tx.list(t.Name)
	list := make([]T, 0, len(rows))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		var row T
		if err := decodeRow(rows[key], &row); err != nil {
			tx.fail(fmt.Errorf("store: row %s/%s: %w", t.Name, strings.TrimPrefix(key, rowPrefix(t.Name)), err))
			return nil
		}
		list = append(list, row)
	}
	return list
}
