package netspec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Validate checks s for what the kernel or nft(8) would refuse and for what
// contradicts itself: names, ranges, both ends of every veth, links that
// routes and bridges name, duplicates. The error joins all faults; each names
// namespace, object, value and rule.
func (s Spec) Validate() error {
	s = s.Normalize()
	v := validator{links: map[Peer]Link{}}
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			v.links[Peer{n.Name, l.Name}] = l
		}
	}
	names := map[string]bool{}
	for _, n := range s.Namespaces {
		v.ns, v.object = n, ""
		if names[n.Name] {
			v.fault("namespace is declared twice: Merge joins plans")
		}
		names[n.Name] = true
		v.namespace(n)
	}
	return errors.Join(v.errs...)
}

// A validator walks a Spec and collects faults.
type validator struct {
	links  map[Peer]Link // every link of the Spec by place
	ns     Namespace     // where it is
	object string        // what it looks at: "link eth0"
	nets   map[netip.Prefix][]connected
	errs   []error
}

func (v *validator) fault(format string, args ...any) {
	where := "netspec: " + v.ns.Label() + ": "
	if v.object != "" {
		where += v.object + ": "
	}
	v.errs = append(v.errs, fmt.Errorf(where+format, args...))
}

func (v *validator) namespace(n Namespace) {
	if n.Name != "" {
		if rule := badName(n.Name, 64, "._-"); rule != "" {
			v.fault("name %q %s", n.Name, rule)
		}
	}
	v.object = "sysctl"
	for key, value := range n.Sysctls {
		if !strings.HasPrefix(key, "net.") && !strings.HasPrefix(key, "net/") {
			v.fault("%q does not begin with \"net.\": others are not of a namespace", key)
		}
		v.sysctl(key, value)
	}
	v.eachLink(n)
	v.eachRoute(n)
	v.eachRule(n)
	v.eachTable(n)
}

// sysctl checks one setting; slashes are legal because link names may hold dots.
func (v *validator) sysctl(key, value string) {
	if rule := badName(key, 128, "._-/@"); rule != "" {
		v.fault("%q %s", key, rule)
	}
	if value == "" || strings.ContainsAny(value, "\n\x00") {
		v.fault("%s: value %q must be one line, not empty", key, value)
	}
}

func (v *validator) eachLink(n Namespace) {
	for i, l := range n.Links {
		v.object = "link " + l.Name
		if i > 0 && n.Links[i-1].Name == l.Name {
			v.fault("is declared twice")
		}
		v.link(l)
	}
}

func (v *validator) link(l Link) {
	if rule := badLinkName(l.Name); rule != "" {
		v.fault("name %q %s", l.Name, rule)
	}
	switch l.Kind {
	case Veth:
		v.veth(l)
	case Bridge, External:
	case Loopback:
		if l.Name != "lo" {
			v.fault("kind loopback must be called lo")
		}
		if l.MAC != "" || l.Master != "" {
			v.fault("kind loopback takes no MAC %q and no master %q", l.MAC, l.Master)
		}
	default:
		v.fault("kind %q is none of veth, bridge, loopback, external", l.Kind)
	}
	if l.Kind != Veth && l.Peer != (Peer{}) {
		v.fault("kind %s takes no peer, got %s/%s", l.Kind, l.Peer.Namespace, l.Peer.Link)
	}
	if l.Master != "" && (l.Kind == Bridge || v.links[Peer{v.ns.Name, l.Master}].Kind != Bridge) {
		v.fault("master %q must be a bridge of the same namespace, and no bridge has one", l.Master)
	}
	if l.MTU != 0 && (l.MTU < 68 || l.MTU > 65535) {
		v.fault("MTU %d is outside 68 to 65535", l.MTU)
	}
	if l.MAC != "" {
		if mac, err := net.ParseMAC(l.MAC); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			v.fault("MAC %q is not a unicast Ethernet address such as 02:00:00:00:00:01", l.MAC)
		}
	}
	if rule := badComment(l.Comment, 200); rule != "" {
		v.fault("comment %q %s", l.Comment, rule)
	}
	for i, a := range l.Addrs {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().IsUnspecified() || a.Addr().IsMulticast() {
			v.fault("address %v is not a unicast IPv4 or IPv6 address with a length", a)
		}
		if i > 0 && l.Addrs[i-1] == a {
			v.fault("address %v is declared twice", a)
		}
	}
	for key, value := range l.Sysctls {
		if strings.ContainsAny(key, "./") {
			v.fault("sysctl %q is not the last part of net.ipv4.conf.%s", key, l.Name)
		}
		v.sysctl(key, value)
	}
}

// veth checks that both ends are declared and name each other.
func (v *validator) veth(l Link) {
	self := Peer{v.ns.Name, l.Name}
	if l.Peer == self {
		v.fault("is its own peer")
		return
	}
	far, ok := v.links[l.Peer]
	if !ok {
		v.fault("peer %s/%s is not declared: a veth needs both ends", Namespace{Name: l.Peer.Namespace}.Label(), l.Peer.Link)
		return
	}
	if far.Kind != Veth || far.Peer != self {
		v.fault("peer %s/%s does not name this end as its peer", Namespace{Name: l.Peer.Namespace}.Label(), l.Peer.Link)
	}
}

