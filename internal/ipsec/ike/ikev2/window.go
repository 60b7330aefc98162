package ikev2

import "time"

// A window is the message ids of one IKE SA, one request at a time in each
// direction (RFC 7296 sections 2.1 to 2.3).
type window struct {
	next   uint32    // id of our next request
	out    *flight   // our request that is not answered yet
	expect uint32    // id of the peer's next request
	cached [][]byte  // our response to request expect-1, in fragments if it is long
	early  *received // the peer's request expect, which came before it could be answered
}

// A flight is a request on its way, in fragments if it is long. data never
// changes.
type flight struct {
	id     uint32
	data   [][]byte
	task   task // what to do with the response; nil for IKE_SA_INIT
	pause  time.Duration
	again  time.Time // when to send once more
	giveUp time.Time
	proof  bool // it shows whether the peer still knows an SA that was resumed
	spared int  // how often it was not given up, since we were late
}

// maxSpared is how often a flight is at most not given up since we were late: who
// always is shall not keep a dead peer.
const maxSpared = 5

// spare has f wait for another pause when we come late to what was due: we did not
// run, as on a busy machine or a paused one, and answers may have come that nobody
// has read yet. That the peer is silent is not known before.
func (f *flight) spare(now, due time.Time) {
	if f.pause > 0 && now.Sub(due) > f.pause && f.spared < maxSpared {
		f.spared++
		f.giveUp = latest(f.giveUp, now.Add(f.pause))
	}
}

// Message ids from which an IKE SA is rekeyed, and the one that is never used:
// after it they would begin again, and old messages be new once more.
const (
	lowIDs = 1 << 31
	lastID = 1<<32 - 1
)

// A verdict is what to do with a request.
type verdict uint8

const (
	ignore verdict = iota // too old or too new
	repeat                // answer again with the cached response
	fresh                 // answer it
)

// admit judges the peer's request with the given id, which must be authentic.
func (w *window) admit(id uint32) verdict {
	// "[...] the responder MUST ignore the retransmitted request except insofar
	// as it causes a retransmission of the response."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.1
	if id+1 == w.expect && w.cached != nil {
		return repeat
	}
	// "An endpoint MUST NOT exceed the peer's stated window size", which is 1
	// until it says otherwise; we never do.
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.3
	if id != w.expect || id == lastID {
		return ignore
	}
	return fresh
}

// answered remembers the response to the request just admitted.
func (w *window) answered(data [][]byte) {
	w.cached = data
	w.expect++
}

// settle ends the flight that the response with the given id answers, if there
// is one.
func (w *window) settle(id uint32) (*flight, bool) {
	f := w.out
	if f == nil || f.id != id {
		return nil, false
	}
	w.out = nil
	return f, true
}

// deadline is when the flight wants attention.
func (w *window) deadline() time.Time {
	if w.out == nil {
		return time.Time{}
	}
	return earliest(w.out.again, w.out.giveUp)
}

// launch sends data as our next request on s and keeps it for repetition.
func (m *Machine) launch(t *turn, s *sa, data [][]byte, k task) {
	pace := m.cfg.Tuning
	f := &flight{id: s.window.next, data: data, task: k, pause: pace.RetransmitFirst, giveUp: t.now.Add(pace.RetransmitTimeout)}
	if _, probing := k.(*probe); probing {
		f.pause, f.giveUp = m.probePause(), t.now.Add(m.cfg.Liveness.Timeout)
	}
	if s.resumes() {
		// A peer that knows nothing of resumption says nothing, and an answer may
		// be forged: the full exchange must not wait for long.
		f.giveUp = earliest(f.giveUp, t.now.Add(refusedFor))
	}
	f.again = t.now.Add(f.pause)
	s.window.out = f
	s.window.next++
	m.renewIDs(t, s)
	m.transmit(t, s, data...)
	t.tellCreate(createRequestSent, f.id, k)
}

// renewIDs has s rekeyed soon when its message ids run low, in either direction: they
// must never begin again (RFC 7296 section 2.2).
func (m *Machine) renewIDs(t *turn, s *sa) {
	if w := &s.window; s.state == up && (w.next == lowIDs || w.expect == lowIDs) {
		s.soft = t.now.Add(time.Second)
	}
}

// transmit sends data to the peer of s.
func (m *Machine) transmit(t *turn, s *sa, data ...[]byte) {
	t.send(s.path.local, s.path.remote, data...)
	s.path.sent = t.now
}

// retransmit sends s's unanswered request again, or gives up.
func (m *Machine) retransmit(t *turn, s *sa) {
	f, due := s.window.out, s.window.deadline()
	if f == nil || t.now.Before(due) {
		return
	}
	f.spare(t.now, due)
	_, probing := f.task.(*probe)
	if probing {
		// Protected traffic that came in after the probe proves as much as its
		// answer (RFC 7296 section 2.4).
		f.giveUp = latest(f.giveUp, m.live.seen.Add(m.cfg.Liveness.Timeout))
	}
	if !t.now.Before(f.giveUp) {
		s.window.out = nil
		m.unanswered(t, s, f)
		return
	}
	if t.now.Before(f.again) {
		return
	}
	if s.state == larval && m.current != nil {
		m.forget(s) // the peer's own attempt has led to an SA meanwhile
		return
	}
	// "A retransmission from the initiator MUST be bitwise identical to the
	// original request."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.1
	m.transmit(t, s, f.data...)
	m.counts.retransmits++
	if !probing {
		f.pause = min(2*f.pause, m.cfg.Tuning.RetransmitMax)
	}
	f.again = t.now.Add(f.pause)
}

// earliest is the first of the times that are set, or the zero time.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, at := range times {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
