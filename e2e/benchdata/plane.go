//go:build e2e

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"seikan/e2e/world"
	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/linux/netapply"
	"seikan/internal/processors"
	"seikan/internal/secret"
)

// planeVerb makes this program a gateway without IKE: the product's data plane
// over TUNs and sockets of the kernel, with SAs that were never negotiated.
// Ten thousand negotiations would take longer than all the rest.
const planeVerb = "plane"

// planeReady is what it prints.
const planeReady = "installed"

// runPlane serves until its input ends. It prints a line when all is installed.
func runPlane(args []string) error {
	signal.Ignore(os.Interrupt) // its parent ends it
	flags := flag.NewFlagSet(planeVerb, flag.ContinueOnError)
	a := flags.Bool("a", false, "gateway A")
	tunnels := flags.Int("tunnels", 1, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	local, remote := netip.MustParseAddr(outsideA), netip.MustParseAddr(outsideB)
	if !*a {
		local, remote = remote, local
	}
	out, err := udp.Listen(local, udp.Ports{IKE: udp.IKEPort, NAT: udp.NATPort}, udp.Options{})
	if err != nil {
		return err
	}
	defer out.Close()
	engine := dataplane.New(dataplane.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	_ = processors.Prefer(processors.Nice) // as a gateway does; root may
	go processors.Follow(ctx)
	for i := range *tunnels {
		if err := install(engine, out, remote, i, *a); err != nil {
			cancel()
			return errors.Join(err, <-ended)
		}
	}
	fmt.Println(planeReady)
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	<-ended // because it was told to
	return nil
}

// install makes tunnel i with a TUN and an SA each way.
func install(engine *dataplane.Engine, out *udp.Outside, remote netip.Addr, i int, a bool) error {
	const mtu = 1400 // fits ESP in UDP in 1500
	dev, err := tun.Open(planeLink(i), mtu)
	if err != nil {
		return err
	}
	t, err := engine.AddTunnel(dataplane.TunnelConfig{ID: planeLink(i), Dev: dev, Outside: out})
	if err != nil {
		return err
	}
	all := []ike.Selector{{EndPort: 65535, Start: netip.MustParseAddr("0.0.0.0"), End: netip.MustParseAddr("255.255.255.255")}}
	spiIn, spiOut := planeSPI(2*i), planeSPI(2*i+1)
	if !a {
		spiIn, spiOut = spiOut, spiIn
	}
	sa := &ike.ChildSA{
		SPIIn: spiIn, SPIOut: spiOut, Suite: suite.ESP{Encr: suite.AESGCM16, KeyBits: 128},
		KeysIn: planeKeys(spiIn), KeysOut: planeKeys(spiOut), LocalTS: all, RemoteTS: all, Encap: true,
		Local: netip.AddrPortFrom(out.Addr(), udp.NATPort), Remote: netip.AddrPortFrom(remote, udp.NATPort),
		Created: time.Now(), Initiator: a,
	}
	if err := t.InstallInbound(sa); err != nil {
		return err
	}
	return t.UseOutbound(sa)
}

// planeLink is the TUN of a tunnel.
func planeLink(i int) string { return "tun" + strconv.Itoa(i) }

// planeSPI is spread as random ones are, and no two are the same.
func planeSPI(n int) uint32 { return uint32(n+1) * 2654435761 }

// planeKeys are no secret: what they seal stays on this machine.
func planeKeys(spi uint32) suite.ESPKeys {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(nil, spi))
	return suite.ESPKeys{Encr: secret.New(sum[:16+4])} // key and salt
}

// A plane is one end, with its routes laid.
type plane struct {
	ns  string
	cmd *exec.Cmd
	in  io.WriteCloser
}

// startPlane starts one end and has tunnel i lead to the i-th of sites, if that
// is one.
func startPlane(ns string, a bool, sites []string) (*plane, error) {
	// No tunnel is to be busy with looking for routers.
	if err := world.Run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &plane{ns: ns, cmd: exec.Command(self, planeVerb, fmt.Sprintf("-a=%v", a), "-tunnels", strconv.Itoa(len(sites)))}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := netapply.StartIn(ns, p.cmd); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != planeReady {
		return p, fmt.Errorf("the data plane in %s said %q: %v", ns, line, err)
	}
	var lines strings.Builder
	for i, site := range sites {
		fmt.Fprintf(&lines, "link set %s group %d up\n", planeLink(i), planeGroup)
		if site != "" {
			fmt.Fprintf(&lines, "route add %s dev %s\n", site, planeLink(i))
		}
	}
	return p, ipBatch(ns, lines.String())
}

// planeGroup is the group of all its links, which the kernel ends at once: those
// of a process that ends it ends one by one, which takes 20 ms each.
const planeGroup = 7

// stop ends it, the links first.
func (p *plane) stop() error {
	err := world.Run("ip", "-n", p.ns, "link", "del", "group", strconv.Itoa(planeGroup))
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it says that it was killed
	return err
}

// ipBatch runs many lines of ip in a namespace.
func ipBatch(ns, lines string) error {
	cmd := exec.Command("ip", "-n", ns, "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s", err, out[:min(len(out), 300)])
	}
	return nil
}
