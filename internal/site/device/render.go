package device

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"text/template"

	"seikan/internal/gateway/conffile"
)

// ownName is our own YAML, which conffile writes.
const ownName = "seikan"

// ownFile is the connection as our own gateway runs it.
func ownFile(c Connection, choice Choices) ([]File, error) {
	switch {
	case choice.Interface != "":
		return nil, fmt.Errorf("the interface %q: our own gateway takes whichever the route to the peer has; leave it out, or say its address", choice.Interface)
	case c.Gateway.BGP.Relay:
		return nil, errors.New("BGP.Relay: passing on what one peer announces to the others is for AWS's ends, and our own file has no key for it; leave it out")
	}
	for i := range c.Gateway.Tunnels {
		if choice.Local.IsValid() {
			c.Gateway.Tunnels[i].Outside.Local = choice.Local
		}
		switch choice.IKE {
		case "ikev1":
			c.Gateway.Tunnels[i].Versions = []int{1}
		case "ikev2":
			c.Gateway.Tunnels[i].Versions = []int{2}
		}
	}
	if err := c.Gateway.Validate(); err != nil {
		return nil, err
	}
	b, err := conffile.Format(conffile.File{Gateway: c.Gateway})
	return []File{{Path: "gateway.yaml", Text: string(b)}}, err
}

// A form is a file to be filled in, ready for as many connections as one likes.
type form struct{ path, text *template.Template }

// forms are those of the device's files.
func (t Type) forms() (out []form, err error) {
	for _, f := range t.spec.Files {
		b, err := vendors.ReadFile(path.Join("vendors", t.Name, f.Template))
		if err != nil {
			return nil, err
		}
		set, err := template.New(f.Template).Option("missingkey=error").Funcs(functions()).ParseFS(vendors, "common/*.tmpl")
		if err != nil {
			return nil, err
		}
		var made form
		if made.path, err = set.New("path of " + f.Template).Parse(f.Path); err != nil {
			return nil, err
		}
		if made.text, err = set.New(f.Template).Parse(string(b)); err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// fill writes one file.
func (f form) fill(v view) (File, error) {
	var place, text strings.Builder
	if err := f.path.Execute(&place, v); err != nil {
		return File{}, err
	}
	err := f.text.Execute(&text, v)
	return File{Path: place.String(), Text: text.String()}, err
}

// functions are what templates call beside text/template's own.
func functions() template.FuncMap {
	return template.FuncMap{
		"join":      strings.Join,
		"add":       func(a, b int) int { return a + b },
		"mul":       func(a, b int) int { return a * b },
		"mask":      mask,
		"dict":      dict,
		"wildcard":  func(p netip.Prefix) string { return wildcard(p) },
		"address":   func(p netip.Prefix) netip.Addr { return p.Masked().Addr() },
		"named":     named,
		"hasPrefix": strings.HasPrefix,
		"whole":     func(p netip.Prefix) bool { return p.Bits() == 0 },
		"under":     func(s string) string { return strings.ReplaceAll(s, "-", "_") },
		"uuid":      uuid,
		"first":     func(s string) string { return strings.Fields(s)[0] },
		"second":    func(s string) string { return strings.Fields(s)[1] },
		"half":      func(n int) int { return max(1, n/2) },
		"modulo":    func(n, by int) int { return n % by },
		"hex":       func(n int) string { return fmt.Sprintf("0x%x", n) },
		"tenths":    func(n, by int) string { return fmt.Sprintf("%.1f", float64(n)/(float64(by)/100)) },
		"last":      func(i int, list []tunnel) bool { return i == len(list)-1 },
		"header":    header,
	}
}

// wildcard is Cisco's inverted netmask.
func wildcard(p netip.Prefix) string {
	rest := uint32(1)<<(32-p.Bits()) - 1
	if p.Bits() == 0 {
		rest = ^uint32(0)
	}
	return fmt.Sprintf("%d.%d.%d.%d", rest>>24, rest>>16&255, rest>>8&255, rest&255)
}

// header is what stands above a file, each line behind the syntax's mark of a
// comment.
func header(mark string, v view) string {
	lines := []string{fmt.Sprintf("Site-to-Site VPN connection %s for %s.", v.ID, v.Type.full())}
	if !v.Type.spec.AnyPeer {
		lines = append(lines, "It holds pre-shared keys: keep it from others.")
	}
	if !v.Type.Run {
		lines = append(lines, "Held to a grammar of this device's commands that we wrote; not run on a device.")
	}
	if v.Weak {
		lines = append(lines, "Connection and device have nothing in common that is not weak: change the tunnel options.")
	}
	for _, r := range v.Remarks {
		lines = append(lines, "Not told to the device, which keeps its own: "+r)
	}
	lines = append(lines, v.Type.Notes...)
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(mark+" "+l, " ") + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// uuid is a name that is the same whenever the same is written (RFC 9562 section
// 5.8).
func uuid(connection string, mark int, kind string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", connection, mark, kind))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// dict hands several values to a template within one: name, value, name, value.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}
