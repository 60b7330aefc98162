// Package awsconfig reads what AWS lets a customer download of a VPN
// connection: the XML that it calls CustomerGatewayConfiguration, the text for
// generic devices, and the JSON of `aws ec2 describe-vpn-connections`.
//
// The result is one plain value that holds what the file says. What it does not
// say stays unknown: above all, the algorithms of XML and text are those of a
// template, whatever the connection allows (vpn §1.10, §7.3). A file that is
// not whole, or that contradicts itself, is refused with the line, the element,
// the value, the rule and the cure. Pre-shared keys are in no error.
//
// Input is taken for hostile: its size and depth are bounded, and there are no
// entities. The package opens no file and decides nothing; package intake makes
// a gateway's configuration of the value.
package awsconfig

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"seikan/internal/secret"
)

// MaxSize bounds a file. One connection needs 6 KB of XML, and the JSON of an
// account may hold all that a Region allows.
const MaxSize = 4 << 20

// A Format is a kind of file, as people call it.
type Format string

// What Recognise tells apart. Other is everything that is not AWS's.
const (
	XML   Format = "AWS's XML"
	Text  Format = "AWS's text for generic devices"
	JSON  Format = "AWS's JSON"
	Other Format = "no file of AWS's"
)

// A Connection is one VPN connection as the customer's end sees it.
type Connection struct {
	Format Format // where it is from
	ID     string // vpn-…
	// CustomerGatewayID is cgw-…, GatewayID the virtual private or transit
	// gateway; either may be empty.
	CustomerGatewayID, GatewayID string
	Static                       bool // no BGP: routes are configured at both ends
	// Tunnels are in the order of AWS's outside addresses: the order in the
	// files is not stable (vpn §1.10).
	Tunnels [2]Tunnel
	// Options are those of the connection; nil when the file does not say.
	Options *Options
}

// A Tunnel is one of the two.
type Tunnel struct {
	Customer, AWS End
	PSK           secret.Secret
	HoldTime      time.Duration // BGP's; 0 when static
	// Stated are the algorithms that XML and text print. They are a
	// template's, not the connection's.
	Stated Stated
	DPD    DPD
	MSS    int // octets; 0 when not said
	// Options are the tunnel's own; nil when the file does not say.
	Options *TunnelOptions
}

// An End is one gateway as one tunnel knows it.
type End struct {
	Outside netip.Addr   // not valid of a customer gateway that may have any, by its certificate
	Inside  netip.Prefix // the address itself, with the length of the tunnel's /30
	ASN     uint32       // 0 when static
}

// Stated is what XML and text print for the two phases.
type Stated struct {
	IKE, ESP Phase
}

// A Phase is in the words of the file, such as aes-128-cbc and hmac-sha1-96.
type Phase struct {
	Encryption, Integrity string
	Group                 int           // of Diffie-Hellman; 0 when not said
	Lifetime              time.Duration // 0 when not said
}

// DPD says when the customer's end should probe, and give up. Zero: not said.
type DPD struct {
	Interval time.Duration
	Retries  int
}

// Options are a connection's, from JSON.
type Options struct {
	Accelerated   bool         // NAT traversal is mandatory (vpn §3.1)
	InsideIPv6    bool         // the tunnels carry IPv6
	Local, Remote netip.Prefix // selectors: the customer's side and AWS's; zero means everything
	// Routes are the static ones of the connection: networks of the customer's
	// that AWS sends here.
	Routes []netip.Prefix
}

// TunnelOptions are a tunnel's, from JSON. A list that is empty, and a number
// that is 0, stand for AWS's default.
type TunnelOptions struct {
	Phase1, Phase2 Allowed
	IKEVersions    []int
	RekeyMargin    time.Duration
	RekeyFuzz      *int         // percent
	ReplayWindow   int          // packets
	InsideIPv6     netip.Prefix // the /126 of a tunnel that carries IPv6
	AWSStarts      bool         // StartupAction is start
}

