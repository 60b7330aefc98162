package ikev2

import (
	"fmt"
	"time"

	"seikan/internal/ipsec/ike"
)

// A Machine is one IKEv2 endpoint towards one peer. It implements ike.Machine.
type Machine struct {
	cfg Config
}

var _ ike.Machine = (*Machine)(nil)

// New checks cfg and returns a machine that does nothing yet.
func New(cfg Config) (*Machine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ikev2: config: %w", err)
	}
	return &Machine{cfg: cfg}, nil
}

// Step feeds one event to the machine.
func (m *Machine) Step(now time.Time, ev ike.Event, out *ike.Outputs) error {
	return fmt.Errorf("ikev2: %T is not handled yet", ev)
}

// Deadline is when Step wants TimerFired; zero means never.
func (m *Machine) Deadline() time.Time { return time.Time{} }

// State describes the machine.
func (m *Machine) State() ike.Snapshot {
	return ike.Snapshot{Version: 2, Initiator: m.cfg.Initiator, Local: m.cfg.Local, Remote: m.cfg.Remote}
}
