package bgp

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

// stop tells every peer goodbye and returns when nothing of GoBGP runs.
func (s *server) stop() {
	s.part(slices.Collect(maps.Keys(s.peers)))
	s.Stop()
	s.loop.Wait()
}

const (
	// farewell is how long peers may take to be told goodbye, and lookAround how
	// often it is asked whether they have been.
	farewell   = time.Second
	lookAround = 5 * time.Millisecond
)

// part ends the sessions with the peers at addrs by a NOTIFICATION
// (Cease/Administrative Shutdown), which is on its way when part returns. GoBGP
// that deletes a peer may close the connection before it has sent one: who can
// restart gracefully takes that for our restart and keeps our routes.
func (s *server) part(addrs []netip.Addr) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	for _, addr := range addrs {
		// It fails for a peer that is gone, who needs no goodbye.
		_ = s.DisablePeer(ctx, &api.DisablePeerRequest{Address: addr.String()})
	}
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for s.speaks(ctx, addrs) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// speaks reports whether there is a session with any of the peers at addrs.
func (s *server) speaks(ctx context.Context, addrs []netip.Addr) bool {
	spoken := false
	for _, addr := range addrs {
		_ = s.ListPeer(ctx, &api.ListPeerRequest{Address: addr.String()}, func(p *api.Peer) {
			spoken = spoken || p.GetState().GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED
		})
	}
	return spoken
}
