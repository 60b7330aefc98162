package awsconfig

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"seikan/internal/secret"
)

// The lines of the text that count. Around them stands prose, in which nothing
// depends on a word.
var (
	tunnelLine  = regexp.MustCompile(`(?i)^\s*IPSec Tunnel #(\d+)\s*$`)
	sectionLine = regexp.MustCompile(`^\s*#([1-9]): `)
	groupLine   = regexp.MustCompile(`(?i)^\s*(Outside|Inside) IP Addresses\s*:?\s*$`)
	fieldLine   = regexp.MustCompile(`^\s*- ([A-Za-z][A-Za-z0-9 '-]*?)\s*:(?:\s*:)?\s*(.*?)\s*$`)
	idLine      = regexp.MustCompile(`^\s*Your (VPN Connection|Virtual Private Gateway|Transit Gateway|Customer Gateway) ID\s*: *(\S*)\s*$`)
)

// isText recognises the text by lines that other vendors' files have only
// behind a comment mark.
func isText(b []byte) bool {
	tunnel, key := false, false
	for line := range bytes.Lines(b) {
		tunnel = tunnel || tunnelLine.Match(line)
		key = key || bytes.HasPrefix(bytes.TrimSpace(line), []byte("- Pre-Shared Key "))
	}
	return tunnel && key
}

// A field is one value of the text, or the place where it should stand.
type field struct {
	value string
	line  int
}

// A part is one tunnel of the text: fields by section and label, such as
// "1 Pre-Shared Key" and "3 Inside Customer Gateway".
type part struct {
	line   int
	fields map[string]field
}

// document is the text taken apart.
type document struct {
	ids     map[string]field
	tunnels []part
}

func takeApart(b []byte) (document, error) {
	d := document{ids: map[string]field{}}
	section, group, number := "", "", 0
	for line := range strings.Lines(string(b)) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if m := idLine.FindStringSubmatch(line); m != nil && len(d.tunnels) == 0 {
			d.ids[m[1]] = field{m[2], number}
			continue
		}
		if m := tunnelLine.FindStringSubmatch(line); m != nil {
			if want := fmt.Sprint(len(d.tunnels) + 1); m[1] != want || len(d.tunnels) == 2 {
				return d, fmt.Errorf("line %d: IPSec Tunnel #%s: tunnels 1 and 2 are expected, in this order; %s", number, m[1], again)
			}
			d.tunnels = append(d.tunnels, part{line: number, fields: map[string]field{}})
			section, group = "", ""
			continue
		}
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section, group = m[1], ""
			continue
		}
		if m := groupLine.FindStringSubmatch(line); m != nil {
			group = m[1] + " "
			continue
		}
		m := fieldLine.FindStringSubmatch(line)
		if m == nil || len(d.tunnels) == 0 || section == "" {
			continue
		}
		// Some labels have two spaces in the middle.
		label := section + " " + group + strings.Join(strings.Fields(m[1]), " ")
		t := d.tunnels[len(d.tunnels)-1]
		if _, twice := t.fields[label]; twice {
			return d, fmt.Errorf("line %d: IPSec Tunnel #%d, section %s: %s stands there twice; %s", number, len(d.tunnels), section, clip(label[2:]), again)
		}
		t.fields[label] = field{m[2], number}
	}
	return d, nil
}

// A textReader takes values out of one tunnel of the text. Its first failure
// sticks.
type textReader struct {
	tunnel int
	part
	err error
}

func (r *textReader) fail(label string, f field, err error) {
	if r.err != nil || err == nil {
		return
	}
	line := f.line
	if line == 0 {
		line = r.line
	}
	r.err = fmt.Errorf("line %d: IPSec Tunnel #%d, section #%s: %s: %w", line, r.tunnel, label[:1], label[2:], err)
}

// need is a field that must be there, by one of its labels.
func (r *textReader) need(labels ...string) (string, field) {
	for _, label := range labels {
		if f, ok := r.fields[label]; ok && f.value != "" {
			return label, f
		}
	}
	r.fail(labels[0], r.fields[labels[0]], fmt.Errorf("missing; the file is not whole: %s", again))
	return labels[0], field{}
}

func (r *textReader) addr(labels ...string) netip.Addr {
	label, f := r.need(labels...)
	if r.err != nil {
		return netip.Addr{}
	}
	a, err := parseAddr(f.value)
	r.fail(label, f, err)
	return a
}

