package netapply

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Flow selects connection tracking entries. An endpoint whose address is the
// zero value matches any address, and one whose port is 0 any port; what is
// given must all match.
type Flow struct {
	Proto    uint8          // IP protocol; 0 is any
	OrigSrc  netip.AddrPort // who opened the connection
	OrigDst  netip.AddrPort // whom it asked for, before DNAT
	ReplySrc netip.AddrPort // who answers, after DNAT: the target
	ReplyDst netip.AddrPort // to whom, after SNAT
}

// FlushConntrack deletes the connection tracking entries of the namespace ns
// that flow selects, and returns how many. A Flow that selects everything is
// refused.
func (h *Host) FlushConntrack(ctx context.Context, ns string, flow Flow) (int, error) {
	if flow == (Flow{}) {
		return 0, errors.New("flush conntrack: empty flow would delete every entry: name an endpoint or a protocol")
	}
	deleted := 0
	err := h.In(ns, func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer handle.Close()
		for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, flowFilter(flow))
			deleted += int(n)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return deleted, fmt.Errorf("flush conntrack of %q: %w", ns, err)
	}
	return deleted, nil
}

// flowFilter adapts a Flow to what the netlink library calls.
type flowFilter Flow

// MatchConntrackFlow reports whether entry is selected.
func (f flowFilter) MatchConntrackFlow(entry *netlink.ConntrackFlow) bool {
	return (f.Proto == 0 || f.Proto == entry.Forward.Protocol) &&
		matches(f.OrigSrc, entry.Forward.SrcIP, entry.Forward.SrcPort) &&
		matches(f.OrigDst, entry.Forward.DstIP, entry.Forward.DstPort) &&
		matches(f.ReplySrc, entry.Reverse.SrcIP, entry.Reverse.SrcPort) &&
		matches(f.ReplyDst, entry.Reverse.DstIP, entry.Reverse.DstPort)
}

// matches reports whether want, as in Flow, selects ip and port.
func matches(want netip.AddrPort, ip net.IP, port uint16) bool {
	if want.Port() != 0 && want.Port() != port {
		return false
	}
	if !want.Addr().IsValid() {
		return true
	}
	got, ok := netip.AddrFromSlice(ip)
	return ok && got.Unmap() == want.Addr().Unmap()
}
