//go:build e2e

package e2e

import (
	"testing"
	"time"

	"seikan/e2e/world"
)

// TestLibreswanAsksWhetherWeLive is what TestMatrix spares libreswan in IKEv2: its
// own questions, which we answer, while we ask nothing.
func TestLibreswanAsksWhetherWeLive(t *testing.T) {
	for _, initiate := range []bool{true, false} {
		c := cell{peer: peerLibreswan, version: 2, auth: authPSK, initiate: initiate, nat: true}
		t.Run(c.name(), func(t *testing.T) {
			r := &trial{t: t, w: world.New(t), outcome: outcome{cell: c, suites: c.phases()}, peerAsks: dpdInterval, weAsk: time.Hour}
			r.begin()
			r.idle()
			r.move(100_000)
		})
	}
}