func (v *validator) eachRoute(n Namespace) {
	v.nets = map[netip.Prefix][]connected{}
	for _, l := range n.Links {
		for _, a := range l.Addrs {
			if a.IsValid() && !a.IsSingleIP() {
				v.nets[a.Masked()] = append(v.nets[a.Masked()], connected{a, l.Name})
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range n.Routes {
		v.object = "route " + r.String()
		if seen[r.identity()] {
			v.fault("is declared twice: destination, metric and table tell routes apart")
		}
		seen[r.identity()] = true
		v.route(r)
	}
}

func (v *validator) route(r Route) {
	if !r.Dst.IsValid() || r.Dst.Addr().Is4In6() {
		v.fault("destination %v is not a prefix; the default route is 0.0.0.0/0 or ::/0", r.Dst)
		return
	}
	v.tableNumber(r.Table)
	if r.Metric < 0 || int64(r.Metric) > 1<<32-1 {
		v.fault("metric %d is outside 0 to 4294967295", r.Metric)
	}
	switch r.Type {
	case Unicast:
		v.unicast(r)
	case Blackhole, Unreachable, Prohibit:
		if r.Dev != "" || r.Spread != "" || r.Via.IsValid() || r.Src.IsValid() || r.OnLink {
			v.fault("type %s takes no dev, spread, via, src or onlink", r.Type)
		}
	default:
		v.fault("type %q is none of blackhole, unreachable, prohibit and the empty word", r.Type)
	}
	v.connected(r)
}

func (v *validator) unicast(r Route) {
	devs := []string{r.Dev}
	if r.Spread != "" {
		devs = r.Spread.Names()
		v.spread(r)
	}
	for _, dev := range devs {
		if link, ok := v.links[Peer{v.ns.Name, dev}]; !ok {
			v.fault("dev %q is not a link of this namespace", dev)
		} else if link.Down {
			v.fault("dev %q is down: the kernel keeps no route over it", dev)
		}
	}
	if r.Via.IsValid() && r.Via.Is4() != r.Dst.Addr().Is4() {
		v.fault("via %v is not of the family of %v", r.Via, r.Dst)
	}
	if r.Src.IsValid() && r.Src.Is4() != r.Dst.Addr().Is4() {
		v.fault("src %v is not of the family of %v", r.Src, r.Dst)
	}
	if r.OnLink && !r.Via.IsValid() {
		v.fault("onlink needs a gateway: set via")
	}
}

// spread checks what only a route with several links can have wrong.
func (v *validator) spread(r Route) {
	switch {
	case r.Dev != "" || r.Via.IsValid() || r.OnLink:
		v.fault("spread over %s takes no dev, via or onlink", r.Spread)
	case r.Spread != LinksOf(r.Spread.Names()...):
		v.fault("spread %q is not sorted, with each link once: make it with LinksOf", r.Spread)
	}
}

// A connected network is what an address of a link brings with it.
type connected struct {
	addr netip.Prefix
	link string
}

// connected refuses a route that would take the place of the one that the
// kernel makes for an address of a link: the two would fight.
func (v *validator) connected(r Route) {
	metric := 0
	if r.Dst.Addr().Is6() {
		metric = ipv6ConnectedMetric
	}
	if r.Table != MainTable || r.Metric != metric {
		return
	}
	for _, c := range v.nets[r.Dst] {
		v.fault("is what address %v of link %s makes already: drop the route or give it another metric", c.addr, c.link)
	}
}

func (v *validator) tableNumber(n int) {
	// 255 is local, kept by the kernel; 253 default and 254 main are usable.
	if n < 1 || int64(n) > 1<<32-1 || n == 255 {
		v.fault("table %d is outside 1 to 4294967295, or the kernel's own 255", n)
	}
}

func (v *validator) eachRule(n Namespace) {
	for i, r := range n.Rules {
		v.object = "rule " + r.String()
		if i > 0 && n.Rules[i-1] == r {
			v.fault("is declared twice")
		}
		if r.Priority < 1 || r.Priority > 32765 {
			v.fault("priority %d is outside 1 to 32765", r.Priority)
		}
		v.tableNumber(r.Table)
		if r.IIF != "" {
			if rule := badLinkName(r.IIF); rule != "" {
				v.fault("iif %q %s", r.IIF, rule)
			}
		}
		if r.From.IsValid() && r.To.IsValid() && r.From.Addr().Is4() != r.To.Addr().Is4() {
			v.fault("from %v and to %v are of different families", r.From, r.To)
		}
		for _, p := range []netip.Prefix{r.From, r.To} {
			if p.Addr().Is4In6() {
				v.fault("prefix %v is IPv4 inside IPv6: write it as IPv4", p)
			}
		}
	}
}

// badLinkName returns the rule that name breaks as the name of a link, or "".
func badLinkName(name string) string {
	if len(name) < 1 || len(name) > 15 {
		return "must have 1 to 15 bytes"
	}
	if name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r%\x00\u00a0") {
		return "must not hold '/', ':', '%' or a space"
	}
	return ""
}

// badName returns the rule that s breaks as a name of letters, digits and
// extra, with at most limit bytes, or "".
func badName(s string, limit int, extra string) string {
	if s == "" || len(s) > limit {
		return fmt.Sprintf("must have 1 to %d bytes", limit)
	}
	if s[0] == '.' || s[0] == '/' || strings.Contains(s, "..") {
		return "must not begin with '.' or '/', nor hold \"..\""
	}
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && strings.IndexByte(extra, s[i]) < 0 {
			return fmt.Sprintf("holds %q: letters, digits and %q only", s[i], extra)
		}
	}
	return ""
}

// badComment returns the rule that s breaks as a comment, or "".
func badComment(s string, limit int) string {
	if len(s) > limit {
		return fmt.Sprintf("is longer than %d bytes", limit)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= 0x7f {
			return "must be printable ASCII without '\"' and '\\'"
		}
	}
	return ""
}
