package store_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/nettest"
	"seikan/internal/secret"
)

// Rows hold pre-shared keys: nobody but the owner may open what they are kept
// in, whatever the umask and however the directory was made.
func TestOnlyTheOwnerReadsTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Config{Dir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.VPCs.Put(tx, "vpc-1", resource.VPC{ID: "vpc-1"})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s: got mode %v, want none for group and others", strings.TrimPrefix(path, dir), mode)
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("walk: got %d entries and %v, want the files of a store", files, err)
	}
}

// What cannot be read is reported without what it holds.
func TestErrorsShowNoKey(t *testing.T) {
	const key = "very.secret.key1"
	var log nettest.Buffer // etcd logs from goroutines of its own
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), NoSync: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn := resource.VPNConnection{ID: "vpn-1"}
	conn.Tunnels[0].PreSharedKey = secret.New([]byte(key))
	if err := s.Update(t.Context(), func(tx *store.Tx) error {
		store.VPNConnections.Put(tx, conn.ID, conn)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// The same row, read as what it is not.
	wrong := store.Table[string, struct{ Tunnels string }]{Name: store.VPNConnections.Name}
	err = s.View(t.Context(), func(tx *store.Tx) error {
		wrong.Get(tx, "vpn-1")
		return nil
	})
	if err == nil {
		t.Fatal("a row of another type: got no error")
	}
	for _, text := range []string{key, "dmVyeS5zZWNyZXQua2V5MQ"} { // and in base 64
		if strings.Contains(err.Error()+log.String(), text) {
			t.Errorf("error and log: got %q and %q, want nothing of the key", err, log.String())
		}
	}
}
