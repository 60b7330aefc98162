package bgp

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	gobgp "github.com/osrg/gobgp/v4/pkg/server"
)

// settle is how long changes are gathered before the peers' tables are read:
// a peer that announces a thousand prefixes sends many messages.
const settle = 20 * time.Millisecond

// lookEvery is how often the tables are read though nothing was heard.
const lookEvery = 30 * time.Second

// Run speaks until ctx ends. When it returns, every peer was told, and every
// goroutine and socket is gone.
func (s *Speaker) Run(ctx context.Context) error {
	for {
		err := s.serve(ctx)
		if !errors.Is(err, errAnew) {
			return err
		}
		s.log.Info("BGP begins anew: its ASN, router ID or addresses changed")
	}
}

// errAnew ends serve when GoBGP must be started again.
var errAnew = errors.New("bgp: begin anew")

// serve speaks with one GoBGP.
func (s *Speaker) serve(ctx context.Context) error {
	s.mu.Lock()
	base := s.want
	s.mu.Unlock()
	srv, deaf, err := startServer(ctx, base, s.port, slog.New(bridge{speaker: s, next: s.log.Handler()}))
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.forget()
	defer srv.stop()
	if deaf != nil {
		s.log.Warn("peers cannot open BGP sessions to us; we still open them ourselves", "err", deaf)
	}
	s.mu.Lock()
	s.deaf = deaf
	s.mu.Unlock()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := s.watch(watching, srv); err != nil {
		return err
	}
	return s.follow(ctx, srv, base)
}

// watch wakes follow when a peer's state or routes change.
func (s *Speaker) watch(ctx context.Context, srv *server) error {
	return srv.WatchEvent(ctx, gobgp.WatchEventMessageCallbacks{
		OnPathUpdate: func([]*apiutil.Path, time.Time) { signal(s.dirty) },
		OnPathEor: func(p *apiutil.Path, _ time.Time) {
			s.note(p.PeerAddress, func(n *note) { n.complete = n.established })
		},
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) { s.heard(e, srv.own) },
	}, gobgp.WatchUpdate(false, "", ""), gobgp.WatchEor(false), gobgp.WatchPeer())
}

// heard notes what a change of state says of a session that did not come about.
func (s *Speaker) heard(e *apiutil.WatchEventMessage_PeerEvent, own uint32) {
	if e.Type == apiutil.PEER_EVENT_STATE && e.Peer.State.DisconnectReason == api.PeerState_DISCONNECT_REASON_INVALID_MSG {
		// GoBGP does not say which message came instead of an OPEN or KEEPALIVE.
		s.note(e.Peer.State.NeighborAddress, func(n *note) {
			if !n.established {
				n.fail(refused(own))
			}
		})
	}
	signal(s.dirty)
}

// follow makes srv what is wanted, and reads its tables, until ctx ends or base
// is no longer what is wanted.
func (s *Speaker) follow(ctx context.Context, srv *server, base Config) error {
	again := time.NewTimer(0) // when the tables are read
	defer again.Stop()
	if err := s.converge(ctx, srv); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.kick:
			s.mu.Lock()
			same := s.want.ASN == base.ASN && s.want.RouterID == base.RouterID && slices.Equal(s.want.Listen, base.Listen)
			s.mu.Unlock()
			if !same {
				return errAnew
			}
			if err := s.converge(ctx, srv); err != nil {
				return err
			}
			again.Reset(0)
		case <-s.dirty:
			again.Reset(settle)
		case <-again.C:
			next, err := s.look(ctx, srv)
			if err != nil && ctx.Err() == nil {
				s.log.Error("reading BGP tables", "err", err)
			}
			again.Reset(next)
		}
	}
}

// converge makes the peers of srv those that are wanted.
func (s *Speaker) converge(ctx context.Context, srv *server) error {
	s.mu.Lock()
	want := s.want
	notes := map[netip.Addr]*note{}
	for _, p := range want.Peers {
		had, ok := srv.peers[p.Remote]
		n := s.notes[p.Remote]
		if n == nil || !ok || !had.sameSession(p.withDefaults()) {
			n = &note{since: time.Now()}
		}
		n.name = p.Name
		notes[p.Remote] = n
	}
	s.notes = notes
	s.mu.Unlock()
	srv.restarted = s.restarted
	err := srv.apply(ctx, want)
	srv.restarted, s.restarted = false, s.restarted && len(want.Peers) == 0
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ending is how long a session may take to end after a NOTIFICATION.
const ending = time.Second

// ending are the peers whose sessions are about to end, since a NOTIFICATION was
// heard of. Their tables change under whoever reads them. One that lives on was
// not meant: two sessions had been opened at once.
func (s *Speaker) ending() map[netip.Addr]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[netip.Addr]bool{}
	for addr, n := range s.notes {
		if !n.ended || !n.established {
			continue
		}
		if time.Since(n.lastErrorAt) < ending {
			out[addr] = true
		} else {
			n.ended = false
		}
	}
	return out
}