func (r *textReader) inside(labels ...string) netip.Prefix {
	label, f := r.need(labels...)
	if r.err != nil {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(f.value)
	if err != nil {
		r.fail(label, f, fmt.Errorf("%s is no address with a length, such as 169.254.10.2/30; %s", clip(f.value), again))
	}
	return p
}

// number is a whole number, perhaps with a unit behind it; 0 when it is not
// there.
func (r *textReader) number(label, unit string, least, most int64) int64 {
	f, ok := r.fields[label]
	if !ok || r.err != nil {
		return 0
	}
	v, err := parseNumber(strings.TrimSpace(strings.TrimSuffix(f.value, unit)), least, most)
	r.fail(label, f, err)
	return v
}

func (r *textReader) seconds(label string, least, most int64) time.Duration {
	return time.Duration(r.number(label, "seconds", least, most)) * time.Second
}

// only refuses a field that is there and says something else.
func (r *textReader) only(label, want string) {
	if f, ok := r.fields[label]; ok && !strings.EqualFold(f.value, want) {
		r.fail(label, f, fmt.Errorf("%s is not known here; it is %s. Write a file after `seikan gateway example`", clip(f.value), want))
	}
}

func (r *textReader) phase(section string) Phase {
	p := Phase{
		Encryption: r.fields[section+" Encryption Algorithm"].value,
		Integrity:  r.fields[section+" Authentication Algorithm"].value,
		Lifetime:   r.seconds(section+" Lifetime", 60, 86400),
	}
	for _, label := range []string{section + " Diffie-Hellman", section + " Perfect Forward Secrecy"} {
		if f, ok := r.fields[label]; ok {
			v, err := parseNumber(strings.TrimPrefix(strings.TrimPrefix(f.value, "Diffie-Hellman "), "Group "), 1, 65535)
			r.fail(label, f, err)
			p.Group = int(v)
		}
	}
	return p
}

func parseText(b []byte) (Connection, error) {
	d, err := takeApart(b)
	if err != nil {
		return Connection{}, err
	}
	c := Connection{Format: Text, ID: d.ids["VPN Connection"].value, CustomerGatewayID: d.ids["Customer Gateway"].value}
	if id := d.ids["VPN Connection"]; !isIdentifier(id.value, "vpn-") {
		return c, fmt.Errorf("line %d: Your VPN Connection ID: %s is no name such as vpn-0123456789abcdef0; %s", max(1, id.line), clip(id.value), again)
	}
	for _, label := range []string{"Transit Gateway", "Virtual Private Gateway"} {
		if id := d.ids[label].value; id != "" {
			c.GatewayID = id
		}
	}
	if len(d.tunnels) != len(c.Tunnels) {
		return c, fmt.Errorf("%d tunnels begin with a line such as IPSec Tunnel #1; a connection has two: %s", len(d.tunnels), again)
	}
	c.Static = !d.tunnels[0].speaksBGP() && !d.tunnels[1].speaksBGP()
	for i, p := range d.tunnels {
		r := &textReader{tunnel: i + 1, part: p}
		c.Tunnels[i] = r.read(c.Static)
		if r.err != nil {
			return Connection{}, r.err
		}
	}
	return c, c.check(func(i int) string { return fmt.Sprintf("line %d: IPSec Tunnel #%d", d.tunnels[i].line, i+1) })
}

// AWS's end goes by the kind of gateway.
const (
	vgw = "Virtual Private Gateway"
	tgw = "Transit Gateway"
)

func (p part) speaksBGP() bool {
	_, ok := p.fields["4 Next hop"]
	return !ok
}

func (r *textReader) read(static bool) Tunnel {
	r.only("1 Authentication Method", "Pre-Shared Key")
	r.only("1 Phase 1 Negotiation Mode", "main")
	r.only("2 Protocol", "esp")
	r.only("2 Mode", "tunnel")
	t := Tunnel{
		Stated:   Stated{IKE: r.phase("1"), ESP: r.phase("2")},
		DPD:      DPD{Interval: r.seconds("2 DPD Interval", 1, 3600), Retries: int(r.number("2 DPD Retries", "", 1, 100))},
		MSS:      int(r.number("2 TCP MSS Adjustment", "bytes", 500, 9000)),
		Customer: End{Outside: r.addr("3 Outside Customer Gateway"), Inside: r.inside("3 Inside Customer Gateway")},
		AWS:      End{Outside: r.addr("3 Outside "+vgw, "3 Outside "+tgw), Inside: r.inside("3 Inside "+vgw, "3 Inside "+tgw)},
	}
	label, f := r.need("1 Pre-Shared Key")
	if wrong := pskRule(f.value); wrong != "" {
		r.fail(label, f, errors.New(wrong))
	}
	t.PSK = secret.FromString(f.value)
	if static {
		label, f = r.need("4 Next hop")
	} else {
		t.Customer.ASN, t.AWS.ASN = r.asn("4 Customer Gateway ASN"), r.asn("4 "+vgw+" ASN", "4 "+tgw+" ASN")
		_, _ = r.need("4 Neighbor Hold Time")
		t.HoldTime = r.seconds("4 Neighbor Hold Time", 3, 65535)
		label, f = r.need("4 Neighbor IP Address")
	}
	if r.err == nil && f.value != t.AWS.Inside.Addr().String() {
		r.fail(label, f, fmt.Errorf("%s is not AWS's inside address, %v; %s", clip(f.value), t.AWS.Inside.Addr(), again))
	}
	return t
}

func (r *textReader) asn(labels ...string) uint32 {
	label, _ := r.need(labels...)
	return uint32(r.number(label, "", 1, 1<<32-1))
}
