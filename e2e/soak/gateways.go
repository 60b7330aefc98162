//go:build e2e

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/linux/netapply"
	"seikan/internal/secret"
)

// gatewayVerb makes this program a gateway: the package of the product, in
// process, so that it can be asked for its goroutines and its heap.
const gatewayVerb = "gateway"

const tunnelID = "t1"

// A state is what a gateway says of itself.
type state struct {
	Up            bool
	SPIIn, SPIOut string
	Rekeys        uint64
	Encap         bool
	Suite         string
	Drops         map[string]uint64

	Goroutines int
	Heap       uint64 // octets of live and dead objects
	Error      string // of what was asked for
}

// runGateway is a gateway that answers each line of its input: "rekey" renews
// the CHILD SA first.
func runGateway(args []string) error {
	flags := flag.NewFlagSet(gatewayVerb, flag.ContinueOnError)
	a := flags.Bool("a", false, "the end that begins")
	cbc := flags.Bool("cbc", false, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	g, err := gateway.New(config(*a, *cbc), gateway.Options{Log: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var asked error
		if in.Text() == "rekey" {
			asked = g.RekeyChild(ctx, tunnelID)
		}
		st := look(g)
		if asked != nil {
			st.Error = asked.Error()
		}
		if err := out.Encode(st); err != nil {
			break
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// look asks g. Nothing is collected for it: memory is to be as it is.
func look(g *gateway.Gateway) (st state) {
	for _, t := range g.Status().Tunnels {
		st.Up, st.Rekeys, st.Drops = t.Up, t.IKE.Rekeys, t.Traffic.Drops
		if t.Child != nil {
			st.SPIIn, st.SPIOut, st.Suite, st.Encap = t.Child.SPIIn, t.Child.SPIOut, t.Child.Suite, t.Child.Encap
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st.Goroutines, st.Heap = runtime.NumGoroutine(), m.HeapAlloc
	return st
}

// config is one end of the tunnel, with ESP in UDP.
func config(a, cbc bool) gateway.Config {
	esp := suite.ESP{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}
	if cbc {
		esp = suite.ESP{Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA256, Group: 19}
	}
	t := gateway.Tunnel{
		ID: tunnelID, Interface: "tun1", Initiate: a, Versions: []int{2},
		Outside: gateway.Outside{Local: netip.MustParseAddr(outsideA), Remote: netip.MustParseAddr(outsideB), ForceEncap: true},
		PSK:     secret.New([]byte("Soak.Test_PreShared.Key0")),
		IKE:     []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
		ESP:     []suite.ESP{esp},
		Inside:  netip.MustParsePrefix(insideA), Routes: []netip.Prefix{netip.MustParsePrefix(siteB)},
	}
	if !a {
		t.Outside.Local, t.Outside.Remote = t.Outside.Remote, t.Outside.Local
		t.Inside, t.Routes = netip.MustParsePrefix(insideB), []netip.Prefix{netip.MustParsePrefix(siteA)}
	}
	return gateway.Config{Name: "soak", Tunnels: []gateway.Tunnel{t}, Forward: true}
}

// An end is a running gateway.
type end struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// gateways are A, which began, and B.
type gateways [2]*end

// startGateways starts both and waits until the tunnel is up.
func startGateways(cbc bool) (gateways, error) {
	var all gateways
	for i, ns := range []string{gwA, gwB} {
		e, err := startGateway(ns, i == 0, cbc)
		if err != nil {
			all.stop()
			return all, err
		}
		all[i] = e
	}
	if _, err := all.until("the tunnel", func(now [2]state) bool { return agree(now) && now[0].Encap }); err != nil {
		all.stop()
		return all, err
	}
	return all, nil
}

func startGateway(ns string, a, cbc bool) (*end, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &end{cmd: exec.Command(self, gatewayVerb, fmt.Sprintf("-a=%v", a), fmt.Sprintf("-cbc=%v", cbc))}
	e.cmd.Stderr = os.Stderr
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.out = bufio.NewReader(out)
	return e, netapply.StartIn(ns, e.cmd)
}

// stop ends both.
func (g gateways) stop() {
	for _, e := range g {
		if e == nil || e.cmd.Process == nil {
			continue
		}
		_ = e.in.Close()
		killer := time.AfterFunc(5*time.Second, func() { _ = e.cmd.Process.Kill() })
		_ = e.cmd.Wait()
		killer.Stop()
	}
}

// ask has e look, after it did what word says.
func (e *end) ask(word string) (st state, err error) {
	if _, err := io.WriteString(e.in, word+"\n"); err != nil {
		return st, err
	}
	line, err := e.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &st)
	}
	if err == nil && st.Error != "" {
		err = errors.New(st.Error)
	}
	if err != nil {
		return st, fmt.Errorf("gateway: %w", err)
	}
	return st, nil
}

// look asks both.
func (g gateways) look() (now [2]state, err error) {
	for i, e := range g {
		if now[i], err = e.ask("look"); err != nil {
			return now, err
		}
	}
	return now, nil
}

// agree reports whether both ends are up and use the same SAs.
func agree(now [2]state) bool {
	return now[0].Up && now[1].Up && now[0].SPIIn == now[1].SPIOut && now[0].SPIOut == now[1].SPIIn
}

// until asks until done says so.
func (g gateways) until(what string, done func([2]state) bool) (time.Duration, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		now, err := g.look()
		switch {
		case err != nil:
			return 0, err
		case done(now):
			return time.Since(began), nil
		case time.Since(began) > stall:
			return 0, fmt.Errorf("%s: not within %v: %+v", what, stall, now)
		}
	}
}

// renew has one end replace the CHILD SA and waits until both use the new one.
func (g gateways) renew(by int) (time.Duration, error) {
	before, err := g.look()
	if err != nil {
		return 0, err
	}
	if _, err := g[by].ask("rekey"); err != nil {
		return 0, err
	}
	return g.until("new keys", func(now [2]state) bool {
		return agree(now) && now[0].SPIIn != before[0].SPIIn && now[0].SPIOut != before[0].SPIOut
	})
}

// drops are those of both ends.
func drops(now [2]state) map[string]uint64 {
	all := maps.Clone(now[0].Drops)
	if all == nil {
		all = map[string]uint64{}
	}
	for cause, n := range now[1].Drops {
		all[cause] += n
	}
	return all
}
