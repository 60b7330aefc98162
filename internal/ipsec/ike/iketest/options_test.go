package iketest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
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
func setFlag(c *setup, name string) error {
	switch name {
	case "restart":
		c.Restart = true
	case "initiator":
		c.Initiator = true
	case "resume":
		c.Extensions.Resumption = true
	case "tickets": // a process that outlives its machines
		c.Extensions.Resumption = true
		c.shared = &ikev2.Shared{Cookies: ikev2.NewCookies(c.Tuning.Rand), Tickets: ikev2.NewTickets(c.Tuning.Rand)}
	case "cookieresume":
		c.Extensions.Resumption = true
		c.shared = &ikev2.Shared{Cookies: ikev2.NewStrictCookies(c.Tuning.Rand), Tickets: ikev2.NewTickets(c.Tuning.Rand)}
	case "ppkrequired":
		c.Extensions.PPKRequired = true
	case "encap":
		c.ForceEncap = true
	case "roams":
		c.Remote = netip.AddrPort{}
	case "sync":
		c.Extensions.NoMessageIDSync = false
	case "mobike":
		c.Extensions.NoMOBIKE = false
	case "cookie":
		c.shared = &ikev2.Shared{Cookies: ikev2.NewStrictCookies(c.Tuning.Rand)}
	default:
		return fmt.Errorf("no flag %q", name)
	}
	return nil
}

// setTime sets a duration.
func setTime(c *policy.Config, field, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return err
	}
	switch field {
	case "ikelife":
		c.Lifetime.IKE = d
	case "childlife":
		c.Lifetime.Child = d
	case "margin":
		c.Lifetime.Margin = d
	case "dpd":
		c.Liveness.Interval = d
	case "dpdtimeout":
		c.Liveness.Timeout = d
	default:
		return fmt.Errorf("no field %q", field)
	}
	return nil
}
