//go:build e2e

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The network: initiators have an address each on the loopback link of the one
// namespace, the responder one in the other.
const (
	initiators = "seikan-bench-i"
	responders = "seikan-bench-r"
	gatewayI   = "192.0.2.1"
	responder  = "192.0.2.2"
	firstPeer  = "10.1.0.1"
	psk        = "Bench.Test_PreShared.Key0"
	serverID   = "srv.strongswan.org" // what the load-tester calls it
)

// A benchSuite is what both phases negotiate, and its name in the table.
type benchSuite struct {
	name     string
	group    uint16
	ike, esp string // in strongSwan's words
}

var suites = []benchSuite{
	{"AES-256-GCM, DH 14", 14, "aes256gcm16-prfsha256-modp2048", "aes256gcm16"},
	{"AES-256-GCM, ECP-256", 19, "aes256gcm16-prfsha256-ecp256", "aes256gcm16"},
}

// A sample is one run.
type sample struct {
	rate float64 // setups a second
	cpu  float64 // of the responder, milliseconds a setup
}

func (s sample) String() string { return fmt.Sprintf("%.0f/s %.3f ms", s.rate, s.cpu) }

// median is that of rates and of costs, each by itself.
func median(all []sample) sample {
	by := func(of func(sample) float64) float64 {
		s := slices.Clone(all)
		slices.SortFunc(s, func(a, b sample) int { return cmp.Compare(of(a), of(b)) })
		return of(s[len(s)/2])
	}
	return sample{by(func(s sample) float64 { return s.rate }), by(func(s sample) float64 { return s.cpu })}
}

// A bench is the namespaces and a directory for configurations.
type bench struct {
	plan plan
	dir  string
}

func newBench(p plan) (*bench, error) {
	dir, err := os.MkdirTemp("", "benchike")
	if err != nil {
		return nil, err
	}
	b := &bench{plan: p, dir: dir}
	for _, line := range []string{
		"netns add " + initiators, "netns add " + responders,
		"-n " + initiators + " link add out type veth peer name out netns " + responders,
		"-n " + initiators + " address add " + gatewayI + "/30 dev out", "-n " + responders + " address add " + responder + "/30 dev out",
		"-n " + initiators + " link set out up", "-n " + responders + " link set out up",
		"-n " + initiators + " link set lo up", "-n " + responders + " link set lo up",
		"-n " + responders + " route add 10.1.0.0/16 via " + gatewayI,
	} {
		if err := ip(strings.Fields(line)...); err != nil {
			b.close()
			return nil, err
		}
	}
	// The load-tester would add each address by itself, and wait for it.
	var lines strings.Builder
	for addr, i := netip.MustParseAddr(firstPeer), 0; i < max(p.setups, p.tunnels); addr, i = addr.Next(), i+1 {
		fmt.Fprintf(&lines, "address add %v/32 dev lo\n", addr)
	}
	if err := batch(initiators, lines.String()); err != nil {
		b.close()
		return nil, fmt.Errorf("addresses: %w", err)
	}
	return b, nil
}

func (b *bench) close() {
	_ = ip("netns", "del", initiators)
	_ = ip("netns", "del", responders)
	_ = os.RemoveAll(b.dir)
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// batch has ip do all lines in a namespace.
func batch(namespace, lines string) error {
	cmd := exec.Command("ip", "-n", namespace, "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch: %w: %s", err, out)
	}
	return nil
}

// A responding process is one that waits for initiators.
type responding interface {
	pid() int
	stop() error
}

// settle is how long the responder's work after the last setup still counts.
const settle = 3 * time.Second

// load has the load-tester set tunnels up with the responder that start
// starts.
func (b *bench) load(s benchSuite, start func(benchSuite, int) (responding, error)) (sample, error) {
	r, err := start(s, b.plan.setups)
	if err != nil {
		return sample{}, err
	}
	defer r.stop()
	before, err := cpuTime(r.pid())
	if err != nil {
		return sample{}, err
	}
	lt, took, err := b.setUp(s, b.plan.setups)
	if err != nil {
		return sample{}, err
	}
	defer lt.kill()
	time.Sleep(settle)
	after, err := cpuTime(r.pid())
	if err != nil {
		return sample{}, err
	}
	return sample{
		rate: float64(b.plan.setups) / took.Seconds(),
		cpu:  float64((after - before).Microseconds()) / 1000 / float64(b.plan.setups),
	}, nil
}

// patience is how long a run may stand still.
const patience = 20 * time.Second

// setUp starts the load-tester and returns when n tunnels are up, and how long
// that took from the first of them on.
func (b *bench) setUp(s benchSuite, n int) (*charon, time.Duration, error) {
	lt, err := b.startCharon("load", initiators, loadConf(s, n))
	if err != nil {
		return nil, 0, err
	}
	last, first, moved := 0, time.Time{}, time.Now()
	for {
		up, err := lt.established()
		switch {
		case err != nil:
			lt.kill()
			return nil, 0, err
		case up >= n:
			return lt, time.Since(first), nil
		case up > 0 && first.IsZero():
			first = time.Now()
		case time.Since(moved) > patience:
			lt.kill()
			return nil, 0, fmt.Errorf("%d of %d tunnels are up, and no more since %v", up, n, patience)
		}
		if up > last {
			last, moved = up, time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cpuTime is what a process has used, in user space and in the kernel.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, errors.New("stat: too short")
	}
	user, err := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / ticks, errors.Join(err, err2)
}

// ticks is USER_HZ.
const ticks = 100

// machine names the processor and the load when it began.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d processors, load before: %s; %s", model, runtime.NumCPU(), strings.TrimSpace(string(load)), runtime.Version())
}
