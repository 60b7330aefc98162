package bgp

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

const (
	// confirming is how long a session may take from the first OPEN to being
	// established: enough for a message to be lost twice and sent again by TCP, and
	// for the end whose connection was closed, which rests for five seconds and then
	// goes on with the other.
	confirming = 6 * time.Second
	// sameCause is how long a session must have been unconfirmed for its end to
	// be taken for the peer's doing what we were about to do.
	sameCause = time.Second
	// giveWay is how much later the end with the lower address opens anew than the
	// other. GoBGP 4.8 spreads its attempts over half a second, 1.5 s after it may.
	giveWay = time.Second
)

// An opening watches one session come about. When both ends open it at once,
// RFC 4271 section 6.8 has both keep the same one of the two connections. GoBGP
// 4.8 looks for the other connection only when an OPEN arrives and not once it
// has confirmed one, so that each end may confirm another and wait for ever. The
// cure is to break off and to open anew, one end later than the other. The zero
// value has seen nothing.
type opening struct {
	since  time.Time // when the session was first seen unconfirmed; zero when it is not
	broken time.Time // when it was broken off, until it is opened anew; zero otherwise
}

// A verdict is what is to be done about a session.
type verdict int

const (
	leave    verdict = iota
	breakOff         // shut it down
	openAnew         // make the peer anew
)

// judge says what to do about a session in state, whose opening waits for rest
// before it begins anew, and after how long to ask again; 0 means at the next
// change of state.
func (o *opening) judge(state api.PeerState_SessionState, now time.Time, rest time.Duration) (verdict, time.Duration) {
	if !o.broken.IsZero() {
		switch left := o.broken.Add(rest).Sub(now); {
		case state != api.PeerState_SESSION_STATE_IDLE:
			return leave, 0 // it is on its way there
		case left > 0:
			return leave, left
		}
		*o = opening{}
		return openAnew, 0
	}
	since := o.since
	switch {
	case state == api.PeerState_SESSION_STATE_OPENSENT || state == api.PeerState_SESSION_STATE_OPENCONFIRM:
		if since.IsZero() {
			o.since, since = now, now
		}
		if left := since.Add(confirming).Sub(now); left > 0 {
			return leave, left
		}
		*o = opening{broken: now}
		return breakOff, 0
	case state == api.PeerState_SESSION_STATE_IDLE && !since.IsZero() && now.Sub(since) >= sameCause:
		*o = opening{broken: now}
		return o.judge(state, now, rest)
	}
	o.since = time.Time{}
	return leave, 0
}

// restOf is how long the end at local waits before it opens a session with remote
// anew. Of the two ends one waits, and each still opens when the other does not.
func restOf(local, remote netip.Addr) time.Duration {
	if local.Less(remote) {
		return giveWay
	}
	return 0
}
