package host

import (
	"io"
	"log/slog"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
)

// A host that crashed leaves its workers forwarding. The next one takes their
// place: sockets and TUNs are theirs until then.
func TestWorkersOfACrashedHostGiveWay(t *testing.T) {
	w := rows(t)
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		w.Lay(vpn.MakePlan(vpn.Load(tx)).Spec)
		return nil
	})
	start := func() *gateways {
		g := &gateways{log: slog.New(slog.DiscardHandler), net: w.Host, command: []string{w.worker, workerArg}, stderr: io.Discard,
			running: map[string]*runningGateway{}, changed: func() {}, died: func() {}}
		var workers []vpn.Worker
		cloudtest.Do(t, w.store, func(tx *store.Tx) error {
			workers = vpn.MakePlan(vpn.Load(tx)).Workers
			return nil
		})
		if _, broken := g.converge(workers); len(broken) > 0 {
			t.Fatalf("converge: got %v, want every gateway running", broken)
		}
		t.Cleanup(g.stop)
		w.until("the gateway reports both tunnels", func() bool { return len(g.statuses()[string(w.gateway.ID)].Tunnels) == 2 })
		return g
	}
	crashed := start() // and nobody looks after it any more
	next := start()
	old := crashed.running[string(w.gateway.ID)]
	<-old.process.Done()
	pids, err := workersIn(w.Path(string(w.gateway.ID)), []string{w.worker, workerArg})
	if err != nil || len(pids) != 1 || pids[0] != next.running[string(w.gateway.ID)].process.PID() {
		t.Errorf("workers: got %v, %v, want the second host's alone", pids, err)
	}
}