// Allowed is what AWS takes in one phase, in the words of its API, such as
// AES256-GCM-16 and SHA2-256.
type Allowed struct {
	Encryption, Integrity []string
	Groups                []int
	Lifetime              time.Duration
}

// Parse reads a file of any of the three formats. With id it takes the
// connection of that name, and refuses a file without it; JSON that holds
// several that live needs it.
func Parse(b []byte, id string) (Connection, error) {
	b, format, err := Recognise(b)
	if err != nil {
		return Connection{}, err
	}
	var c Connection
	switch format {
	case XML:
		c, err = parseXML(b)
	case JSON:
		c, err = parseJSON(b, id)
	case Text:
		c, err = parseText(b)
	default:
		err = errors.New("this is no file of AWS's; " + cure)
	}
	if err == nil && id != "" && c.ID != id {
		err = fmt.Errorf("the file is of connection %s, not of %s", clip(c.ID), clip(id))
	}
	if err != nil {
		return Connection{}, err
	}
	return c, nil
}

// cure is how to get a file that Parse reads.
const cure = "download the connection's configuration with Vendor: Generic, or save what `aws ec2 describe-vpn-connections` prints"

// again is the cure for files that were damaged on the way.
const again = "download the configuration again"

// Recognise tells what b is, by its content, and returns it as UTF-8 without a
// byte order mark. A configuration for another vendor's device is an error that
// names the vendor.
func Recognise(b []byte) ([]byte, Format, error) {
	if len(b) > MaxSize {
		return nil, Other, fmt.Errorf("larger than %d bytes", MaxSize)
	}
	b, err := inUTF8(b)
	if err != nil {
		return nil, Other, err
	}
	switch trimmed := bytes.TrimSpace(b); {
	case len(trimmed) == 0:
		return b, Other, nil
	case trimmed[0] == '<':
		return b, XML, nil
	case trimmed[0] == '{' || trimmed[0] == '[' && vendorOf(b) == "":
		return b, JSON, nil
	case isText(b):
		return b, Text, nil
	}
	if vendor := vendorOf(b); vendor != "" {
		return b, Other, fmt.Errorf("this is a %s configuration; %s", vendor, cure)
	}
	return b, Other, nil
}

// inUTF8 takes byte order marks away, and undoes what `>` of Windows PowerShell
// does to a program's output.
func inUTF8(b []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		b = b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	}
	if order != nil {
		units := make([]uint16, 0, len(b)/2)
		for rest := b[2:]; len(rest) >= 2; rest = rest[2:] {
			units = append(units, order.Uint16(rest))
		}
		b = []byte(string(utf16.Decode(units)))
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return nil, errors.New("this is no text in UTF-8; " + again)
	}
	return b, nil
}

// check holds what all formats have in common, once c is filled, and puts the
// tunnels in order. where names a tunnel in the words of the format; i is its
// place in the file.
func (c *Connection) check(where func(i int) string) error {
	for i, t := range c.Tunnels {
		if err := c.checkEnds(t); err != nil {
			return fmt.Errorf("%s: %w", where(i), err)
		}
	}
	one, two := c.Tunnels[0], c.Tunnels[1]
	switch {
	case one.Customer.Inside.Overlaps(two.Customer.Inside):
		return fmt.Errorf("%s: the inside addresses %v overlap those of the first tunnel, %v; each tunnel has a range of its own: change TunnelInsideCidr of one tunnel at AWS", where(1), two.Customer.Inside.Masked(), one.Customer.Inside.Masked())
	case one.AWS.Outside == two.AWS.Outside:
		return fmt.Errorf("%s: AWS's outside address %v is that of the first tunnel too; each tunnel has one of its own: %s", where(1), two.AWS.Outside, again)
	case one.Customer.Outside != two.Customer.Outside:
		return fmt.Errorf("%s: the customer gateway's outside address %v is not that of the first tunnel, %v; a connection has one customer gateway: %s", where(1), two.Customer.Outside, one.Customer.Outside, again)
	case one.Customer.ASN != two.Customer.ASN || one.AWS.ASN != two.AWS.ASN:
		return fmt.Errorf("%s: the ASNs %d and %d are not those of the first tunnel, %d and %d; %s", where(1), two.Customer.ASN, two.AWS.ASN, one.Customer.ASN, one.AWS.ASN, again)
	case !c.Static && one.Customer.ASN == one.AWS.ASN:
		return fmt.Errorf("%s: both ends have ASN %d; BGP with AWS is between different ones: make a customer gateway with another ASN", where(0), one.AWS.ASN)
	}
	if one.AWS.Outside.Compare(two.AWS.Outside) > 0 {
		c.Tunnels[0], c.Tunnels[1] = two, one
	}
	return nil
}

