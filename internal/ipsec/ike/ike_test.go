package ike

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestIdentitiesAreParsedAndPrinted(t *testing.T) {
	for _, c := range []struct {
		text string
		kind IDType
		data string
		back string
	}{
		{"203.0.113.1", IDIPv4, "\xcb\x00\x71\x01", "203.0.113.1"},
		{"2001:db8::1", IDIPv6, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "2001:db8::1"},
		{"@cgw.example", IDFQDN, "cgw.example", "@cgw.example"},
		{"cgw.example", IDFQDN, "cgw.example", "@cgw.example"},
		{"user@host", IDRFC822, "user@host", "user@host"},
		{"keyid:tunnel-1", IDKeyID, "tunnel-1", "keyid:tunnel-1"},
	} {
		id, err := ParseIdentity(c.text)
		if err != nil || id.Type != c.kind || id.Data != c.data {
			t.Errorf("%q: got %d %q, %v, want %d %q", c.text, id.Type, id.Data, err, c.kind, c.data)
		}
		if got := id.String(); got != c.back {
			t.Errorf("%q: printed as %q, want %q", c.text, got, c.back)
		}
	}
	for _, bad := range []string{"", "@", "a b", "a\nb", "fe80::1%eth0 "} {
		if id, err := ParseIdentity(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, id)
		}
	}
}

func TestPeersCannotWriteControlCharactersIntoLogs(t *testing.T) {
	for _, id := range []Identity{
		{IDFQDN, "a\nb"}, {IDRFC822, "\x1b[2J"}, {IDKeyID, "\x00"}, {IDIPv4, "abc"}, {IDDN, "0\n"}, {77, "x\r"}, {IDIPv6, "abcd"},
	} {
		got := id.String()
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || got == "" {
			t.Errorf("%d %q: got %q", id.Type, id.Data, got)
		}
	}
	if got := (Identity{}).String(); got != "%any" {
		t.Errorf("zero: got %q, want %%any", got)
	}
}

