package netapply

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Fingerprint stands for all that Apply compares with a Spec, as the kernel
// has it. The zero value stands for nothing. It is of one process.
type Fingerprint uint64

// Fingerprint is that of the namespaces that Apply last worked in. While it is
// the one that Apply reported, the same Apply would change nothing. It costs a
// small part of that: nothing is decoded, nothing kept.
//
// Any drift makes another one, and so do some changes of what is not ours. These
// are in it: which namespaces there are; links, with what is below net.ipv4.conf;
// addresses, routes and rules; the generation of nftables; sysctls of the
// namespace itself that Apply has set.
func (h *Host) Fingerprint(ctx context.Context) (Fingerprint, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fingerprintLocked(ctx)
}

// fingerprintLocked is Fingerprint for whoever holds h.mu.
func (h *Host) fingerprintLocked(ctx context.Context) (Fingerprint, error) {
	var all maphash.Hash
	all.SetSeed(h.seed)
	for _, name := range slices.Sorted(maps.Keys(h.spaces)) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		one, err := h.fingerprint(h.spaces[name])
		if err != nil {
			return 0, fmt.Errorf("fingerprint of %s: %w", h.spaces[name].label(), err)
		}
		maphash.WriteComparable(&all, one)
	}
	return Fingerprint(max(1, all.Sum64())), nil
}

// fingerprint is that of s; a look that was interrupted by a change is repeated.
func (h *Host) fingerprint(s *space) (uint64, error) {
	var err error
	for range dumpTries {
		var sum maphash.Hash
		sum.SetSeed(h.seed)
		if err = h.lookAt(s, &sum); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return sum.Sum64(), err
		}
	}
	return 0, err
}

