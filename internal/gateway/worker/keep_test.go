package worker

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"seikan/internal/gateway"
)

// kill ends the worker as a crash does.
func (s *side) kill() {
	s.t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	<-s.Done()
}

// bothUp is what both ends shall come to.
func bothUp(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" && carrier(st) != "" }

func TestWorkerInThePlaceOfAKilledOneGoesOnWithItsSAs(t *testing.T) {
	w := newWorld(t)
	w.state = map[string]string{"left": t.TempDir() + "/left", "right": t.TempDir() + "/right"}
	customer, cloud := w.startBoth()
	before, seen := spis(*cloud.Status()), *customer.Status()

	for range 3 {
		cloud.kill()
		cloud = w.start("right", config(false, key), w.sockets(), nil)
		if got := spis(cloud.until("both tunnels", bothUp)); !slices.Equal(got, before) {
			t.Errorf("SPIs of the next worker: got %v, want %v", got, before)
		}
		if !w.pings() {
			t.Error("the server does not answer after the cloud's worker was killed")
		}
	}
	customer.kill()
	customer = w.start("left", config(true, key), nil, nil)
	if got := spis(customer.until("both tunnels", bothUp)); !slices.Equal(got, spis(seen)) {
		t.Errorf("SPIs of the customer's next worker: got %v, want %v", got, spis(seen))
	}
	if !w.pings() {
		t.Error("the server does not answer after the customer's worker was killed")
	}
	for i, tun := range customer.Status().Tunnels {
		if want := seen.Tunnels[i].IKE.Established; !tun.IKE.Established.Equal(want) {
			t.Errorf("%s: IKE SA of %v, want that of %v", tun.ID, tun.IKE.Established, want)
		}
	}

	// Other options: what was kept for the old ones is of no use any more.
	cloud.kill()
	other := config(false, key)
	for i := range other.Tunnels {
		other.Tunnels[i].ReplayWindow = 64
	}
	cloud = w.start("right", other, w.sockets(), nil)
	after := spis(cloud.until("both tunnels", bothUp))
	for _, spi := range after {
		if slices.Contains(before, spi) {
			t.Errorf("SPI %s goes on under other options", spi)
		}
	}
	if !strings.Contains(cloud.log.String(), "begins anew") {
		t.Error("the log does not say that the tunnels begin anew")
	}

	// An orderly end leaves nothing.
	for ns, s := range map[string]*side{"left": customer, "right": cloud} {
		s.Stop()
		entries, err := os.ReadDir(w.state[ns])
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.Name() != "lock" {
				t.Errorf("%s is left in the state directory of %s", e.Name(), ns)
			}
		}
	}
}
