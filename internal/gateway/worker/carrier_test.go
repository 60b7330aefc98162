package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// Where somebody else lays the routes a worker unplugs the TUNs of tunnels that were up
// and are not, and plugs them in again; it leaves those alone that have yet to come up,
// and all of them where it lays the routes.
func TestWorkerUnplugsTUNsOfFailedTunnels(t *testing.T) {
	for _, elsewhere := range []bool{true, false} {
		t.Run(fmt.Sprintf("routes elsewhere %v", elsewhere), func(t *testing.T) { unplugs(t, elsewhere) })
	}
}

func unplugs(t *testing.T, elsewhere bool) {
	w := newWorld(t)
	cloud := config(false, key)
	cloud.RoutesElsewhere = elsewhere
	aws := w.start("right", cloud, w.sockets(), nil)
	aws.until("two tunnels", func(st gateway.Status) bool { return len(st.Tunnels) == 2 })
	links := []string{cloud.Tunnels[0].Interface, cloud.Tunnels[1].Interface}
	plugged := func() (out string) {
		for _, link := range links {
			w.run("right", "ip", "link", "set", link, "up")
			if strings.Contains(w.run("right", "ip", "-o", "link", "show", link), "LOWER_UP") {
				out += "1"
			} else {
				out += "0"
			}
		}
		return out
	}
	wait := func(when, want string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(10 * time.Second); got != want; got = plugged() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got carriers %q, want %q", when, got, want)
			}
		}
	}
	wait("before it was up", "11")
	bothUp := func(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" }
	for range 2 {
		device := w.start("left", config(true, key), nil, nil)
		aws.until("both tunnels", bothUp)
		wait("while it is up", "11")
		device.Stop() // which deletes the SAs
		aws.until("no tunnel", func(st gateway.Status) bool { return up(st) == "" })
		if elsewhere {
			wait("when it went down", "00")
		} else {
			wait("when it went down", "11")
		}
	}
	aws.Stop()
}