// lookAt adds to sum what is in s.
func (h *Host) lookAt(s *space, sum *maphash.Hash) error {
	inode, err := nsInode(h.nsFile(s.name))
	if err != nil {
		return err
	}
	maphash.WriteComparable(sum, inode)
	generation, err := s.filter.generation()
	if err != nil {
		return err
	}
	maphash.WriteComparable(sum, generation)
	err = inFile(s.file, func() error {
		for _, set := range settings("", s.rec.Sysctls[""]) {
			value, err := readSetting(set)
			if err != nil {
				return err
			}
			sum.WriteString(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range h.dumps(s) {
		if err := s.lists.hash(d, sum); err != nil {
			return fmt.Errorf("list %s: %w", d.what, err)
		}
	}
	return nil
}

// A dumping is one thing that rtnetlink is asked for.
type dumping struct {
	what     string
	get, got uint16 // types of the request and of the messages of the answer
	// request is the header that says what is asked for, and attributes. Messages
	// of the answer begin with a header of the same kind, header bytes long.
	request []byte
	header  int
	// matters reports whether a message with this header does, of which it blanks
	// what does not.
	matters func(header []byte) bool
	// part is what matters of an attribute; nil for nothing.
	part func(kind uint16, value []byte) []byte
}

// skipStats is RTEXT_FILTER_SKIP_STATS: counters, which are most of what there is
// to say of a link, are left out.
const skipStats = 1 << 3

// dumps are all that is asked for to look at s.
func (h *Host) dumps(s *space) []dumping {
	ours, stranger := h.protocol()
	all := func([]byte) bool { return true }
	whole := func(_ uint16, value []byte) []byte { return value }
	noStats := nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats))
	out := []dumping{
		{"links", unix.RTM_GETLINK, unix.RTM_NEWLINK, append(make([]byte, unix.SizeofIfInfomsg), noStats.Serialize()...), unix.SizeofIfInfomsg, linkHeader, linkPart},
		{"addresses", unix.RTM_GETADDR, unix.RTM_NEWADDR, make([]byte, unix.SizeofIfAddrmsg), unix.SizeofIfAddrmsg, addrHeader, addrPart},
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		route, rule := make([]byte, unix.SizeofRtMsg), make([]byte, unix.SizeofRtMsg) // struct fib_rule_hdr is as long
		route[0], rule[0] = family, family
		if !s.owned {
			route[rtmProtocol] = uint8(ours)
		}
		matters := func(header []byte) bool {
			binary.NativeEndian.PutUint32(header[rtmFlags:], binary.NativeEndian.Uint32(header[rtmFlags:])&unix.RTNH_F_ONLINK)
			protocol := int(header[rtmProtocol])
			if s.owned {
				return header[rtmTable] != unix.RT_TABLE_LOCAL && !madeByKernel(protocol) && protocol != stranger
			}
			return protocol == ours
		}
		out = append(out,
			dumping{"routes", unix.RTM_GETROUTE, unix.RTM_NEWROUTE, route, unix.SizeofRtMsg, matters, routePart},
			dumping{"rules", unix.RTM_GETRULE, unix.RTM_NEWRULE, rule, unix.SizeofRtMsg, all, whole})
	}
	return out
}

// Where struct ifinfomsg, ifaddrmsg and rtmsg have these fields.
const (
	ifiFlags    = 8
	ifaFlags    = 2
	rtmTable    = 4
	rtmProtocol = 5
	rtmFlags    = 8
)

// linkHeader leaves no flags but that a link is up: others are of its carrier.
func linkHeader(header []byte) bool {
	binary.NativeEndian.PutUint32(header[ifiFlags:], binary.NativeEndian.Uint32(header[ifiFlags:])&unix.IFF_UP)
	return true
}

// addrHeader leaves no flags: they are of duplicate address detection and age.
func addrHeader(header []byte) bool {
	header[ifaFlags] = 0
	return true
}

// linkPart leaves out what changes by itself, as counters and timers do.
func linkPart(kind uint16, value []byte) []byte {
	switch kind {
	case unix.IFLA_IFNAME, unix.IFLA_ADDRESS, unix.IFLA_MTU, unix.IFLA_MASTER, unix.IFLA_IFALIAS, unix.IFLA_LINK, unix.IFLA_LINK_NETNSID:
		return value
	case unix.IFLA_LINKINFO:
		return nested(value, unix.IFLA_INFO_KIND)
	case unix.IFLA_AF_SPEC:
		return nested(value, unix.AF_INET) // net.ipv4.conf
	}
	return nil
}

// addrPart leaves out lifetimes.
func addrPart(kind uint16, value []byte) []byte {
	if kind == unix.IFA_ADDRESS || kind == unix.IFA_LOCAL {
		return value
	}
	return nil
}

// routePart leaves out lifetimes and use.
func routePart(kind uint16, value []byte) []byte {
	if kind == unix.RTA_CACHEINFO {
		return nil
	}
	return value
}

// attributes are those of a message, after its header.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&nl.NLA_TYPE_MASK, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min(len(b), (n+3)&^3):]
		}
	}
}

// nested is the attribute of this kind inside another.
func nested(b []byte, kind uint16) []byte {
	for k, value := range attributes(b) {
		if k == kind {
			return value
		}
	}
	return nil
}

// A lister has rtnetlink list things in one namespace.
type lister struct{ handle *nl.SocketHandle }

// openLister opens a lister in the namespace of the thread.
func openLister() (*lister, error) {
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	// Then the kernel lists only routes of the protocol asked for. One before
	// 4.20 cannot, and lists them all.
	err = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
		socket.Close()
		return nil, err
	}
	return &lister{&nl.SocketHandle{Socket: socket}}, nil
}

func (l *lister) close() { l.handle.Close() }

// hash adds to sum what the answer to d has that matters.
func (l *lister) hash(d dumping, sum *maphash.Hash) error {
	req := &nl.NetlinkRequest{
		NlMsghdr: unix.NlMsghdr{Len: unix.SizeofNlMsghdr, Type: d.get, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP},
		Sockets:  map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: l.handle},
	}
	req.AddRawData(d.request)
	return req.ExecuteIter(unix.NETLINK_ROUTE, d.got, func(m []byte) bool {
		if len(m) < d.header || !d.matters(m[:d.header]) {
			return true
		}
		sum.Write(m[:d.header])
		for kind, value := range attributes(m[d.header:]) {
			if part := d.part(kind, value); part != nil {
				maphash.WriteComparable(sum, [2]uint16{kind, uint16(len(part))})
				sum.Write(part)
			}
		}
		return true
	})
}
