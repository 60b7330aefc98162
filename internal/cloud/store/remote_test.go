package store_test

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"seikan/internal/cloud/store"
)

// cluster starts an etcd as an operator would run it, listening on a socket,
// and returns its endpoint.
func cluster(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self := url.URL{Scheme: "http", Host: "localhost:2380"}
	socket := url.URL{Scheme: "unix", Path: filepath.Join(dir, "client")}
	c := embed.NewConfig()
	c.Name, c.Dir = "other", filepath.Join(dir, "etcd")
	c.ListenPeerUrls, c.AdvertisePeerUrls = nil, []url.URL{self}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{socket}, []url.URL{socket}
	c.InitialCluster = c.Name + "=" + self.String()
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.UnsafeNoFsync = true
	c.TickMs, c.ElectionMs = 20, 100
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatalf("StartEtcd: %v", err)
	}
	t.Cleanup(e.Close)
	<-e.Server.ReadyNotify()
	return socket.String()
}

func TestTwoStoresShareOneCluster(t *testing.T) {
	endpoint := cluster(t)
	var stores [2]*store.Store
	for i := range stores {
		s, err := store.Open(t.Context(), store.Config{Endpoints: []string{endpoint}})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer s.Close()
		stores[i] = s
	}
	const rounds = 5
	for range rounds {
		for _, s := range stores {
			update(t, s, func(tx *store.Tx) error {
				c, _ := counters().Get(tx, "a")
				c.N++
				counters().Put(tx, "a", c)
				return nil
			})
		}
	}
	for i, s := range stores {
		view(t, s, func(tx *store.Tx) error {
			if c, _ := counters().Get(tx, "a"); c.N != 2*rounds {
				t.Errorf("store %d: got %d, want %d", i, c.N, 2*rounds)
			}
			return nil
		})
	}
}

func TestARemoteWatchSeesTheOthersChange(t *testing.T) {
	endpoint := cluster(t)
	watching, err := store.Open(t.Context(), store.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	writing, err := store.Open(t.Context(), store.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer writing.Close()
	seen, done := make(chan store.Change, 4), make(chan error, 1)
	go func() {
		done <- watching.Watch(t.Context(), func(changes []store.Change) {
			if changes == nil {
				seen <- store.Change{}
			}
			for _, c := range changes {
				seen <- c
			}
		})
	}()
	<-seen // the watch stands
	update(t, writing, func(tx *store.Tx) error {
		counters().Put(tx, "a", counter{"a", 1})
		return nil
	})
	select {
	case got := <-seen:
		if want := (store.Change{Table: "test-counter", Key: "a"}); got != want {
			t.Errorf("change: got %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("no change seen within 10s")
	}
	if err := watching.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("Watch of a closed store: got nil, want an error")
	}
}
