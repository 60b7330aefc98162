package bgp

import (
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
)

const (
	idleNow   = api.PeerState_SESSION_STATE_IDLE
	active    = api.PeerState_SESSION_STATE_ACTIVE
	sent      = api.PeerState_SESSION_STATE_OPENSENT
	confirmed = api.PeerState_SESSION_STATE_OPENCONFIRM
	up        = api.PeerState_SESSION_STATE_ESTABLISHED
)

func TestOpeningIsJudgedByStateAndTime(t *testing.T) {
	type step struct {
		at    time.Duration
		state api.PeerState_SessionState
		want  verdict
		wait  time.Duration
	}
	const s, ms = time.Second, time.Millisecond
	for name, tt := range map[string]struct {
		rest  time.Duration
		steps []step
	}{
		"a session comes up": {0, []step{
			{0, idleNow, leave, 0}, {1 * s, active, leave, 0}, {3 * s, sent, leave, 6 * s}, {4 * s, confirmed, leave, 5 * s}, {5 * s, up, leave, 0}, {99 * s, up, leave, 0},
		}},
		"stuck, and first to open anew": {0, []step{
			{0, confirmed, leave, 6 * s}, {6*s - ms, confirmed, leave, ms}, {6 * s, confirmed, breakOff, 0}, {6*s + ms, confirmed, leave, 0}, {6*s + 2*ms, idleNow, openAnew, 0},
			{6*s + 3*ms, idleNow, leave, 0}, {7 * s, active, leave, 0}, {8 * s, confirmed, leave, 6 * s},
		}},
		"stuck, and second to open anew": {giveWay, []step{
			{0, sent, leave, 6 * s}, {6 * s, sent, breakOff, 0}, {6*s + ms, idleNow, leave, s - ms}, {7 * s, idleNow, openAnew, 0},
		}},
		"the other end broke off": {giveWay, []step{
			{0, confirmed, leave, 6 * s}, {5 * s, idleNow, leave, s}, {6 * s, idleNow, openAnew, 0},
		}},
		"refused at once": {0, []step{
			{0, sent, leave, 6 * s}, {999 * ms, idleNow, leave, 0}, {20 * s, idleNow, leave, 0},
		}},
		"an attempt after another": {0, []step{
			{0, sent, leave, 6 * s}, {500 * ms, idleNow, leave, 0}, {6 * s, sent, leave, 6 * s}, {11 * s, confirmed, leave, s},
		}},
		"established while it was broken off": {0, []step{
			{0, confirmed, leave, 6 * s}, {6 * s, confirmed, breakOff, 0}, {6*s + ms, up, leave, 0}, {6*s + 2*ms, idleNow, openAnew, 0},
		}},
	} {
		var o opening
		began := time.Unix(1, 0)
		for i, st := range tt.steps {
			if got, wait := o.judge(st.state, began.Add(st.at), tt.rest); got != st.want || wait != st.wait {
				t.Errorf("%s: step %d: got %d after %v, want %d after %v", name, i, got, wait, st.want, st.wait)
			}
		}
	}
}

func TestOneOfTheTwoEndsGivesWay(t *testing.T) {
	a, b := addr("169.254.10.1"), addr("169.254.10.2")
	if restOf(a, b) == restOf(b, a) {
		t.Error("both ends would open anew at the same time")
	}
}
