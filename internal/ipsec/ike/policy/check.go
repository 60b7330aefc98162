package policy

import (
	"errors"
	"fmt"
	"time"
)

// Check reports the first rule that c, with its defaults, breaks. The error
// names the field.
func (c Config) Check() error {
	switch {
	case !c.Local.Addr().IsValid():
		return errors.New("field Local: an address and port are needed")
	case c.Initiator && (!c.Remote.IsValid() || c.Remote.Port() == 0):
		return fmt.Errorf("field Remote: %v: an initiator needs the peer's address and port", c.Remote)
	case !c.Auth.Signs() && c.Auth.PSK.IsZero():
		return errors.New("field Auth.PSK: empty; both ends need the same pre-shared key, or certificates")
	case c.Auth.Signs() && c.Auth.Trust == nil:
		return errors.New("field Auth.Trust: empty; with certificates, say whose certificates are accepted of the peer")
	case len(c.IKE) == 0:
		return errors.New("field IKE: no algorithms; give at least one suite")
	case len(c.ESP) == 0:
		return errors.New("field ESP: no algorithms; give at least one suite")
	case c.Lifetime.Fuzz < 0 || c.Lifetime.Fuzz > 100:
		return fmt.Errorf("field Lifetime.Fuzz, RekeyFuzz: %d: want 0 to 100 percent", c.Lifetime.Fuzz)
	case c.Liveness.Action > Restart:
		return fmt.Errorf("field Liveness.Action: %d: want clear, none or restart", c.Liveness.Action)
	}
	if c.Auth.Signs() {
		if err := c.Auth.Credential.Owns(c.LocalID); err != nil {
			return fmt.Errorf("field LocalID: %v is not in our certificate, so no peer would believe it: %w", c.LocalID, err)
		}
	}
	if err := c.Extensions.check(); err != nil {
		return err
	}
	for i, s := range c.IKE {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("field IKE[%d]: %w", i, err)
		}
	}
	for i, s := range c.ESP {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("field ESP[%d]: %w", i, err)
		}
	}
	return c.checkTimes()
}

func (e Extensions) check() error {
	switch {
	case e.FragmentSize != -1 && (e.FragmentSize < 576 || e.FragmentSize > 65535):
		return fmt.Errorf("field Extensions.FragmentSize: %d: want 576 to 65535 octets, 0 for 1280, or -1 for none", e.FragmentSize)
	case e.PPK.IsZero() != (e.PPKID == ""):
		return errors.New("field Extensions.PPK: a post-quantum pre-shared key and its PPKID come together")
	case e.PPKRequired && e.PPK.IsZero():
		return errors.New("field Extensions.PPKRequired: set without a PPK")
	}
	return nil
}

func (c Config) checkTimes() error {
	lead := c.Lifetime.Margin + c.Lifetime.Margin*time.Duration(c.Lifetime.Fuzz)/100
	for _, l := range []struct {
		field string
		value time.Duration
	}{{"Lifetime.IKE", c.Lifetime.IKE}, {"Lifetime.Child", c.Lifetime.Child}} {
		if l.value <= lead {
			return fmt.Errorf("field %s: %v: must be above Lifetime.Margin and its fuzz, %v; lower one of those", l.field, l.value, lead)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Lifetime.Margin", c.Lifetime.Margin}, {"Liveness.Interval", c.Liveness.Interval}, {"Liveness.Timeout", c.Liveness.Timeout},
		{"NATKeepalive", c.NATKeepalive}, {"Tuning.RetransmitFirst", c.Tuning.RetransmitFirst}, {"Tuning.RetransmitMax", c.Tuning.RetransmitMax},
		{"Tuning.RetransmitTimeout", c.Tuning.RetransmitTimeout}, {"Tuning.RestartMax", c.Tuning.RestartMax},
	} {
		if d.value < 0 {
			return fmt.Errorf("field %s: %v: must not be negative", d.field, d.value)
		}
	}
	return nil
}
