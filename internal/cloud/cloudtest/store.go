// Package cloudtest is what tests of the cloud's features share: a store that
// dies with the test, answers of operations that leave nothing behind, golden
// files, and a network to try plans in with real packets.
//
// Only tests import it. It knows no feature: what a test puts into the store
// stands in that test.
package cloudtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// The accounts of most tests.
const (
	Alice = resource.Account("111111111111") // consumer
	Bob   = resource.Account("222222222222") // provider
	Carol = resource.Account("333333333333") // stranger
)

// Open opens an empty store that is closed when the test ends. cfg may set the
// clock and the random source.
func Open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	cfg.Dir, cfg.NoSync = t.TempDir(), true
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Do runs fn in a transaction that must succeed.
func Do(t testing.TB, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

var errRollBack = errors.New("roll back")

// Refusal runs fn and returns its error; nothing is written.
func Refusal(t testing.TB, s *store.Store, fn func(*store.Tx) error) error {
	t.Helper()
	var got error
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		got = fn(tx)
		return errRollBack
	})
	if !errors.Is(err, errRollBack) {
		t.Fatal(err)
	}
	return got
}

// Code runs fn and returns the AWS code of its error; nothing is written.
func Code(t testing.TB, s *store.Store, fn func(*store.Tx) error) string {
	t.Helper()
	return resource.CodeOf(Refusal(t, s, fn))
}

// WantRefusal wants fn's error to have code and to name all of words; nothing
// is written.
func WantRefusal(t testing.TB, s *store.Store, code string, fn func(*store.Tx) error, words ...string) {
	t.Helper()
	err := Refusal(t, s, fn)
	if got := resource.CodeOf(err); got != code {
		t.Errorf("code: got %q (%v), want %q", got, err, code)
	}
	for _, w := range words {
		if err != nil && !strings.Contains(err.Error(), w) {
			t.Errorf("error: got %q, want it to name %q", err, w)
		}
	}
}

// updateEnv is the environment variable that makes Golden write what it gets.
const updateEnv = "SEIKAN_UPDATE_GOLDEN"

// Golden compares got with the file name of testdata. With
// SEIKAN_UPDATE_GOLDEN=1 in the environment it writes the file first.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv(updateEnv) != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: got\n%s\nwant\n%s", path, got, want)
	}
}
