//go:build e2e

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"seikan/internal/linux/netapply"
)

// A process runs in a namespace until it is stopped.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error

	mu  sync.Mutex
	out bytes.Buffer // what it printed
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// printed is the end of what it printed.
func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.out.String()
	return s[max(0, len(s)-2000):]
}

// launch starts a program in a namespace.
func launch(ns string, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = append(os.Environ(), env...)
	if err := netapply.StartIn(ns, p.cmd); err != nil {
		return nil, err
	}
	go func() { defer close(p.exited); p.err = p.cmd.Wait() }()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends it, at once if it does not do so by itself.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// until asks again until check returns nil, or p ends, or limit has passed.
func (p *process) until(what string, limit time.Duration, check func() error) error {
	for began := time.Now(); ; {
		err := check()
		if err == nil {
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%s: not within %v: %w: %s", what, limit, err, p.printed())
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s: %s ended: %v: %s", what, filepath.Base(p.cmd.Path), p.err, p.printed())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stopAll ends several, all at the same time.
func stopAll(list []*process) {
	var all sync.WaitGroup
	for _, p := range list {
		all.Go(p.stop)
	}
	all.Wait()
}

// ticks is USER_HZ.
const ticks = 100

// cpuTime is what processes have used in all their threads, in user space and
// in the kernel.
func cpuTime(list []*process) (total time.Duration, err error) {
	for _, p := range list {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
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
		if err := errors.Join(err, err2); err != nil {
			return 0, err
		}
		total += time.Duration(user+system) * time.Second / ticks
	}
	return total, nil
}

// memory is a line of a process's status, such as VmRSS, in MB.
func memory(p *process, line string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), line+":")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0, fmt.Errorf("status: no %s", line)
	}
	kib, err := strconv.ParseFloat(fields[0], 64)
	return kib * 1024 / 1e6, err
}
