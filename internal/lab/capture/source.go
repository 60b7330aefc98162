package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SnapLen is how much of a packet is kept, in octets: more than any link here
// carries, segments that the kernel has not cut yet included.
const SnapLen = 65536

// A Frame is one packet as it passed. Data is valid until the next Read.
type Frame struct {
	Time     time.Time
	Outgoing bool
	Data     []byte // from the IP header on
}

// A Source reads the packets of one link, or of all links of a namespace. It is
// used by one goroutine.
type Source struct {
	file  *os.File
	all   bool
	buf   []byte
	drops uint64
}

// Open opens the link called name in the network namespace of the calling
// thread; an empty name means all its links, whose incoming packets alone are
// then seen, so that a packet that is passed on counts once. The Source works
// from any thread afterwards. It needs CAP_NET_RAW.
func Open(name string) (*Source, error) {
	index := 0
	if name != "" {
		link, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("capture %s: %w", name, err)
		}
		index = link.Index
	}
	// Protocol 0 until it is bound: no packet of another link gets in between.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("capture: opening a packet socket: %w", err)
	}
	if err := setUp(fd, index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("capture %s: %w", name, err)
	}
	return &Source{file: os.NewFile(uintptr(fd), "packet"), all: index == 0, buf: make([]byte, SnapLen)}, nil
}

func setUp(fd, index int) error {
	// A burst must fit: what does not is dropped by the kernel and counted. The
	// size that needs a privilege is tried first.
	const want = 8 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
			return err
		}
	}
	if index != 0 {
		// A bridge shows what passes between its ports only when asked.
		mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
			return err
		}
	}
	return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: index})
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// Read returns the next IP packet. It ends with the deadline set last, or with
// os.ErrClosed after Close.
func (s *Source) Read() (Frame, error) {
	for {
		n, from, err := s.receive()
		if err != nil {
			return Frame{}, err
		}
		ll, ok := from.(*unix.SockaddrLinklayer)
		if !ok || ll.Protocol != htons(unix.ETH_P_IP) && ll.Protocol != htons(unix.ETH_P_IPV6) {
			continue
		}
		outgoing := ll.Pkttype == unix.PACKET_OUTGOING
		if s.all && outgoing || n == 0 {
			continue
		}
		return Frame{Time: time.Now(), Outgoing: outgoing, Data: s.buf[:min(n, len(s.buf))]}, nil
	}
}

func (s *Source) receive() (n int, from unix.Sockaddr, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var inner error
	err = raw.Read(func(fd uintptr) bool {
		n, from, inner = unix.Recvfrom(int(fd), s.buf, 0)
		return !errors.Is(inner, unix.EAGAIN) && !errors.Is(inner, unix.EINTR)
	})
	if err == nil && errors.Is(inner, unix.ENETDOWN) {
		return 0, nil, fmt.Errorf("the link went down: %w", inner)
	}
	return n, from, errors.Join(err, inner)
}

// SetDeadline bounds Read; the zero time means for ever.
func (s *Source) SetDeadline(t time.Time) error { return s.file.SetReadDeadline(t) }

// Dropped is how many packets the kernel dropped since Open because Read lagged.
func (s *Source) Dropped() (uint64, error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		// Reading the counters clears them.
		st, e := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if inner = e; e == nil {
			s.drops += uint64(st.Drops)
		}
	})
	return s.drops, errors.Join(err, inner)
}

// Close ends the capture.
func (s *Source) Close() error { return s.file.Close() }

// Each reads until ctx ends, an error, or take returns false. That ctx ended,
// or its deadline passed, is no error.
func (s *Source) Each(ctx context.Context, take func(Frame) bool) error {
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		f, err := s.Read()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !take(f) {
			return nil
		}
	}
}
