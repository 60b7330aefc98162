// Package health finds out whether the targets of load balancers work (pl §2.8).
//
// Machine is the pure part: results go in, a state comes out. Runner is the
// shell around it: it keeps one Machine a probe, dials through a function that
// it is given, and reports changes. It knows nothing of the store, of
// namespaces, or of what a change leads to. internal/cloud/lb describes the
// probes, internal/cloud/host runs them.
package health

import (
	"fmt"
	"time"

	"seikan/internal/cloud/resource"
)

// Thresholds say how many results in a row change a target's state. Both are
// 2 to 10 by the API; a Machine takes any from 1.
type Thresholds struct {
	Healthy   int // passes that bring an unhealthy target back
	Unhealthy int // failures that take a target out
}

// A Result is the outcome of one probe. A nil Err is a pass.
type Result struct {
	Err error
	// Code is why, for DescribeTargetHealth: resource.ReasonFailedChecks or one
	// of the enum beside it. Empty is ReasonFailedChecks.
	Code string
}

// A Status is what is known of one target.
type Status struct {
	State       resource.HealthState // initial, healthy or unhealthy
	Reason      string
	Description string
	Since       time.Time // when State began
}

// A Machine is the health of one target as one node sees it.
//
//	            one pass                 Unhealthy failures
//	initial ───────────────▶ healthy ──────────────────────▶ unhealthy
//	   │                        ▲                                │
//	   │                        └───────── Healthy passes ───────┘
//	   └─────────────────── Unhealthy failures ──────────────────▶
//
// The zero value is not ready: use NewMachine.
type Machine struct {
	t      Thresholds
	status Status
	streak int // results in a row that speak against the state
}

// NewMachine makes a Machine that begins as was last known; the zero Status
// begins as initial.
func NewMachine(t Thresholds, last Status) *Machine {
	switch last.State {
	case resource.HealthHealthy, resource.HealthUnhealthy:
	default:
		last = Status{State: resource.HealthInitial, Reason: resource.ReasonRegistering,
			Description: "Target registration is in progress"}
	}
	return &Machine{t: t, status: last}
}

// Status is what is known now.
func (m *Machine) Status() Status { return m.status }

// Step takes one result, and reports the status and whether the state or its
// reason is another than before.
func (m *Machine) Step(now time.Time, r Result) (s Status, changed bool) {
	before := m.status
	switch m.status.State {
	case resource.HealthInitial:
		m.initial(now, r)
	case resource.HealthHealthy:
		if m.against(r.Err != nil, m.t.Unhealthy) {
			m.fail(now, r)
		}
	case resource.HealthUnhealthy:
		if m.against(r.Err == nil, m.t.Healthy) {
			m.pass(now)
		}
	default:
		panic(fmt.Sprintf("health: unhandled state %q", m.status.State)) // NewMachine lets no other in
	}
	return m.status, m.status != before
}

// initial goes into service after one pass: the healthy threshold counts only
// for recovery.
func (m *Machine) initial(now time.Time, r Result) {
	if r.Err == nil {
		m.pass(now)
		return
	}
	if m.against(true, m.t.Unhealthy) {
		m.fail(now, r)
		return
	}
	m.status.Reason, m.status.Description = resource.ReasonInitialChecking, "Initial health checks in progress"
}

// against counts a result that speaks against the state, and reports whether
// there were enough of them in a row.
func (m *Machine) against(speaks bool, threshold int) bool {
	if !speaks {
		m.streak = 0
		return false
	}
	m.streak++
	return m.streak >= threshold
}

func (m *Machine) pass(now time.Time) {
	m.streak = 0
	m.status = Status{State: resource.HealthHealthy, Since: now}
}

func (m *Machine) fail(now time.Time, r Result) {
	m.streak = 0
	reason := r.Code
	if reason == "" {
		reason = resource.ReasonFailedChecks
	}
	m.status = Status{State: resource.HealthUnhealthy, Reason: reason, Description: "Health checks failed: " + r.Err.Error(), Since: now}
}
