package health

import (
	"errors"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
)

func TestStatesFollowResults(t *testing.T) {
	// Each case feeds results, + a pass and - a failure, and lists the state
	// after each: i initial, h healthy, u unhealthy.
	for _, c := range []struct {
		name          string
		healthy, unhl int
		last          resource.HealthState
		results, want string
	}{
		{"one pass is enough at first", 5, 2, "", "+", "h"},
		{"one failure does not decide at first", 5, 2, "", "-+", "ih"},
		{"failures decide at first too", 5, 2, "", "--", "iu"},
		{"a single failure is forgiven", 5, 2, "", "+-+-+", "hhhhh"},
		{"failures in a row take out", 5, 3, "", "+---", "hhhu"},
		{"recovery needs the healthy threshold", 3, 2, "", "+--+++", "hhuuuh"},
		{"a failure begins recovery anew", 3, 2, "", "+--++-+++", "hhuuuuuuh"},
		{"it begins as last known: healthy", 3, 2, resource.HealthHealthy, "-", "h"},
		{"it begins as last known: unhealthy", 2, 2, resource.HealthUnhealthy, "++", "uh"},
		{"unused begins as initial", 2, 2, resource.HealthUnused, "+", "h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMachine(Thresholds{Healthy: c.healthy, Unhealthy: c.unhl}, Status{State: c.last})
			var got strings.Builder
			for i, r := range c.results {
				var res Result
				if r == '-' {
					res.Err = errors.New("refused")
				}
				s, _ := m.Step(time.Unix(int64(i), 0), res)
				got.WriteByte(string(s.State)[0])
			}
			if got.String() != c.want {
				t.Errorf("results %s: got %s, want %s", c.results, got.String(), c.want)
			}
		})
	}
}

func TestOnlyChangesAreReported(t *testing.T) {
	m := NewMachine(Thresholds{Healthy: 2, Unhealthy: 2}, Status{})
	refused := Result{Err: errors.New("refused")}
	var got []bool
	for i, r := range []Result{refused, refused, refused, {}, {}, {}} {
		_, changed := m.Step(time.Unix(int64(i), 0), r)
		got = append(got, changed)
	}
	want := []bool{true, true, false, false, true, false} // reason, unhealthy, -, -, healthy, -
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("changed after result %d: got %t, want %t", i, got[i], want[i])
		}
	}
}

func TestStatusSaysWhyAndSinceWhen(t *testing.T) {
	m := NewMachine(Thresholds{Healthy: 2, Unhealthy: 1}, Status{})
	at := time.Unix(7, 0)
	got, _ := m.Step(at, Result{Err: errors.New("connect: refused")})
	want := Status{State: resource.HealthUnhealthy, Reason: resource.ReasonFailedChecks,
		Description: "Health checks failed: connect: refused", Since: at}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMatchers(t *testing.T) {
	for _, c := range []struct {
		matcher string
		code    int
		want    bool
	}{
		{"200-399", 200, true}, {"200-399", 399, true}, {"200-399", 400, false},
		{"200,204", 204, true}, {"200,204", 202, false}, {"200,300-302", 301, true},
	} {
		if got := Matches(c.matcher, c.code); got != c.want {
			t.Errorf("Matches(%q, %d): got %t, want %t", c.matcher, c.code, got, c.want)
		}
	}
	for _, bad := range []string{"", "abc", "199", "600", "300-200", "200-", "200,"} {
		if CheckMatcher(bad) == nil {
			t.Errorf("CheckMatcher(%q): got nil, want an error", bad)
		}
	}
}
