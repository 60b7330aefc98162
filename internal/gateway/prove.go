package gateway

import (
	"context"
	"time"

	"seikan/internal/ipsec/ike"
)

// provedWithin is how long a tunnel may take to hear of other certificates.
const provedWithin = time.Second

// reproved has r prove itself, and believe its peer, by the certificates of t from
// now on, and reports whether it goes on. A peer that would not be believed any
// more, as one that was revoked, is deleted at once; any other notices nothing.
func (g *Gateway) reproved(ctx context.Context, r *running, t Tunnel) bool {
	if t.sameProof(r.cfg) {
		return true
	}
	auth, err := t.withDefaults().auth()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, provedWithin)
		defer cancel()
		err = r.tunnel.Ask(ctx, ike.AuthChanged{Auth: auth})
	}
	if err != nil {
		g.log.Warn("other certificates cannot be taken over; the tunnel begins anew", "tunnel", t.ID, "err", err)
		return false
	}
	r.cfg = t
	g.log.Info("other certificates are in force", "tunnel", t.ID)
	return true
}
