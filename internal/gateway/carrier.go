package gateway

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/dataplane/tun"
)

// A carrier is whether the link of a tunnel looks as if plugged in.
type carrier struct {
	dev *tun.TUN
	off bool
}

// convergeCarriersLocked unplugs the TUNs of tunnels that have failed, where somebody
// else lays the routes: the kernel, which is told to mind that, then leaves them out of
// routes over several links though nobody takes them out, as while the control plane is
// dead. One that has not been up yet stays as it is, for nobody has laid a route over
// it, and BGP may try in vain but not fail. The caller holds g.mu.
func (g *Gateway) convergeCarriersLocked() error {
	var errs []error
	for id, r := range g.tunnels {
		if off := g.have.RoutesElsewhere && r.failed(); off != r.carrier.off {
			if err := r.carrier.dev.SetCarrier(!off); err != nil {
				errs = append(errs, fmt.Errorf("tunnel %s: %w", id, err))
				continue
			}
			r.carrier.off = off
		}
	}
	return errors.Join(errs...)
}

// failed reports whether the tunnel was up and is not any more.
func (r *running) failed() bool {
	up := r.up()
	r.mu.Lock()
	defer r.mu.Unlock()
	return !up && len(r.downs) > 0
}
