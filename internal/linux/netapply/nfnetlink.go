package netapply

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A filterSocket asks the nftables of one namespace the two cheap questions
// that spare most executions of nft(8): has anything changed, and which tables
// are there.
type filterSocket struct {
	socket *nl.NetlinkSocket
	handle *nl.SocketHandle
}

// openFilter opens a filterSocket in the namespace of the thread.
func openFilter() (*filterSocket, error) {
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	return &filterSocket{socket: socket, handle: &nl.SocketHandle{Socket: socket}}, nil
}

func (f *filterSocket) close() { f.socket.Close() }

// ask sends one nftables request and returns the answers, each beginning with
// its nfgenmsg header.
func (f *filterSocket) ask(message, flags, answer uint16) ([][]byte, error) {
	return dump(func() ([][]byte, error) {
		req := &nl.NetlinkRequest{
			NlMsghdr: unix.NlMsghdr{
				Len:   unix.SizeofNlMsghdr,
				Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | message,
				Flags: unix.NLM_F_REQUEST | flags,
			},
			Sockets: map[int]*nl.SocketHandle{unix.NETLINK_NETFILTER: f.handle},
		}
		req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: unix.NFNETLINK_V0})
		return req.Execute(unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|answer)
	})
}

// attribute returns the value of the attribute kind of an answer to ask.
func attribute(message []byte, kind uint16) ([]byte, error) {
	if len(message) < nl.SizeofNfgenmsg {
		return nil, fmt.Errorf("nfnetlink answer of %d bytes is too short", len(message))
	}
	attrs, err := nl.ParseRouteAttr(message[nl.SizeofNfgenmsg:])
	if err != nil {
		return nil, err
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value, nil
		}
	}
	return nil, fmt.Errorf("nfnetlink answer lacks attribute %d", kind)
}

// generation returns the number of the ruleset, which every nftables
// transaction in the namespace raises by one.
func (f *filterSocket) generation() (uint32, error) {
	out, err := f.ask(unix.NFT_MSG_GETGEN, 0, unix.NFT_MSG_NEWGEN)
	if err != nil {
		return 0, fmt.Errorf("ask for the nftables generation: %w", err)
	}
	for _, m := range out {
		value, err := attribute(m, unix.NFTA_GEN_ID)
		if err == nil && len(value) >= 4 {
			return binary.BigEndian.Uint32(value), nil
		}
	}
	return 0, fmt.Errorf("ask for the nftables generation: no answer")
}

// list returns the tables of the families that a netspec.Table can have, as
// "family name".
func (f *filterSocket) list() ([]string, error) {
	families := map[uint8]string{
		unix.NFPROTO_IPV4:   "ip",
		unix.NFPROTO_IPV6:   "ip6",
		unix.NFPROTO_INET:   "inet",
		unix.NFPROTO_BRIDGE: "bridge",
	}
	out, err := f.ask(unix.NFT_MSG_GETTABLE, unix.NLM_F_DUMP, unix.NFT_MSG_NEWTABLE)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	var names []string
	for _, m := range out {
		name, err := attribute(m, unix.NFTA_TABLE_NAME)
		if err != nil {
			return nil, fmt.Errorf("list nftables tables: %w", err)
		}
		if family := families[m[0]]; family != "" {
			names = append(names, family+" "+unix.ByteSliceToString(name))
		}
	}
	return names, nil
}
