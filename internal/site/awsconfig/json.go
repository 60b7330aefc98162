package awsconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// jsonTree reads one JSON value.
func jsonTree(b []byte) (*node, error) {
	p := jsonParser{b: b, dec: json.NewDecoder(bytes.NewReader(b)), line: 1}
	p.dec.UseNumber()
	root, err := p.value(nil, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: more than one JSON value; %s", p.at(), again)
	}
	return root, nil
}

// A jsonParser counts lines and nodes while it reads.
type jsonParser struct {
	b     []byte
	dec   *json.Decoder
	line  int
	seen  int // octets whose lines are counted
	nodes int
}

// at is the line of what was read last.
func (p *jsonParser) at() int {
	if to := min(int(p.dec.InputOffset()), len(p.b)); to > p.seen {
		p.line += bytes.Count(p.b[p.seen:to], []byte("\n"))
		p.seen = to
	}
	return p.line
}

func (p *jsonParser) token() (json.Token, error) {
	tok, err := p.dec.Token()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("line %d: the file ends within a value; it is not whole: %s", p.at(), again)
	case err != nil:
		return nil, fmt.Errorf("line %d: no JSON; %s", p.at(), again)
	}
	return tok, nil
}

// value reads the value that comes next and puts it below up, unless that is
// nil.
func (p *jsonParser) value(up *node, name string, depth int) (*node, error) {
	tok, err := p.token()
	if err != nil {
		return nil, err
	}
	n := &node{name: name, line: p.at()}
	if up != nil {
		up.add(n)
	}
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		return nil, fmt.Errorf("line %d: %w", n.line, bounded(p.nodes))
	}
	switch tok := tok.(type) {
	case nil:
		n.kind = null
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(tok)
	case json.Number:
		n.kind, n.text = number, tok.String()
	case string:
		n.text = tok
	case json.Delim:
		if tok == '[' {
			n.kind = array
			return n, p.elements(n, depth)
		}
		n.kind = object
		return n, p.members(n, depth)
	}
	return n, nil
}

func (p *jsonParser) elements(n *node, depth int) error {
	for p.dec.More() {
		if _, err := p.value(n, "", depth+1); err != nil {
			return err
		}
	}
	_, err := p.token()
	return err
}

func (p *jsonParser) members(n *node, depth int) error {
	have := map[string]bool{}
	for p.dec.More() {
		tok, err := p.token()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder admits nothing else
		if have[name] {
			return fmt.Errorf("line %d: %s stands twice in one object; %s", p.at(), clip(name), again)
		}
		have[name] = true
		if _, err := p.value(n, name, depth+1); err != nil {
			return err
		}
	}
	_, err := p.token()
	return err
}

// parseJSON reads the answer of describe-vpn-connections, one connection out
// of it, that of create-vpn-connection, or that of
// get-vpn-connection-device-sample-configuration for the generic device.
func parseJSON(b []byte, id string) (Connection, error) {
	root, err := jsonTree(b)
	if err != nil {
		return Connection{}, err
	}
	const sample = "VpnConnectionDeviceSampleConfiguration"
	if s := root.child(sample); s != nil && s.kind == text {
		b, format, err := Recognise([]byte(s.text))
		if err == nil && format != Text {
			err = errors.New("not for generic devices; " + cure)
		}
		if err != nil {
			return Connection{}, fmt.Errorf("line %d: %s: %w", s.line, sample, err)
		}
		c, err := parseText(b)
		if err != nil {
			err = fmt.Errorf("%s: %w", sample, err)
		}
		return c, err
	}
	n, err := choose(root, id)
	if err != nil {
		return Connection{}, err
	}
	return jsonConnection(n)
}

