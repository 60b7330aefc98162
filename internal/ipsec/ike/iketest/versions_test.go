package iketest

import (
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/dual"
	"seikan/internal/ipsec/ike/ikev1"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/secret"
)

// machine makes what c describes.
func (c setup) machine() (Machine, error) {
	switch c.speaks {
	case "1":
		return ikev1.New(c.Config)
	case "both":
		return dual.New(c.Config, c.one, c.two)
	}
	return ikev2.New(c.Config, c.shared)
}

func (c setup) one() (ike.Machine, error) { return ikev1.New(c.Config) }
func (c setup) two() (ike.Machine, error) { return ikev2.New(c.Config, c.shared) }

// restored is machine, going on with what IKEv2 kept.
func (c setup) restored(now time.Time, state secret.Secret) (Machine, error) {
	if c.speaks != "both" {
		return ikev2.Restore(c.Config, c.shared, now, state)
	}
	first := true
	return dual.New(c.Config, c.one, func() (ike.Machine, error) {
		if !first {
			return c.two()
		}
		first = false
		return ikev2.Restore(c.Config, c.shared, now, state)
	})
}