func TestSelectorsPrintAsPrefixOrRange(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		s    Selector
		want string
	}{
		{FromPrefix(netip.MustParsePrefix("0.0.0.0/0")), "0.0.0.0/0"},
		{FromPrefix(netip.MustParsePrefix("10.1.2.3/16")), "10.1.0.0/16"},
		{FromPrefix(netip.MustParsePrefix("::/0")), "::/0"},
		{FromPrefix(netip.MustParsePrefix("192.0.2.1/32")), "192.0.2.1/32"},
		{Selector{EndPort: 65535, Start: a("10.0.0.1"), End: a("10.0.0.9")}, "10.0.0.1-10.0.0.9"},
		{Selector{Protocol: 6, StartPort: 80, EndPort: 443, Start: a("10.0.0.0"), End: a("10.255.255.255")}, "10.0.0.0/8[6/80-443]"},
	} {
		if got := c.s.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestSelectorsIntersect(t *testing.T) {
	p := func(s string) Selector { return FromPrefix(netip.MustParsePrefix(s)) }
	tcp := p("10.0.0.0/8")
	tcp.Protocol, tcp.StartPort, tcp.EndPort = 6, 100, 200
	udp := p("10.0.0.0/8")
	udp.Protocol = 17
	low := p("10.0.0.0/8")
	low.StartPort, low.EndPort = 0, 99
	for _, c := range []struct {
		name string
		a, b Selector
		want string
	}{
		{"inner", p("10.0.0.0/8"), p("10.1.0.0/16"), "10.1.0.0/16"},
		{"apart", p("10.0.0.0/8"), p("11.0.0.0/8"), ""},
		{"families", p("0.0.0.0/0"), p("::/0"), ""},
		{"protocol", p("10.0.0.0/8"), tcp, "10.0.0.0/8[6/100-200]"},
		{"protocols apart", udp, tcp, ""},
		{"ports apart", low, tcp, ""},
		{"zero", Selector{}, p("10.0.0.0/8"), ""},
	} {
		for _, pair := range [][2]Selector{{c.a, c.b}, {c.b, c.a}} {
			got, ok := pair[0].Intersect(pair[1])
			if ok != (c.want != "") || (ok && got.String() != c.want) {
				t.Errorf("%s: got %v, %v, want %q", c.name, got, ok, c.want)
			}
		}
	}
	if !p("10.0.0.0/8").Contains(p("10.1.0.0/16")) || p("10.1.0.0/16").Contains(p("10.0.0.0/8")) {
		t.Error("Contains: want the wider to contain the narrower only")
	}
}

func TestHeaderMustKnowItsLength(t *testing.T) {
	h := Header{SPIi: 1, SPIr: 2, Next: 33, Version: 0x20, Exchange: 34, Flags: FlagInitiator, MessageID: 9}
	b := append(h.Append(nil, 30), 7, 8)
	got, body, err := ParseHeader(b)
	if err != nil || got != h || !bytes.Equal(body, []byte{7, 8}) {
		t.Errorf("got %+v %x %v, want %+v 0708", got, body, err, h)
	}
	if _, _, err := ParseHeader(b[:29]); !errors.Is(err, ErrLength) {
		t.Errorf("one octet less: got %v, want %v", err, ErrLength)
	}
	if _, _, err := ParseHeader(append(b, 0)); !errors.Is(err, ErrLength) {
		t.Errorf("one octet more: got %v, want %v", err, ErrLength)
	}
	if _, _, err := ParseHeader(b[:27]); !errors.Is(err, ErrShort) {
		t.Errorf("27 octets: got %v, want %v", err, ErrShort)
	}
	if got := h.Major(); got != 2 {
		t.Errorf("major: got %d, want 2", got)
	}
}

func TestGenericPayloadStaysWithinTheMessage(t *testing.T) {
	b, at := BeginGeneric(nil, 41, true)
	b = EndGeneric(append(b, 1, 2, 3), at)
	p, rest, err := ParseGeneric(append(b, 9))
	if err != nil || p.Next != 41 || !p.Critical || !bytes.Equal(p.Body, []byte{1, 2, 3}) || !bytes.Equal(rest, []byte{9}) {
		t.Errorf("got %+v, %x, %v", p, rest, err)
	}
	for _, bad := range [][]byte{{}, {0, 0, 0}, {0, 0, 0, 3}, {0, 0, 0, 5}} {
		if _, _, err := ParseGeneric(bad); err == nil {
			t.Errorf("%x: got no error", bad)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(Header{SPIi: 1, Version: 0x20}.Append(nil, HeaderLen))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, body, err := ParseHeader(in)
		if err != nil {
			return
		}
		if out := append(h.Append(nil, len(in)), body...); !bytes.Equal(out, in) {
			t.Fatalf("got %x, want %x", out, in)
		}
		for p, rest, err := ParseGeneric(body); err == nil; p, rest, err = ParseGeneric(rest) {
			if len(p.Body)+genericLen+len(rest) > len(body) {
				t.Fatalf("payload reaches out of %x", body)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add("@cgw.example")
	f.Add("user@host")
	f.Add("::ffff:1.2.3.4")
	f.Add("C=XX, O=Org\\, Ltd, CN=a\\0Ab+OU=\\ x, 1.2.3.4=y")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseIdentity(text)
		if err != nil {
			return
		}
		again, err := ParseIdentity(id.String())
		if id.Type == IDDN && (err != nil || !again.Matches(id)) {
			t.Fatalf("%q prints as %q: got %x, %v, want %x", text, id, again.Data, err, id.Data)
		}
		if printable(id.Data) && id.Type != IDIPv4 && id.Type != IDIPv6 && (err != nil || again != id) {
			t.Fatalf("%q is %+v, which prints as %q: got %+v, %v", text, id, id, again, err)
		}
	})
}
