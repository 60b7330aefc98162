package iketest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
)

// prefixes reads "10.0.0.0/8,192.168.0.0/16".
func prefixes(text string) ([]ike.Selector, error) {
	var out []ike.Selector
	for one := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(one)
		if err != nil {
			return nil, err
		}
		out = append(out, ike.FromPrefix(p))
	}
	return out, nil
}

// setFlag sets what is either on or off.
func setFlag(c *ikev2.Config, name string) error {
	switch name {
	case "restart":
		c.Restart = true
	case "initiator":
		c.Initiator = true
	case "encap":
		c.ForceEncap = true
	case "cookie":
		c.Tuning.Cookies = ikev2.NewStrictCookies(c.Tuning.Rand)
	default:
		return fmt.Errorf("no flag %q", name)
	}
	return nil
}

// setTime sets a duration.
func setTime(c *ikev2.Config, field, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return err
	}
	switch field {
	case "ikelife":
		c.IKELifetime = d
	case "childlife":
		c.ChildLifetime = d
	case "margin":
		c.RekeyMargin = d
	case "dpd":
		c.DPDInterval = d
	case "dpdtimeout":
		c.DPDTimeout = d
	default:
		return fmt.Errorf("no field %q", field)
	}
	return nil
}
