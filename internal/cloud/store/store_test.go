package store_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// open opens an embedded store that ends with the test.
func open(t testing.TB) *store.Store {
	t.Helper()
	return openDir(t, t.TempDir())
}

func openDir(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func update(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// A counter is a row of the tests' own.
type counter struct {
	Name string
	N    int
}

func counters() store.Table[string, counter] {
	return store.Table[string, counter]{Name: "test-counter"}
}

func TestOpenRefusesNoPlaceAndTwoPlaces(t *testing.T) {
	for _, cfg := range []store.Config{{}, {Dir: t.TempDir(), Endpoints: []string{"http://192.0.2.1:2379"}}} {
		if s, err := store.Open(t.Context(), cfg); err == nil {
			s.Close()
			t.Errorf("Open(%+v): got a store, want an error", cfg)
		}
	}
}

func TestASecondProcessIsRefusedTheDirectory(t *testing.T) {
	dir := t.TempDir()
	openDir(t, dir)
	if s, err := store.Open(t.Context(), store.Config{Dir: dir}); err == nil {
		s.Close()
		t.Error("second Open of one directory: got a store, want an error")
	}
}

func TestRowsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	update(t, s, func(tx *store.Tx) error {
		counters().Put(tx, "a", counter{"a", 7})
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	view(t, openDir(t, dir), func(tx *store.Tx) error {
		if got, ok := counters().Get(tx, "a"); !ok || got.N != 7 {
			t.Errorf("after reopening: got %+v, %v, want N 7", got, ok)
		}
		return nil
	})
}

func TestATransactionSeesItsOwnWrites(t *testing.T) {
	s := open(t)
	update(t, s, func(tx *store.Tx) error {
		counters().Put(tx, "b", counter{"b", 1})
		counters().Put(tx, "a", counter{"a", 2})
		counters().Put(tx, "c", counter{"c", 3})
		return nil
	})
	update(t, s, func(tx *store.Tx) error {
		counters().Delete(tx, "b")
		counters().Put(tx, "d", counter{"d", 4})
		if _, ok := counters().Get(tx, "b"); ok {
			t.Error("deleted row: still found")
		}
		var names string
		for _, c := range counters().List(tx) {
			names += c.Name
		}
		if names != "acd" {
			t.Errorf("List inside: got %q, want acd", names)
		}
		return nil
	})
	view(t, s, func(tx *store.Tx) error {
		if got := counters().List(tx); len(got) != 3 || got[0].Name != "a" || got[2].Name != "d" {
			t.Errorf("List after: got %+v, want a, c, d", got)
		}
		return nil
	})
}

func TestAFailedUpdateWritesNothing(t *testing.T) {
	s := open(t)
	mine := resource.Errorf("Mine", "no")
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		counters().Put(tx, "a", counter{"a", 1})
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("Update: got %v, want the function's own error", err)
	}
	view(t, s, func(tx *store.Tx) error {
		if rows := counters().List(tx); len(rows) != 0 {
			t.Errorf("rows: got %+v, want none", rows)
		}
		return nil
	})
}

func TestAViewCannotWrite(t *testing.T) {
	s := open(t)
	if err := s.View(t.Context(), func(tx *store.Tx) error {
		counters().Put(tx, "a", counter{})
		return nil
	}); err == nil {
		t.Error("View that writes: got nil, want an error")
	}
}

func TestTheStoresFailureOutranksTheFunctions(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.View(ctx, func(tx *store.Tx) error {
		counters().Get(tx, "a")
		return resource.Errorf("X.NotFound", "misread as absent")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("View with a dead context: got %v, want context.Canceled", err)
	}
}

func TestSecretsAreStoredAndOnlyThroughTheirOwnPath(t *testing.T) {
	s := open(t)
	row := resource.VPNConnection{ID: "vpn-1", LocalCIDR: netip.MustParsePrefix("0.0.0.0/0")}
	row.Tunnels[0].PreSharedKey = secret.FromString("first")
	row.Tunnels[1].PreSharedKey = secret.FromString("second")
	update(t, s, func(tx *store.Tx) error {
		store.VPNConnections.Put(tx, row.ID, row)
		return nil
	})
	view(t, s, func(tx *store.Tx) error {
		got, _ := store.VPNConnections.Get(tx, row.ID)
		for i := range row.Tunnels {
			if !got.Tunnels[i].PreSharedKey.Equal(row.Tunnels[i].PreSharedKey) {
				t.Errorf("tunnel %d: the key read is not the key written", i+1)
			}
		}
		return nil
	})

	type careless struct{ Key secret.Secret }
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.Table[string, careless]{Name: "careless"}.Put(tx, "a", careless{secret.FromString("x")})
		return nil
	})
	if err == nil {
		t.Error("a secret in plain JSON: got nil, want an error")
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "d")
	if s, err := store.Open(ctx, store.Config{Dir: dir, NoSync: true}); err == nil {
		s.Close() // it was ready before it looked: allowed
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("Open: got %v, want context.Canceled", err)
	}
	openDir(t, dir) // and it let go of the directory
}
