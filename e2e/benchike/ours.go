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
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/processors"
	"seikan/internal/secret"
)

// respondVerb makes this program our responder: the gateway, in process, so
// that its memory can be asked for.
const respondVerb = "respond"

// An ours is our running responder.
type ours struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader

	tunnels int
}

// A report is what our responder says of itself.
type report struct {
	Up         int
	Heap       uint64 // in use after a collection
	Stack      uint64 // of goroutines
	Goroutines int
	Start      time.Duration // from the beginning to when all tunnels ran
}

// startOurs starts our responder with n tunnels and waits until they run.
func (b *bench) startOurs(s benchSuite, n int) (responding, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"netns", "exec", responders, self, respondVerb, "-tunnels", strconv.Itoa(n), "-group", strconv.Itoa(int(s.group))}
	if b.plan.profile != "" {
		args = append(args, "-profile", filepath.Join(b.plan.profile, fmt.Sprintf("group%d-%d.pprof", s.group, n)))
	}
	o := &ours{cmd: exec.Command("ip", args...), tunnels: n}
	o.cmd.Stderr = os.Stderr
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.out = bufio.NewReader(out)
	if err := o.cmd.Start(); err != nil {
		return nil, err
	}
	first := "profile"
	if n == b.plan.tunnels {
		first = ""
	}
	if _, err := o.ask(first); err != nil {
		return nil, errors.Join(fmt.Errorf("our responder: %w", err), o.stop())
	}
	return o, nil
}

// ask has it report. The word profile makes it begin to write one, if it was
// told where.
func (o *ours) ask(word string) (report, error) {
	var r report
	if _, err := io.WriteString(o.in, word+"\n"); err != nil {
		return r, err
	}
	line, err := o.out.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(line, &r)
}

func (o *ours) pid() int { return o.cmd.Process.Pid }

// stop ends it at once; when a profile is to be written it ends by itself. A
// process that dies with thousands of TUNs takes minutes, since the kernel ends
// them one by one; a group of links it ends at once.
func (o *ours) stop() error {
	if slices.Contains(o.cmd.Args, "-profile") {
		_ = o.in.Close()
		_, _ = o.out.ReadBytes('\n') // until it has written
	}
	if err := o.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	var group strings.Builder
	for i := range o.tunnels {
		fmt.Fprintf(&group, "link set t%d group 7\n", i)
	}
	err := errors.Join(batch(responders, group.String()), ip("-n", responders, "link", "del", "group", "7"), o.cmd.Process.Kill())
	_ = o.cmd.Wait() // it says that it was killed
	return err
}

// respond is our responder: it serves until its input ends, and reports for
// every line of it.
func respond(args []string) error {
	flags := flag.NewFlagSet(respondVerb, flag.ContinueOnError)
	tunnels := flags.Int("tunnels", 1, "")
	group := flags.Int("group", 19, "")
	profile := flags.String("profile", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	began := time.Now()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	g, err := gateway.New(config(*tunnels, suite.Group(*group)), gateway.Options{Log: log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	go processors.Follow(ctx)
	<-g.Changed() // every tunnel was started
	started := time.Since(began)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		select {
		case err := <-ended:
			return err
		default:
		}
		if in.Text() == "profile" && *profile != "" {
			f, err := os.Create(*profile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer func() {
				pprof.StopCPUProfile()
				fmt.Println(writeHeap(*profile + ".heap"))
				select {}
			}()
		}
		r := look(g)
		r.Start = started
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// writeHeap writes what is allocated, and by whom.
func writeHeap(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

func look(g *gateway.Gateway) (r report) {
	for _, t := range g.Status().Tunnels {
		if t.Up {
			r.Up++
		}
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.Heap, r.Stack, r.Goroutines = m.HeapAlloc, m.StackInuse, runtime.NumGoroutine()
	return r
}

// config is a gateway with n tunnels, each to a peer of its own, with an inside
// address and a route.
func config(n int, group suite.Group) gateway.Config {
	cfg := gateway.Config{Name: "bench"}
	remote, inside, behind := netip.MustParseAddr(firstPeer), netip.MustParseAddr("169.254.0.1"), netip.MustParseAddr("10.200.0.0")
	for i := range n {
		cfg.Tunnels = append(cfg.Tunnels, gateway.Tunnel{
			ID: fmt.Sprintf("tunnel-%d", i), Interface: fmt.Sprintf("t%d", i),
			Outside: gateway.Outside{Local: netip.MustParseAddr(responder), Remote: remote, LocalID: serverID, RemoteID: "%any"},
			PSK:     secret.New([]byte(psk)), Versions: []int{2},
			IKE:    []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA256, Group: group}},
			ESP:    []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 256, Group: group}},
			Inside: netip.PrefixFrom(inside, 30), Routes: []netip.Prefix{netip.PrefixFrom(behind, 32)},
		})
		remote, behind = remote.Next(), behind.Next()
		for range 4 {
			inside = inside.Next()
		}
	}
	return cfg
}

// idle has the gateway hold many tunnels, and measures them while nothing but
// dead peer detection happens.
func (b *bench) idle(s benchSuite) error {
	r, err := b.startOurs(s, b.plan.tunnels)
	if err != nil {
		return err
	}
	defer r.stop()
	o := r.(*ours)
	empty, err := o.ask("")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d tunnels wait: %+v\n", b.plan.tunnels, empty)
	lt, took, err := b.setUp(s, b.plan.tunnels)
	if err != nil {
		return err
	}
	defer lt.kill()
	time.Sleep(5 * settle)
	if _, err := o.ask("profile"); err != nil {
		return err
	}
	shares, err := b.watchShares(o)
	if err != nil {
		return err
	}
	rss, err := residentKB(o.pid())
	if err != nil {
		return err
	}
	full, err := o.ask("")
	if err != nil {
		return err
	}
	n := float64(b.plan.tunnels)
	fmt.Printf("\n| one gateway process, %s | |\n|---|---:|\n", s.name)
	fmt.Printf("| tunnels up | %d of %d |\n| started in | %.1f s |\n| all set up in | %.1f s |\n", full.Up, b.plan.tunnels, empty.Start.Seconds(), took.Seconds())
	fmt.Printf("| heap a tunnel | %.1f KB |\n| stacks a tunnel | %.1f KB |\n| resident a tunnel | %.1f KB |\n| goroutines a tunnel | %.2f |\n",
		float64(full.Heap)/n/1000, float64(full.Stack)/n/1000, float64(rss)/n*1.024, float64(full.Goroutines)/n)
	fmt.Printf("| dead peer detection of all, each every 10 s, watched %d times for %v | %s of one processor |\n", len(shares), b.plan.watch, strings.Join(shares, ", "))
	return nil
}

// watchShares is how much of one processor o used during each watch, in words:
// all that it used, in user space and in the kernel.
func (b *bench) watchShares(o *ours) ([]string, error) {
	var shares []string
	for range b.plan.watches {
		before, err := cpuTime(o.pid())
		if err != nil {
			return nil, err
		}
		began := time.Now()
		time.Sleep(b.plan.watch)
		after, err := cpuTime(o.pid())
		if err != nil {
			return nil, err
		}
		watched := time.Since(began)
		share := fmt.Sprintf("%.1f %%", 100*(after-before).Seconds()/watched.Seconds())
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Fprintf(os.Stderr, "watched for %.0f s: %s, load %s", watched.Seconds(), share, load)
		shares = append(shares, share)
	}
	return shares, nil
}

// residentKB is the resident set of a process in KiB.
func residentKB(pid int) (int, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0, errors.New("status: no VmRSS")
	}
	return strconv.Atoi(fields[0])
}
