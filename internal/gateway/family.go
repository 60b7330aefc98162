package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
)

// A tunnel carries IPv4 or IPv6, never both (vpn §3.4).

// ipv6 reports whether t carries IPv6: its inside address says so, and without
// one its selectors.
func (t Tunnel) ipv6() bool {
	for _, p := range []netip.Prefix{t.Inside, t.LocalTS, t.RemoteTS} {
		if p.IsValid() {
			return p.Addr().Is6()
		}
	}
	return false
}

// checkFamily reports what of t, with its defaults, is of the other family.
func (t Tunnel) checkFamily() error {
	family := "IPv4"
	if t.ipv6() {
		family = "IPv6"
	}
	is := func(p netip.Prefix) bool { return !p.IsValid() || p.Addr().Is6() == t.ipv6() }
	switch {
	case !is(t.LocalTS) || !is(t.RemoteTS):
		return fmt.Errorf("field LocalTS %v and RemoteTS %v: the tunnel carries %s, as its inside address says, and a tunnel carries one family: make another for the other", t.LocalTS, t.RemoteTS, family)
	case t.Inside.IsValid() && (t.Inside.Addr().Is4In6() || t.Inside.Addr().IsUnspecified() || t.Inside.Addr().IsMulticast()):
		return fmt.Errorf("field Inside %v: not an address that a host may have", t.Inside)
	}
	for _, p := range t.Routes {
		if !is(p) {
			return fmt.Errorf("field Routes %v: the tunnel carries %s, and one family only; give each tunnel routes of its own family", p, family)
		}
	}
	return nil
}

// halves are a default route as two routes that go before any other default.
func halves(p netip.Prefix) []netip.Prefix {
	first, second := netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte{128})
	if p.Addr().Is6() {
		first, second = netip.IPv6Unspecified(), netip.AddrFrom16([16]byte{128})
	}
	return []netip.Prefix{netip.PrefixFrom(first, 1), netip.PrefixFrom(second, 1)}
}

// forwarding are the kernel's switches for it, of the families that tunnels carry.
func forwarding(tunnels []Tunnel) map[string]string {
	out := map[string]string{"net.ipv4.ip_forward": "1"}
	for _, t := range tunnels {
		if t.ipv6() {
			out["net.ipv6.conf.all.forwarding"] = "1"
		}
	}
	return out
}

// quiet keeps the kernel from speaking IPv6 of its own accord on a TUN: its
// router solicitations would count as dropped packets, or reach the peer. Without
// v6 it has no IPv6 at all there.
func quiet(link string, v6 bool, log *slog.Logger) {
	settings := [][2]string{{"disable_ipv6", "1"}}
	if v6 {
		settings = [][2]string{{"addr_gen_mode", "1"}, {"accept_ra", "0"}, {"router_solicitations", "0"}}
	}
	for _, s := range settings {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/"+s[0], []byte(s[1]), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it does not exist without IPv6
			log.Debug("a setting of IPv6 stays", "interface", link, "setting", s[0], "err", err)
		}
	}
}
