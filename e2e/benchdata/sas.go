//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"seikan/e2e/world"
	"seikan/internal/linux/netapply"
)

// Many SAs: so many tunnels between two data planes, and how many of them carry
// a TCP stream each.
const (
	manyTunnels = 10_000
	busyTunnels = 100
)

// The busy addresses of either end are the first of these.
const (
	busyA, busyB         = "10.1.2.", "10.2.2."
	busySiteA, busySiteB = busyA + "0/24", busyB + "0/24"
)

// busyAddr is the i-th address at an end, busyA or busyB, that has a tunnel of
// its own, or shares the only one.
func busyAddr(end string, i int) string { return end + strconv.Itoa(i+1) }

// busySites are where the tunnels of both ends lead: n of them, of which as many
// as there are busy addresses have one each, or the only one has all.
func busySites(n int) (ofA, ofB []string) {
	if n == 1 {
		return []string{busySiteB}, []string{busySiteA}
	}
	ofA, ofB = make([]string, n), make([]string, n)
	// Any of them, the same each time. At equal distances what the kernel and we
	// know of them would fall on the same few lines of a cache.
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(n)[:busyTunnels] {
		ofA[at], ofB[at] = busyAddr(busyB, i)+"/32", busyAddr(busyA, i)+"/32"
	}
	return ofA, ofB
}

// A flood is a TCP stream from the client to each busy address of the server.
type flood struct {
	conns    []net.Conn // at both ends
	listener net.Listener
	came     atomic.Int64 // octets
	ends     sync.WaitGroup
}

const (
	// floodBuffer is what is written and read at once, in octets: iperf3's.
	floodBuffer = 128 << 10
	// floodLead is how long the streams have to get going.
	floodLead = 500 * time.Millisecond
	// floodPatience is for connecting them.
	floodPatience = 10 * time.Second
)

// layBusy gives the busy addresses to the ends, and what leads there on both
// sides of the gateways.
func layBusy() error {
	var lines strings.Builder
	for i := range busyTunnels {
		fmt.Fprintf(&lines, "-n client address add %s/32 dev lo\n-n server address add %s/32 dev lo\n", busyAddr(busyA, i), busyAddr(busyB, i))
	}
	return world.Lines(lines.String() + `
-n client link set lo up
-n server link set lo up
-n gwA route add ` + busySiteA + ` via ` + clientAddr + `
-n gwB route add ` + busySiteB + ` via ` + serverAddr)
}

// begin connects all and starts to send.
func (f *flood) begin() (err error) {
	err = netapply.InNamespace(server, func() (err error) {
		f.listener, err = net.Listen("tcp4", "0.0.0.0:0")
		return err
	})
	if err != nil {
		return err
	}
	port := f.listener.Addr().(*net.TCPAddr).Port
	var senders []net.Conn
	for i := range busyTunnels {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(busyAddr(busyA, i))}, Timeout: floodPatience}
		var conn net.Conn
		err := netapply.InNamespace(client, func() (err error) {
			conn, err = from.Dial("tcp4", net.JoinHostPort(busyAddr(busyB, i), fmt.Sprint(port)))
			return err
		})
		if err != nil {
			return err
		}
		f.conns = append(f.conns, conn)
		senders = append(senders, conn)
		if err := f.listener.(*net.TCPListener).SetDeadline(time.Now().Add(floodPatience)); err != nil {
			return err
		}
		arrived, err := f.listener.Accept()
		if err != nil {
			return err
		}
		f.conns = append(f.conns, arrived)
		f.ends.Go(func() { f.read(arrived) })
	}
	for _, conn := range senders {
		f.ends.Go(func() {
			b := make([]byte, floodBuffer)
			for err := error(nil); err == nil; { // until it is closed
				_, err = conn.Write(b)
			}
		})
	}
	return nil
}

// read counts what comes.
func (f *flood) read(conn net.Conn) {
	b := make([]byte, floodBuffer)
	for {
		n, err := conn.Read(b)
		f.came.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func (f *flood) end() {
	if f.listener != nil {
		_ = f.listener.Close()
	}
	for _, c := range f.conns {
		_ = c.(*net.TCPConn).SetLinger(0) // what is still under way would disturb the next
		_ = c.Close()
	}
	f.ends.Wait()
}

// measureSAs takes note of what arrives of all streams together, in Mbit/s, in
// each round: through one tunnel, and through a hundred of many.
func (p plan) measureSAs(r *results) error {
	path, err := lay(clean)
	if err != nil {
		return err
	}
	defer path.close()
	if err := layBusy(); err != nil {
		return err
	}
	for round := range p.runs {
		for _, m := range []struct {
			name    string
			tunnels int
		}{{"sas.one", 1}, {"sas.many", manyTunnels}} {
			progress("round %d of %d: %d streams, tunnels: %d", round+1, p.runs, busyTunnels, m.tunnels)
			v, err := p.measureTunnels(m.tunnels)
			if err != nil {
				return err
			}
			progress("  %s: %.4g", m.name, v)
			r.take(r.own[0], m.name, v)
		}
	}
	return nil
}

// measureTunnels starts both ends and floods them. On SIGINT and SIGTERM the links
// end before the program does.
func (p plan) measureTunnels(n int) (rate float64, err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ofA, ofB := busySites(n)
	for i, ns := range []string{gwA, gwB} {
		end, failed := startPlane(ns, i == 0, [][]string{ofA, ofB}[i])
		if end != nil {
			defer func() { err = errors.Join(err, end.stop()) }()
		}
		if failed = errors.Join(failed, ctx.Err()); failed != nil {
			return 0, failed
		}
	}
	return flooded(ctx, time.Duration(p.seconds)*time.Second)
}

// flooded is what arrives of one flood, in Mbit/s.
func flooded(ctx context.Context, lasting time.Duration) (float64, error) {
	var f flood
	defer f.end()
	if err := f.begin(); err != nil {
		return 0, err
	}
	pause(ctx, floodLead)
	before, began := f.came.Load(), time.Now()
	pause(ctx, lasting)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	octets, took := f.came.Load()-before, time.Since(began)
	if octets == 0 {
		return 0, errors.New("no traffic passed")
	}
	return float64(octets) * 8 / 1e6 / took.Seconds(), nil
}

// pause waits until d is over, or ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
