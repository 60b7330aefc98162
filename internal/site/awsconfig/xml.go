package awsconfig

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"seikan/internal/secret"
)

// xmlTree reads a document of elements and text: no document type, so no
// entities but XML's own five, and UTF-8 only.
func xmlTree(b []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(b))
	dec.CharsetReader = func(charset string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("encoding %s: UTF-8 is wanted", clip(charset))
	}
	var root *node
	var open []*node
	count := 0
	for {
		tok, err := dec.RawToken()
		line, _ := dec.InputPos()
		if errors.Is(err, io.EOF) && root != nil && len(open) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, xmlError(err, line, open)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if count++; count > maxNodes || len(open) == maxDepth {
				return nil, fmt.Errorf("line %d: %w", line, bounded(count))
			}
			n := &node{name: tok.Name.Local, line: line}
			switch {
			case len(open) > 0:
				open[len(open)-1].add(n)
			case root != nil:
				return nil, fmt.Errorf("line %d: a second document begins here; a file holds one connection", line)
			default:
				root = n
				for _, a := range tok.Attr {
					n.add(&node{name: "@" + a.Name.Local, line: line, text: a.Value})
				}
			}
			open = append(open, n)
		case xml.EndElement:
			// RawToken, unlike Token, does not match ends with beginnings.
			if len(open) == 0 || open[len(open)-1].name != tok.Name.Local {
				return nil, fmt.Errorf("line %d: %s ends what did not begin; %s", line, clip("</"+tok.Name.Local+">"), again)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			s := strings.TrimSpace(string(tok))
			switch {
			case len(open) > 0:
				open[len(open)-1].text += s
			case s != "":
				return nil, fmt.Errorf("line %d: text outside of the document; %s", line, again)
			}
		case xml.Directive:
			return nil, fmt.Errorf("line %d: a document type or another directive; AWS writes none: %s", line, again)
		}
	}
}

func bounded(count int) error {
	if count > maxNodes {
		return errNodes
	}
	return errDepth
}

// xmlError says where the document breaks off; the parser's own words could
// hold what stands there.
func xmlError(err error, line int, open []*node) error {
	in := "before the first element"
	if len(open) > 0 {
		in = "within " + clip(open[len(open)-1].path("/"))
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok && strings.HasPrefix(syntax.Msg, "unexpected EOF") || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("line %d: the file ends %s; it is not whole: %s", line, in, again)
	}
	return fmt.Errorf("line %d: no well-formed XML %s; %s", line, in, again)
}

func parseXML(b []byte) (Connection, error) {
	root, err := xmlTree(b)
	if err != nil {
		return Connection{}, err
	}
	if root.name != "vpn_connection" {
		return Connection{}, fmt.Errorf("line %d: %s", root.line, notAConnection(root))
	}
	return xmlConnection(root, [2]keys{})
}

// notAConnection says what else the document is.
func notAConnection(root *node) string {
	switch root.name {
	case "pfsense", "opnsense":
		return "this is a pfSense or OPNsense configuration; " + cure
	case "config":
		return "this is a Palo Alto configuration; " + cure
	case "DescribeVpnConnectionsResponse", "CreateVpnConnectionResponse":
		return "this is the EC2 API's own answer; " + cure
	}
	return fmt.Sprintf("the document is a %s, not a vpn_connection; %s", clip(root.name), cure)
}

// keys are what JSON knows of a tunnel that XML may lack.
type keys struct {
	outside netip.Addr
	psk     *node
}

// xmlConnection reads a vpn_connection; known are keys from elsewhere.
func xmlConnection(root *node, known [2]keys) (Connection, error) {
	r := &reader{sep: "/"}
	c := Connection{Format: XML, ID: r.identifier(r.need(root, "@id"), "vpn-"), GatewayID: r.value(root.child("vpn_gateway_id")), CustomerGatewayID: r.value(root.child("customer_gateway_id"))}
	if c.GatewayID == "" {
		c.GatewayID = r.value(root.child("transit_gateway_id"))
	}
	r.oneOf(root.child("vpn_connection_type"), "ipsec.1")
	var tunnels []*node
	for _, k := range root.kids {
		if k.name == "ipsec_tunnel" {
			tunnels = append(tunnels, k)
		}
	}
	if r.err == nil && len(tunnels) != len(c.Tunnels) {
		r.fail(root, "%d ipsec_tunnel; a connection has two: %s", len(tunnels), again)
	}
	if r.err != nil {
		return Connection{}, r.err
	}
	c.Static = r.oneOf(root.child("vpn_connection_attributes"), "", "NoBGPVPNConnection") != "" || !anyBGP(tunnels)
	for i, n := range tunnels {
		c.Tunnels[i] = r.tunnel(n, c.Static, known)
	}
	if r.err != nil {
		return Connection{}, r.err
	}
	return c, c.check(func(i int) string { return fmt.Sprintf("line %d: %s", tunnels[i].line, tunnels[i].path("/")) })
}

