package iketest

import (
	"reflect"
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
	m, err := ikev2.New(c.Config, c.shared)
	return counted{m}, err
}

// counted is a machine of IKEv2 that tells how many SAs it holds.
type counted struct{ *ikev2.Machine }

// Kept looks inside: nobody but tests wants to know.
func (c counted) Kept() (ikes, children int) {
	m := reflect.ValueOf(c.Machine).Elem()
	return m.FieldByName("sas").Len(), m.FieldByName("children").Len()
}

func (c setup) one() (ike.Machine, error) { return ikev1.New(c.Config) }
func (c setup) two() (ike.Machine, error) { return ikev2.New(c.Config, c.shared) }

// restored is machine, going on with what IKEv2 kept.
func (c setup) restored(now time.Time, state secret.Secret) (Machine, error) {
	if c.speaks != "both" {
		m, err := ikev2.Restore(c.Config, c.shared, now, state)
		return counted{m}, err
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
