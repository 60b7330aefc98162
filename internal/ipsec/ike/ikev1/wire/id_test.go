package wire

import (
	"errors"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/ike"
)

func TestTrafficIsAnIdentity(t *testing.T) {
	prefix := func(text string) ike.Selector { return ike.FromPrefix(netip.MustParsePrefix(text)) }
	web := prefix("192.0.2.1/32")
	web.Protocol, web.StartPort, web.EndPort = 6, 443, 443
	span := ike.Selector{EndPort: 65535, Start: netip.MustParseAddr("10.0.0.1"), End: netip.MustParseAddr("10.0.0.9")}
	span6 := ike.Selector{EndPort: 65535, Start: netip.MustParseAddr("fd00::1"), End: netip.MustParseAddr("fd00::9")}
	for _, c := range []struct {
		s    ike.Selector
		want string
	}{
		{prefix("0.0.0.0/0"), "04000000 00000000 00000000"},
		{prefix("10.0.0.0/8"), "04000000 0a000000 ff000000"},
		{web, "010601bb c0000201"},
		{span, "07000000 0a000001 0a000009"},
		{prefix("fd00::1/128"), "05000000 fd000000000000000000000000000001"},
		{prefix("fd00::/9"), "06000000 fd000000000000000000000000000000 ff800000000000000000000000000000"},
		{span6, "08000000 fd000000000000000000000000000001 fd000000000000000000000000000009"},
	} {
		id, err := NewSelectorID(c.s)
		if err != nil {
			t.Fatalf("%v: %v", c.s, err)
		}
		if got, want := string(Body(id)), string(fromHex(t, c.want)); got != want {
			t.Errorf("%v: got %x, want %x", c.s, got, want)
		}
		if back, err := id.Selector(); err != nil || back != c.s {
			t.Errorf("got %v, %v, want %v", back, err, c.s)
		}
	}
}

func TestWhatIKEv1CannotSayIsAnError(t *testing.T) {
	ports := ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))
	ports.StartPort, ports.EndPort = 80, 90
	zero := ports
	zero.StartPort, zero.EndPort = 0, 0
	for _, s := range []ike.Selector{ports, zero, {}} {
		if id, err := NewSelectorID(s); err == nil {
			t.Errorf("%v: got %+v, want an error", s, id)
		}
	}
}

func TestIdentitiesThatAreNoTrafficAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		id   ike.Identity
		want error
	}{
		{"a name", ike.Identity{Type: ike.IDFQDN, Data: "a.example"}, ErrMalformed},
		{"an address of 3 octets", ike.Identity{Type: ike.IDIPv4, Data: "abc"}, ike.ErrLength},
		{"a subnet without its mask", ike.Identity{Type: idIPv4Subnet, Data: "abcd"}, ike.ErrLength},
		{"a mask with holes", ike.Identity{Type: idIPv4Subnet, Data: "\x0a\x00\x00\x00\xff\x00\xff\x00"}, ErrMalformed},
		{"a range that ends early", ike.Identity{Type: idIPv4Range, Data: "\x0a\x00\x00\x02\x0a\x00\x00\x01"}, ErrMalformed},
		{"an IPv6 address of 4 octets", ike.Identity{Type: ike.IDIPv6, Data: "abcd"}, ike.ErrLength},
	} {
		if s, err := NewID(c.id).Selector(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.name, s, err, c.want)
		}
	}
}