// identifier is AWS's name of a thing.
func (r *reader) identifier(n *node, prefix string) string {
	s := r.value(n)
	if r.err == nil && n != nil && !isIdentifier(s, prefix) {
		r.fail(n, "%s is no name such as %s0123456789abcdef0; %s", clip(s), prefix, again)
	}
	return s
}

func isIdentifier(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && rest != "" && len(rest) <= 32 && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// anyBGP reports whether the document speaks of BGP at all. What speaks of it
// here and not there is found missing later.
func anyBGP(tunnels []*node) bool {
	for _, t := range tunnels {
		if t.child("customer_gateway").child("bgp") != nil || t.child("vpn_gateway").child("bgp") != nil {
			return true
		}
	}
	return false
}

func (r *reader) tunnel(n *node, static bool, known [2]keys) Tunnel {
	ike, esp := r.need(n, "ike"), r.need(n, "ipsec")
	t := Tunnel{Customer: r.customer(r.need(n, "customer_gateway"), static), AWS: r.end(r.need(n, "vpn_gateway"), static)}
	if !static {
		t.HoldTime = r.seconds(r.need(n, "vpn_gateway", "bgp", "hold_time"), 3, 65535)
	}
	r.oneOf(ike.child("mode"), "main")
	r.oneOf(esp.child("protocol"), "esp")
	r.oneOf(esp.child("mode"), "tunnel")
	t.Stated = Stated{IKE: r.phase(ike), ESP: r.phase(esp)}
	t.MSS = int(r.number(esp.child("tcp_mss_adjustment"), 500, 9000))
	if dpd := esp.child("dead_peer_detection"); dpd != nil {
		t.DPD = DPD{Interval: r.seconds(r.need(dpd, "interval"), 1, 3600), Retries: int(r.number(r.need(dpd, "retries"), 1, 100))}
	}
	t.PSK = r.knownKey(ike, t.AWS.Outside, known)
	return t
}

// knownKey is the document's key, or the one from elsewhere where it has none.
func (r *reader) knownKey(ike *node, outside netip.Addr, known [2]keys) secret.Secret {
	own := ike.child("pre_shared_key")
	for _, k := range known {
		if k.outside != outside || k.psk == nil || k.psk.text == "" {
			continue
		}
		if own == nil || own.text == "" {
			return r.psk(k.psk)
		}
		if own.text != k.psk.text {
			r.fail(own, "not the key of %s; %s", k.psk.path("."), again)
		}
	}
	if own == nil && ike != nil && r.err == nil {
		r.fail(&node{name: "pre_shared_key", line: ike.line, up: ike}, "%s", pskRule(""))
	}
	return r.psk(own)
}

// customer is the customer's end, whose outside address is empty when it may be any.
func (r *reader) customer(n *node, static bool) End {
	if outside := r.need(n, "tunnel_outside_address", "ip_address"); r.value(outside) == "" {
		return r.inside(n, static, netip.Addr{})
	}
	return r.end(n, static)
}

func (r *reader) end(n *node, static bool) End {
	return r.inside(n, static, r.addr(r.need(n, "tunnel_outside_address", "ip_address")))
}

// inside is the rest of an end.
func (r *reader) inside(n *node, static bool, outside netip.Addr) End {
	e := End{Outside: outside}
	inside := r.need(n, "tunnel_inside_address")
	a := r.addr(r.need(inside, "ip_address"))
	bits := int(r.number(r.need(inside, "network_cidr"), 30, 126))
	if r.err != nil {
		return e
	}
	if a.Is4() && bits != 30 || a.Is6() && bits != 126 {
		r.fail(inside.child("network_cidr"), "%d; an inside range is a /30 for IPv4 and a /126 for IPv6: %s", bits, again)
		return e
	}
	if mask := inside.child("network_mask"); a.Is4() {
		r.oneOf(mask, "", "255.255.255.252")
	}
	e.Inside = netip.PrefixFrom(a, bits)
	if static {
		return e
	}
	asn := r.need(n, "bgp", "asn")
	if r.err == nil && asn.text == "" && len(asn.kids) == 0 {
		r.fail(asn, "empty; the connection is at no gateway, whose number BGP needs: give it one by `aws ec2 modify-vpn-connection`, and %s", again)
	}
	e.ASN = r.asn(asn)
	return e
}

func (r *reader) phase(n *node) Phase {
	p := Phase{
		Encryption: r.value(n.child("encryption_protocol")), Integrity: r.value(n.child("authentication_protocol")),
		Lifetime: r.seconds(n.child("lifetime"), 60, 86400),
	}
	if pfs := n.child("perfect_forward_secrecy"); pfs != nil {
		digits := strings.TrimPrefix(r.value(pfs), "group")
		v, err := parseNumber(digits, 1, 65535)
		if err != nil && r.err == nil {
			r.fail(pfs, "%s is no group such as group14; %s", clip(pfs.text), again)
		}
		p.Group = int(v)
	}
	return p
}
