//go:build e2e

// Package scale starts many VPN connections on one machine: each is a customer
// gateway of its own, a process in its own namespace, with two tunnels and BGP on
// both to one of the cloud's gateways, which have ten connections each, as AWS's
// quota has it, and are a process and a namespace each.
//
// It never makes the namespace that it lays all this in: it may be called inside
// world.Private only, by one caller at a time. SEIKAN names the binary.
package scale

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"seikan/internal/gateway"
)

const perCloud = 10 // connections of one of the cloud's gateways (vpn §5.1)

// Limits of a run.
const (
	MaxConnections = 250
	MaxTime        = 30 * time.Second // until all sessions are up
	MaxMemory      = 4 << 30          // octets, of all processes, pages that they share counted once
)

// A Cost is what one run found.
type Cost struct {
	Processes, Threads int
	Took               time.Duration // from the first process's start to the last session, at both ends
	CPU                time.Duration // of all processes, until then
	// Resident is the sum over all processes in octets, and Proportional the same
	// with pages that they share counted once (proc_pid_smaps_rollup(5), Pss).
	Resident, Proportional int64
}

// Check is an error when c exceeds MaxTime or MaxMemory.
func (c Cost) Check() error {
	if c.Took > MaxTime || c.Proportional > MaxMemory {
		return fmt.Errorf("all sessions up after %v with %d MB, want at most %v and %d MB", c.Took, c.Proportional>>20, MaxTime, MaxMemory>>20)
	}
	return nil
}

// A process is one gateway.
type process struct {
	cmd      *exec.Cmd
	control  string
	sessions int
}

// Run lays the network of n connections, 1 to MaxConnections, starts everything
// at once and waits at most MaxTime until every BGP session is established at both
// ends and what its peer announces is accepted. Afterwards all of it is gone.
func Run(n int) (c Cost, err error) {
	dir, err := os.MkdirTemp("", "scale")
	if err != nil {
		return c, err
	}
	defer os.RemoveAll(dir)
	laying := time.Now()
	if err := lay(n); err != nil {
		return c, err
	}
	fmt.Fprintf(os.Stderr, "%d connections: the network is laid after %.1f s\n", n, time.Since(laying).Seconds())
	var all []*process
	defer func() { err = errors.Join(err, end(all), clean(n)) }()
	began := time.Now()
	for i := range n {
		p, err := start(dir, customer(i), customerFile(i), 2)
		if err != nil {
			return c, err
		}
		all = append(all, p)
	}
	for j := range clouds(n) {
		p, err := start(dir, cloud(j), cloudFile(j, n), 2*min(perCloud, n-j*perCloud))
		if err != nil {
			return c, err
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.await(began.Add(MaxTime)); err != nil {
			return c, err
		}
	}
	c.Took, c.Processes = time.Since(began), len(all)
	fmt.Fprintf(os.Stderr, "%d connections: up after %.1f s\n", n, c.Took.Seconds())
	for _, p := range all {
		if err := c.add(p.cmd.Process.Pid); err != nil {
			return c, err
		}
	}
	return c, nil
}

// start starts a gateway in a namespace.
func start(dir, namespace, text string, sessions int) (*process, error) {
	file := filepath.Join(dir, namespace+".yaml")
	p := &process{control: filepath.Join(dir, namespace+".sock"), sessions: sessions}
	if err := os.WriteFile(file, []byte("name: "+namespace+"\ncontrol_socket: "+p.control+"\n"+text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, namespace+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command("ip", "netns", "exec", namespace, os.Getenv("SEIKAN"), "gateway", "run", "--config", file)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	return p, p.cmd.Start()
}

// await returns when all sessions of p are established and what the peers
// announce is accepted.
func (p *process) await(late time.Time) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		up, err := p.up()
		if up == p.sessions {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s: %d of %d sessions, %v: %s", p.control, up, p.sessions, err, p.log(4000))
		}
		<-tick.C
	}
}

// log is the end of what p said, at most n octets.
func (p *process) log(n int) []byte {
	all, _ := os.ReadFile(strings.TrimSuffix(p.control, ".sock") + ".log")
	return all[max(0, len(all)-n):]
}

// up is how many sessions of p are.
func (p *process) up() (n int, err error) {
	conn, err := net.DialTimeout("unix", p.control, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(`{"verb":"status"}` + "\n")); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status gateway.Status `json:"status"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return 0, err
	}
	if answer.Status.BGP == nil {
		return 0, nil
	}
	for _, s := range answer.Status.BGP.Peers {
		if s.Established && s.Accepted == 1 {
			n++
			continue
		}
		err = fmt.Errorf("%s: %s since %v, %d accepted: %s", s.Tunnel, s.State, s.Since, s.Accepted, s.LastError)
	}
	return n, err
}

// add adds what the process pid has used.
func (c *Cost) add(pid int) error {
	folder := fmt.Sprintf("/proc/%d/", pid)
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return err
	}
	rollup, err := os.ReadFile(folder + "smaps_rollup")
	if err != nil {
		return err
	}
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return err
	}
	c.Resident += number(status, "VmRSS:") << 10
	c.Proportional += number(rollup, "Pss:") << 10
	c.Threads += int(number(status, "Threads:"))
	// Fields 14 and 15 of proc_pid_stat(5), counted from behind the name.
	_, after, _ := bytes.Cut(stat, []byte(") "))
	words := strings.Fields(string(after))
	for _, w := range words[11:13] {
		c.CPU += time.Duration(number([]byte(w), "")) * 10 * time.Millisecond
	}
	return nil
}

// number is what stands behind key.
func number(text []byte, key string) (n int64) {
	_, after, _ := bytes.Cut(text, []byte(key))
	fmt.Sscan(string(after), &n) // 0 where there is none
	return n
}

// end ends all gateways as an operator does.
func end(all []*process) error {
	var errs []error
	for _, p := range all {
		errs = append(errs, p.cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, p := range all {
		if err := p.cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: %s", p.control, err, p.log(500)))
		}
	}
	return errors.Join(errs...)
}