// choose finds the connection called id, or the only one that lives.
func choose(root *node, id string) (*node, error) {
	list := []*node{root}
	switch {
	case root.child("VpnConnections") != nil:
		list = root.child("VpnConnections").kids
	case root.child("VpnConnection") != nil:
		list = []*node{root.child("VpnConnection")}
	case root.kind == array:
		list = root.kids
	}
	var living []*node
	var names []string
	for _, n := range list {
		name := n.child("VpnConnectionId")
		if name == nil || name.kind != text {
			return nil, fmt.Errorf("line %d: there are neither VpnConnections nor a VpnConnectionId; %s", n.line, cure)
		}
		if state := n.child("State"); state != nil && strings.HasPrefix(state.text, "delet") {
			continue
		}
		if id == "" || name.text == id {
			living = append(living, n)
		}
		names = append(names, clip(name.text))
	}
	const most = 20
	if len(names) > most {
		names = append(names[:most], "…")
	}
	switch {
	case len(living) == 1:
		return living[0], nil
	case len(names) == 0:
		return nil, errors.New("VpnConnections: none that is not deleted; say which one by `--vpn-connection-ids`, and its Region by `--region`, to `aws ec2 describe-vpn-connections`")
	case id != "":
		return nil, fmt.Errorf("VpnConnections: %s is not there once; there are %s", clip(id), strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("VpnConnections: %d connections: name one by --connection, of %s", len(living), strings.Join(names, ", "))
}

// jsonConnection reads the document within, and adds what only the options say.
func jsonConnection(n *node) (Connection, error) {
	r := &reader{sep: "."}
	doc := r.need(n, "CustomerGatewayConfiguration")
	options := n.child("Options")
	if state := n.child("State"); doc == nil && state != nil && state.text == "pending" {
		r.err = nil
		r.fail(state, "pending; wait until the connection is available, and ask AWS again")
	}
	known, tunnels := r.known(options.child("TunnelOptions"))
	if r.err != nil {
		return Connection{}, r.err
	}
	tree, err := xmlTree([]byte(r.value(doc)))
	if err == nil && tree.name != "vpn_connection" {
		err = errors.New(notAConnection(tree))
	}
	var c Connection
	if err == nil {
		c, err = xmlConnection(tree, known)
	}
	if err != nil {
		return Connection{}, fmt.Errorf("line %d: %s: %w", doc.line, doc.path(r.sep), err)
	}
	c.Format = JSON
	if name := n.child("VpnConnectionId"); name.text != c.ID {
		r.fail(name, "%s, but the document within is of %s; %s", clip(name.text), c.ID, again)
	}
	if gw := n.child("TransitGatewayId"); c.GatewayID == "" {
		c.GatewayID = r.value(gw)
	}
	if static := options.child("StaticRoutesOnly"); static != nil && r.boolean(static) != c.Static {
		r.fail(static, "the document within says otherwise; %s", again)
	}
	if options != nil {
		c.Options = r.options(n, options)
	}
	for i := range c.Tunnels {
		for k, t := range tunnels {
			if known[k].outside == c.Tunnels[i].AWS.Outside {
				c.Tunnels[i].Options = t
			}
		}
	}
	return c, r.err
}

// known reads TunnelOptions. Its order is not that of the document within; AWS's
// outside address tells which is which.
func (r *reader) known(list *node) (out [2]keys, tunnels [2]*TunnelOptions) {
	if list == nil {
		return out, tunnels
	}
	if list.kind != array || len(list.kids) > len(out) {
		r.fail(list, "at most two tunnels are expected here; %s", again)
		return out, tunnels
	}
	for i, n := range list.kids {
		if n.child("OutsideIpAddress") == nil {
			continue // it is empty as long as the connection is made
		}
		out[i] = keys{outside: r.addr(n.child("OutsideIpAddress")), psk: n.child("PreSharedKey")}
		tunnels[i] = r.tunnelOptions(n)
	}
	return out, tunnels
}

func (r *reader) options(n, options *node) *Options {
	o := &Options{
		Accelerated: r.boolean(options.child("EnableAcceleration")),
		InsideIPv6:  r.oneOf(options.child("TunnelInsideIpVersion"), "ipv4", "ipv6") == "ipv6",
	}
	family := "Ipv4"
	if o.InsideIPv6 {
		family = "Ipv6"
	}
	o.Local = r.prefix(options.child("Local" + family + "NetworkCidr"))
	o.Remote = r.prefix(options.child("Remote" + family + "NetworkCidr"))
	if routes := n.child("Routes"); routes != nil {
		for _, route := range routes.kids {
			if state := route.child("State"); state == nil || !strings.HasPrefix(state.text, "delet") {
				o.Routes = append(o.Routes, r.prefix(r.need(route, "DestinationCidrBlock")))
			}
		}
	}
	return o
}

// tunnelOptions reads what vpn §2.1 lists, within its bounds.
func (r *reader) tunnelOptions(n *node) *TunnelOptions {
	t := &TunnelOptions{
		Phase1:       r.allowed(n, "Phase1", 28800),
		Phase2:       r.allowed(n, "Phase2", 3600),
		RekeyMargin:  r.seconds(n.child("RekeyMarginTimeSeconds"), 0, 1800),
		ReplayWindow: int(r.number(n.child("ReplayWindowSize"), 64, 2048)),
		InsideIPv6:   r.insideIPv6(n.child("TunnelInsideIpv6Cidr")),
		AWSStarts:    r.oneOf(n.child("StartupAction"), "add", "start") == "start",
	}
	if fuzz := n.child("RekeyFuzzPercentage"); fuzz != nil {
		percent := int(r.number(fuzz, 0, 100))
		t.RekeyFuzz = &percent
	}
	for _, v := range r.values(n.child("IkeVersions")) {
		version := strings.TrimPrefix(r.oneOf(v, "ikev1", "ikev2"), "ikev")
		if r.err == nil {
			t.IKEVersions = append(t.IKEVersions, int(version[0]-'0'))
		}
	}
	return t
}

// insideIPv6 is the range of a tunnel that carries IPv6.
func (r *reader) insideIPv6(n *node) netip.Prefix {
	if n == nil || n.text == "" {
		return netip.Prefix{}
	}
	p := r.prefix(n)
	if r.err == nil && (p.Bits() != 126 || !netip.MustParsePrefix("fd00::/8").Contains(p.Addr())) {
		r.fail(n, "%v is not a /126 of fd00::/8; %s", p, again)
	}
	return p
}

func (r *reader) allowed(n *node, phase string, longest int64) (a Allowed) {
	for _, v := range r.values(n.child(phase + "EncryptionAlgorithms")) {
		a.Encryption = append(a.Encryption, r.oneOf(v, "AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"))
	}
	for _, v := range r.values(n.child(phase + "IntegrityAlgorithms")) {
		a.Integrity = append(a.Integrity, r.oneOf(v, "SHA1", "SHA2-256", "SHA2-384", "SHA2-512"))
	}
	for _, v := range r.values(n.child(phase + "DHGroupNumbers")) {
		g := r.number(v, 2, 24)
		if r.err == nil && (g > 2 && g < 14 && g != 5) {
			r.fail(v, "%d is no group that AWS has: 2, 5, 14–24; %s", g, again)
		}
		a.Groups = append(a.Groups, int(g))
	}
	a.Lifetime = r.seconds(n.child(phase+"LifetimeSeconds"), 900, longest)
	return a
}

// values are the Value members of a list of objects.
func (r *reader) values(list *node) (out []*node) {
	if list == nil || r.err != nil {
		return nil
	}
	if list.kind != array || len(list.kids) > 64 {
		r.fail(list, "a list of values is expected here; %s", again)
		return nil
	}
	for _, k := range list.kids {
		out = append(out, r.need(k, "Value"))
	}
	return out
}
