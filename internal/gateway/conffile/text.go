package conffile

import (
	"fmt"
	"net/netip"
	"time"

	"go.yaml.in/yaml/v3"
)

// text is a scalar that remembers its line, for errors.
type text struct {
	value string
	line  int
	bare  bool // to be written without quotes
}

// UnmarshalYAML keeps the scalar and where it stands.
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: a single value is expected here", n.Line)
	}
	t.value, t.line = n.Value, n.Line
	return nil
}

func (t text) errorf(field, format string, args ...any) error {
	where := ""
	if t.line > 0 {
		where = fmt.Sprintf("line %d: ", t.line)
	}
	return fmt.Errorf("%s%s: %s", where, field, fmt.Sprintf(format, args...))
}

func prefixes(list []text) (out []netip.Prefix, err error) {
	for _, s := range list {
		p, err := s.prefix("routes")
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (t text) prefix(field string) (netip.Prefix, error) {
	if t.value == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(t.value)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, t.errorf(field, "%q is not a prefix such as 10.0.0.0/16 or 2001:db8:1::/48", t.value)
	}
	return p.Masked(), nil
}

func (t text) addr(field string, required bool) (netip.Addr, error) {
	if t.value == "" {
		if required {
			return netip.Addr{}, fmt.Errorf("%s: missing; it is the peer's public address, or any for a peer with a certificate that may come from anywhere", field)
		}
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(t.value)
	if err != nil || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, t.errorf(field, "%q is not an IP address", t.value)
	}
	return a, nil
}

// duration reads a duration; none is 0.
func (t text) duration(field string) (time.Duration, error) {
	if t.value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(t.value)
	if err != nil || d <= 0 {
		return 0, t.errorf(field, "%q is not a duration such as 8h, 30s or 300ms", t.value)
	}
	return d, nil
}
