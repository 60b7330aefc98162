//go:build e2e

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"seikan/e2e/world"
	"seikan/internal/linux/netapply"
)

// An impairment is what is wrong with the path between the gateways.
type impairment string

// There are these. An impaired path carries datagrams one by one: a train of
// them that the kernel takes for one packet would be lost as a whole.
const (
	clean   impairment = ""
	loss    impairment = "loss"    // 1 % is lost, either way
	reorder impairment = "reorder" // 10 % come 0.1 to 0.3 ms late, either way
)

// The kernel may have no netem. So losses are nft's, in the gateways.
const losing = `
table ip lossy {
  chain in {
    type filter hook prerouting priority -300
    iifname "wan" numgen random mod 100 == 0 drop
  }
}
`

// late sends a tenth of what crosses the middle through a TUN whose other end
// waits and gives it back.
const late = `
table ip late {
  chain in {
    type filter hook prerouting priority -300
    iifname { "left", "right" } numgen random mod 10 == 0 meta mark set 1
  }
}
`

// lateLink is that TUN.
const lateLink = "late0"

// cable joins the gateways, in ip's words.
func (i impairment) cable() string {
	if i != reorder {
		return "-n gwA link add wan type veth peer name wan netns gwB\n"
	}
	return `
netns add mid
-n gwA link add wan type veth peer name left netns mid
-n gwB link add wan type veth peer name right netns mid
-n mid address add 192.0.2.254/24 dev left
-n mid address add 198.51.100.254/24 dev right
-n mid link set left up
-n mid link set right up
`
}

// ends are the ends of the cable: namespace and link.
func (i impairment) ends() [][2]string {
	list := [][2]string{{gwA, "wan"}, {gwB, "wan"}}
	if i == reorder {
		list = append(list, [2]string{mid, "left"}, [2]string{mid, "right"})
	}
	return list
}

// begin impairs until what it returns is called.
func (i impairment) begin() (end func(), err error) {
	end = func() {}
	if i == clean {
		return end, nil
	}
	for _, e := range i.ends() {
		if err := world.Run("ip", "netns", "exec", e[0], "ethtool", "-K", e[1], "gso", "off", "tso", "off", "gro", "off", "tx-udp-segmentation", "off"); err != nil {
			return nil, err
		}
	}
	if i == loss {
		for _, ns := range []string{gwA, gwB} {
			if err := nft(ns, losing); err != nil {
				return nil, err
			}
		}
		return end, nil
	}
	if end, err = delay(); err != nil {
		return nil, err
	}
	for _, key := range []string{"ip_forward=1", "conf.all.rp_filter=0", "conf.default.rp_filter=0", "conf.left.rp_filter=0", "conf.right.rp_filter=0", "conf." + lateLink + ".rp_filter=0", "conf.left.proxy_arp=1", "conf.right.proxy_arp=1", "neigh.left.proxy_delay=0", "neigh.right.proxy_delay=0"} {
		if err := world.Run("ip", "netns", "exec", mid, "sysctl", "-qw", "net.ipv4."+key); err != nil {
			return end, err
		}
	}
	return end, nft(mid, late)
}

func nft(ns, text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", ns, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft in %s: %w: %s", ns, err, out)
	}
	return nil
}

// delay opens the TUN in the middle, leads marked packets there and gives them
// back a little later, until end.
func delay() (end func(), err error) {
	fd := -1
	err = netapply.InNamespace(mid, func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq(lateLink)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	})
	if err != nil {
		return nil, fmt.Errorf("the TUN that delays: %w", err)
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() { defer close(done); linger(fd, &stop) }()
	end = func() { stop.Store(true); <-done; _ = unix.Close(fd) }
	return end, world.Lines("-n mid link set " + lateLink + " up\n-n mid rule add fwmark 1 table 100\n-n mid route add default dev " + lateLink + " table 100")
}

// linger takes all that are there, waits and gives them back.
func linger(fd int, stop *atomic.Bool) {
	const most, wait = 512, 100 * time.Microsecond
	var packets [most][2048]byte
	var sizes [most]int
	for !stop.Load() {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 50); n < 1 || err != nil {
			continue
		}
		time.Sleep(wait)
		n := 0
		for ; n < most; n++ {
			size, err := unix.Read(fd, packets[n][:])
			if err != nil {
				break
			}
			sizes[n] = size
		}
		for i := range n {
			_, _ = unix.Write(fd, packets[i][:sizes[i]]) // what is lost is TCP's to repeat
		}
	}
}

// measureImpaired is one stream either way over what an impairment left.
func measureImpaired(i impairment) func(*session, taker) error {
	return func(s *session, take taker) error { return s.measureBoth(string(i), take) }
}