// checkEnds holds the rules of one tunnel's addresses (vpn §2.1, §2.2).
func (c *Connection) checkEnds(t Tunnel) error {
	ours, theirs := t.Customer.Inside, t.AWS.Inside
	bits, whole := 30, netip.MustParsePrefix("169.254.0.0/16")
	if ours.Addr().Is6() {
		bits, whole = 126, netip.MustParsePrefix("fd00::/8")
	}
	first := ours.Masked().Addr().Next()
	switch {
	case ours.Bits() != bits || ours.Masked() != theirs.Masked() || !whole.Contains(ours.Addr()):
		return fmt.Errorf("the inside addresses %v and %v are not in one /%d of %v; %s", ours, theirs, bits, whole, again)
	case ours.Addr() == first && theirs.Addr() == first.Next():
		return fmt.Errorf("the inside addresses are swapped: %v is AWS's and %v the customer's; %s", first, first.Next(), again)
	case theirs.Addr() != first || ours.Addr() != first.Next():
		return fmt.Errorf("the inside addresses %v and %v are not the second and the first of %v; %s", ours, theirs, ours.Masked(), again)
	case slices.Contains(reserved(), ours.Masked().String()):
		return fmt.Errorf("the inside range %v is reserved; give the tunnel another TunnelInsideCidr at AWS", ours.Masked())
	case t.Customer.Outside.IsValid() && t.Customer.Outside.Is4() != t.AWS.Outside.Is4():
		return fmt.Errorf("the outside addresses %v and %v are of different families; %s", t.Customer.Outside, t.AWS.Outside, again)
	case t.Customer.Outside == t.AWS.Outside:
		return fmt.Errorf("the outside address %v is that of both ends; %s", t.AWS.Outside, again)
	}
	return nil
}

// reserved are the ranges that no tunnel may have (vpn §2.1).
func reserved() []string {
	return []string{"169.254.0.0/30", "169.254.1.0/30", "169.254.2.0/30", "169.254.3.0/30", "169.254.4.0/30", "169.254.5.0/30", "169.254.169.252/30"}
}

// pskRule says what is wrong with a pre-shared key without showing it, or
// nothing (vpn §2.1).
func pskRule(key string) string {
	const rule = "a key has 8 to 64 of A–Z a–z 0–9 . _ and does not start with 0"
	const as = ": set one at AWS, and " + again
	bad := strings.IndexFunc(key, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_')
	})
	switch {
	case key == "":
		return "empty; a connection that authenticates by certificate has no key, and its certificates are in no file of AWS's: " +
			"write a file after `seikan gateway example` with this one's addresses and your certificate_file, private_key_file and ca_file; " +
			"where Secrets Manager stores a key, AWS leaves it out: put it here, from `aws secretsmanager get-secret-value`"
	case len(key) < 8 || len(key) > 64:
		return fmt.Sprintf("%d characters; %s%s", utf8.RuneCountInString(key), rule, as)
	case bad >= 0:
		return fmt.Sprintf("character %d is not allowed; %s%s", utf8.RuneCountInString(key[:bad])+1, rule, as)
	case key[0] == '0':
		return "starts with 0; " + rule + as
	}
	return ""
}

// clip quotes a value for an error, not all of it when it is long.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…", string([]rune(s)[:most]))
}
