package host

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/linux/netspec"
)

// serves wants the service to be accepted and reached, whatever else is broken.
func (w *world) serves() {
	w.Helper()
	w.until("web1 has its address", func() bool {
		out, err := w.CommandIn(w.Context(), "web1", "ip", "-4", "addr", "show", "dev", "eth0")
		return err == nil && strings.Contains(string(out), w.instances["web1"].PrivateIP.String())
	})
	w.Listen("web1", w.instances["web1"].PrivateIP.String()+":80")
	w.until("web1 is healthy and the endpoint answers", func() bool {
		conn, err := w.Dial("client", w.serviceAddr(), cloudtest.Silence)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// acceptUnsettled accepts the endpoint of a machine that never settles.
func (w *world) acceptUnsettled() {
	w.Helper()
	cloudtest.Do(w.T, w.store, func(tx *store.Tx) error {
		w.endpoint.State = resource.StateAvailable
		store.Endpoints.Put(tx, w.endpoint.ID, w.endpoint)
		return nil
	})
}

// gatewayState is what the store says of the VPN gateway.
func (w *world) gatewayState() (s string) {
	w.Helper()
	cloudtest.Do(w.T, w.store, func(tx *store.Tx) error {
		g, _ := store.VPNGateways.Get(tx, w.gateway.ID)
		s = string(g.State) + " " + string(g.Attachment.State)
		return nil
	})
	return s
}

func TestAGatewayThatCannotStartStopsNobody(t *testing.T) {
	w := rows(t)
	w.worker = "/nonexistent/worker"
	w.run()
	w.acceptUnsettled()
	w.serves()
	if got, want := w.gatewayState(), "pending attaching"; got != want {
		t.Errorf("the gateway: got %s, want %s: nothing serves it", got, want)
	}
	w.until("the log names the gateway", func() bool {
		return strings.Contains(w.log.String(), "VPN gateway "+string(w.gateway.ID))
	})
	// Back-off doubles from 100 ms: a second of work is a handful of attempts.
	if got := strings.Count(w.log.String(), "trying again"); got > 40 {
		t.Errorf("attempts: got %d, want a handful", got)
	}
}

func TestANamespaceThatCannotBeLaidStopsNobody(t *testing.T) {
	w := rows(t)
	w.lay("neighbour", netspec.Link{Name: "eth0", Kind: netspec.Bridge}) // in the instance's place
	w.run()
	w.acceptUnsettled()
	w.serves()
	w.until("the log names the namespace", func() bool { return strings.Contains(w.log.String(), "apply neighbour") })
	w.until("the gateway is realised", func() bool { return w.gatewayState() == "available attached" })
}

func TestRowsThatContradictEachOtherStopNobody(t *testing.T) {
	w := rows(t)
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		i := w.instances["client"]
		_, err := ipam.Create(tx, ipam.Request{Owner: alice, SubnetID: i.SubnetID, Namespace: string(w.b.ID)})
		return err
	})
	w.run()
	w.acceptUnsettled()
	w.serves()
	w.until("the log says which", func() bool { return strings.Contains(w.log.String(), "is a router's or has an eth0 already") })
	w.until("the gateway is realised", func() bool { return w.gatewayState() == "available attached" })
}

func TestMissingSpacesAreThoseOfTheError(t *testing.T) {
	spec := netspec.Spec{Namespaces: []netspec.Namespace{{Name: "vpc-1"}, {Name: "vpc-11"}, {Name: "vgw-1"}}}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "map[]"},
		{errors.Join(errors.New("apply vpc-1: add route: no"), errors.New("apply vgw-1: add link: no")), "map[vgw-1:true vpc-1:true vpc-11:false]"},
		{errors.New("apply: not settled"), "map[vgw-1:true vpc-1:true vpc-11:true]"},
	} {
		if got := fmt.Sprint(missingSpaces(spec, c.err)); got != c.want {
			t.Errorf("missingSpaces(%v): got %s, want %s", c.err, got, c.want)
		}
	}
}

// What a gateway no longer says is down, also when the host that heard it is
// gone.
func TestTunnelsThatNobodyReportsAreDown(t *testing.T) {
	w := rows(t)
	var id resource.VPNConnectionID
	telemetryOf := func() string {
		var c resource.VPNConnection
		cloudtest.Do(t, w.store, func(tx *store.Tx) error {
			c = store.VPNConnections.List(tx)[0]
			return nil
		})
		id = c.ID
		return fmt.Sprintf("%s %q, %s %q", c.Telemetry[0].Status, c.Telemetry[0].Reason, c.Telemetry[1].Status, c.Telemetry[1].Reason)
	}
	telemetryOf()
	status := func(up ...bool) map[string]gateway.Status {
		var s gateway.Status
		for i := range up {
			s.Tunnels = append(s.Tunnels, gateway.TunnelStatus{ID: vpn.TunnelID(id, i), Up: up[i], Reason: map[bool]string{false: "no answer"}[up[i]]})
		}
		return map[string]gateway.Status{string(w.gateway.ID): s}
	}
	first, second := newTelemetry(w.store), newTelemetry(w.store)
	const silence = `DOWN "the gateway does not answer"`
	for _, step := range []struct {
		what string
		by   *telemetry
		say  map[string]gateway.Status
		want string
	}{
		{"both reported", first, status(true, false), `UP "", DOWN "no answer"`},
		{"the gateway died", first, nil, silence + ", " + silence},
		{"still dead", first, nil, silence + ", " + silence},
		{"it is back", first, status(true, true), `UP "", UP ""`},
		{"another host hears of one", second, status(true), `UP "", ` + silence},
		{"it hears of nobody", second, nil, silence + ", " + silence},
	} {
		if _, err := step.by.record(t.Context(), step.say, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := telemetryOf(); got != step.want {
			t.Errorf("%s: got %s, want %s", step.what, got, step.want)
		}
	}
}