// complete are the peers that have said that they have announced all. Who asks
// before the tables are read finds all of it there.
func (s *Speaker) complete() map[netip.Addr]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[netip.Addr]bool{}
	for addr, n := range s.notes {
		out[addr] = n.complete
	}
	return out
}

// look reads the tables of srv, lets a peer that announced too much try again
// when it is time, and sees to sessions that do not come about. It returns after
// how long there is to look again.
func (s *Speaker) look(ctx context.Context, srv *server) (time.Duration, error) {
	skip := s.ending()
	complete := s.complete()
	views, err := srv.look(ctx, skip)
	if err != nil {
		return lookEvery, err
	}
	next, now := lookEvery, time.Now()
	if len(skip) > 0 {
		next = ending
	}
	var again, broken []netip.Addr
	var seen []PeerStatus
	s.mu.Lock()
	for addr, p := range srv.peers {
		n, v := s.notes[addr], views[addr]
		if n == nil {
			continue
		}
		switch {
		case !v.limited:
			n.limited = time.Time{}
		case n.limited.IsZero():
			n.limited = now
			next = min(next, p.Pause)
		case now.Sub(n.limited) >= p.Pause:
			again = append(again, addr)
			n.limited = time.Time{}
		default:
			next = min(next, p.Pause-now.Sub(n.limited))
		}
		what, wait := n.opening.judge(v.state, now, restOf(p.Local, p.Remote))
		if wait > 0 {
			next = min(next, wait)
		}
		switch what {
		case breakOff:
			n.fail("neither end confirmed the session; both had opened it at once, or the path fails")
			s.log.Info("BGP session is opened anew", "peer", p.Name, "state", stateName(v.state), "reason", n.lastError)
			broken = append(broken, addr)
		case openAnew:
			again = append(again, addr)
		}
		was := slices.IndexFunc(s.seen, func(ps PeerStatus) bool { return ps.Name == p.Name })
		if skip[addr] && was >= 0 && !v.limited && v.state == api.PeerState_SESSION_STATE_ESTABLISHED {
			seen = append(seen, s.seen[was])
			continue
		}
		if !skip[addr] && v.state == api.PeerState_SESSION_STATE_ESTABLISHED && !slices.ContainsFunc(v.routes, func(r Route) bool { return r.Stale }) {
			n.fresh = false // what was kept is gone; what comes now counts
		}
		st := status(p, v, n, srv.own)
		st.Complete = st.Established && complete[addr]
		seen = append(seen, st)
	}
	s.seen = seen
	s.mu.Unlock()
	for _, addr := range broken {
		err = errors.Join(err, srv.DisablePeer(ctx, &api.DisablePeerRequest{Address: addr.String()}))
	}
	for _, addr := range again {
		err = errors.Join(err, srv.renew(ctx, addr))
	}
	signal(s.changed)
	return next, err
}

// status is what v and n say of p, of a speaker of the system own.
func status(p Peer, v view, n *note, own uint32) PeerStatus {
	st := PeerStatus{Name: p.Name, State: stateName(v.state), Established: v.state == api.PeerState_SESSION_STATE_ESTABLISHED && !v.limited, Hold: v.hold}
	if st.Established {
		st.Announced = v.announced
	}
	// A limited peer's routes are not used, and neither are those of one whose
	// session was ended by a NOTIFICATION, though GoBGP keeps them.
	if v.limited || !st.Established && n.ended {
		return st
	}
	for _, r := range v.routes {
		if r.Stale && n.fresh {
			continue
		}
		if r.Refused = Refusal(r, p, own); r.Refused == "" {
			st.Accepted++
		}
		if len(r.ASPath) > MaxPath { // it is refused, and only shown
			r.ASPath = slices.Clone(r.ASPath[:MaxPath])
		}
		st.Routes = append(st.Routes, r)
	}
	st.Received = len(st.Routes)
	return st
}

// stateName is the name of a state in RFC 4271.
func stateName(s api.PeerState_SessionState) string {
	switch s {
	case api.PeerState_SESSION_STATE_CONNECT:
		return "Connect"
	case api.PeerState_SESSION_STATE_ACTIVE:
		return "Active"
	case api.PeerState_SESSION_STATE_OPENSENT:
		return "OpenSent"
	case api.PeerState_SESSION_STATE_OPENCONFIRM:
		return "OpenConfirm"
	case api.PeerState_SESSION_STATE_ESTABLISHED:
		return "Established"
	}
	return idle
}

// forget is after the end of GoBGP, with whom all sessions ended.
func (s *Speaker) forget() {
	s.mu.Lock()
	s.seen, s.notes = nil, map[netip.Addr]*note{}
	s.mu.Unlock()
	signal(s.changed)
}
