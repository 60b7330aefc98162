package sandbox

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddRoute adds an IPv4 route as an administrator does (protocol static) in the
// network namespace of the calling thread. Nothing of Seikan's removes it.
func AddRoute(dst netip.Prefix, via netip.Addr, dev string) error {
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("link %s: %w", dev, err)
	}
	return netlink.RouteReplace(&netlink.Route{
		Dst:       &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())},
		Gw:        via.AsSlice(),
		LinkIndex: link.Attrs().Index,
		Protocol:  unix.RTPROT_STATIC,
	})
}
