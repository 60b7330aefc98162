//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seikan/internal/linux/netapply"
)

// The tests of lab_*_test.go meet the lab as a user does: by its command line,
// with the system overview, as root inside this package's own namespaces.

// overviewFile is the topology that the tests vary.
const overviewFile = "../lab/system-overview.yaml"

// labBase is where root's labs keep their state.
const labBase = "/run/seikan"

// patience bounds what shall happen at once, on a machine that is busy.
const patience = 20 * time.Second

// seikan is the binary under test.
func seikan(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SEIKAN")
	if path == "" {
		t.Fatal("SEIKAN is not set: it names the binary under test, as `make e2e` does")
	}
	return path
}

// A said is what a command printed and how it ended.
type said struct {
	out, err string
	code     int
}

func (s said) String() string { return fmt.Sprintf("exit code %d\n%s%s", s.code, s.out, s.err) }

// command runs cmd to its end; a command that cannot be run fails the test.
func command(t testing.TB, limit time.Duration, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return finish(t, exec.CommandContext(ctx, args[0], args[1:]...))
}

func finish(t testing.TB, cmd *exec.Cmd) said {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// What a killed command started may hold the pipes open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	return said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// until asks again every 50 ms until check returns nil, and fails the test with
// its last error after limit. It returns how long it took.
func until(t testing.TB, what string, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		<-tick.C
	}
}

// scratch is an empty directory that a lab sees too: the lab has a /run of its
// own, where the other tests' temporary files are.
func scratch(t testing.TB) string {
	t.Helper()
	const dir = "/mnt"
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatalf("mount a tmpfs at %s: %v", dir, err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// variant writes the system overview with the pairs of change replaced, each
// everywhere, into dir, and returns the file.
func variant(t testing.TB, dir string, change ...string) string {
	t.Helper()
	text, err := os.ReadFile(overviewFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(change); i += 2 {
		if !bytes.Contains(text, []byte(change[i])) {
			t.Fatalf("%s does not hold %q", overviewFile, change[i])
		}
		text = bytes.ReplaceAll(text, []byte(change[i]), []byte(change[i+1]))
	}
	file := filepath.Join(dir, "topology.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// A runningLab is a lab that `seikan lab up` started.
type runningLab struct {
	t    testing.TB
	name string
	pid  int // of its pid 1, as we see it
}

// labUp starts a lab and takes it down when the test ends. More are further
// arguments of `lab up`.
func labUp(t testing.TB, name string, more ...string) *runningLab {
	t.Helper()
	l := &runningLab{t: t, name: name}
	t.Cleanup(func() {
		if text, err := os.ReadFile(l.file("log")); err == nil && t.Failed() {
			t.Logf("the lab's log ends with\n%s", text[max(0, len(text)-8000):])
		}
		command(t, time.Minute, seikan(t), "lab", "down", "--name", name)
	})
	l.up(more...)
	return l
}

func (l *runningLab) up(more ...string) {
	l.t.Helper()
	if s := l.do("up", more...); s.code != 0 {
		l.t.Fatalf("lab up: %v", s)
	}
	text, err := os.ReadFile(l.file("lab.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	var record struct{ Pid int }
	if err := json.Unmarshal(text, &record); err != nil {
		l.t.Fatal(err)
	}
	l.pid = record.Pid
}

// do is a verb of `seikan lab` on this lab.
func (l *runningLab) do(verb string, args ...string) said {
	l.t.Helper()
	return command(l.t, time.Minute, append([]string{seikan(l.t), "lab", verb, "--name", l.name}, args...)...)
}

// exec runs a command on a host of the lab.
func (l *runningLab) exec(host string, args ...string) said {
	l.t.Helper()
	return l.do("exec", append([]string{host, "--"}, args...)...)
}

// file is a file of the lab's state directory.
func (l *runningLab) file(elem ...string) string {
	return filepath.Join(append([]string{labBase, "lab-" + l.name}, elem...)...)
}

// log is what the lab has logged so far.
func (l *runningLab) log() string {
	l.t.Helper()
	text, err := os.ReadFile(l.file("log"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// A labStatus is what the tests need of `lab status --json`.
type labStatus struct {
	Tunnels []struct {
		Connection  string
		Number      int
		End, Detail string
		Up, Carries bool
		Remote      string
		BGP         *struct {
			Learned []string
			BFD     *struct {
				State  string
				Detect int `json:"detect_ms"`
				Cut    bool
			}
		}
	}
	Targets   []struct{ Health string }
	Endpoints []struct {
		State     string
		Addresses []string
		DNSName   string `json:"dns_name"`
	}
	Notes []string
}

func (l *runningLab) status() (st labStatus, err error) {
	l.t.Helper()
	s := l.do("status", "--json")
	if s.code != 0 {
		return st, fmt.Errorf("lab status: %v", s)
	}
	return st, json.Unmarshal([]byte(s.out), &st)
}

// tunnelsUp is an error unless both ends say that both tunnels are up.
func (l *runningLab) tunnelsUp() error {
	st, err := l.status()
	if err != nil {
		return err
	}
	if len(st.Tunnels) != 4 {
		return fmt.Errorf("%d ends of tunnels, %v", len(st.Tunnels), st.Notes)
	}
	for _, tn := range st.Tunnels {
		if !tn.Up {
			return fmt.Errorf("tunnel %d (%s): down %s", tn.Number, tn.End, tn.Detail)
		}
	}
	return nil
}

// tunnelsDown is an error while an end says that a tunnel is up.
func (l *runningLab) tunnelsDown() error {
	st, err := l.status()
	for _, tn := range st.Tunnels {
		if tn.Up {
			err = errors.Join(err, fmt.Errorf("tunnel %d (%s) is up", tn.Number, tn.End))
		}
	}
	return err
}

// awaitUp waits for the tunnels and for the servers behind the balancer.
func (l *runningLab) awaitUp() {
	l.t.Helper()
	until(l.t, "both tunnels at both ends", patience, l.tunnelsUp)
	until(l.t, "healthy targets", 2*patience, func() error {
		st, err := l.status()
		for _, tg := range st.Targets {
			if tg.Health != "healthy" {
				err = errors.Join(err, errors.New(tg.Health))
			}
		}
		return err
	})
}

// reach is one ping from the client to the instance in VPC A.
func (l *runningLab) reach() error {
	if s := l.exec("client", "ping", "-q", "-c", "1", "-W", "0.2", appAddress); s.code != 0 {
		return errors.New(s.String())
	}
	return nil
}

// appAddress is app-1's, in VPC A.
const appAddress = "10.0.1.20"

// page fetches the service's page as a user does.
func (l *runningLab) page(more ...string) said {
	l.t.Helper()
	ca := strings.TrimSpace(l.do("status", "--ca").out)
	return l.exec("client", append([]string{"curl", "-sS", "--max-time", "5", "--cacert", ca, "https://service.example/"}, more...)...)
}

// namespaces are the lab's network namespaces, of which the name begins with
// one of prefixes.
func (l *runningLab) namespaces(prefixes ...string) (names []string) {
	l.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/run/netns", l.pid))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Name(), p) }) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		l.t.Fatalf("no namespace of the lab is called %v", prefixes)
	}
	return names
}

// in runs f on a thread that is in a network namespace of the lab: the sockets
// that f opens are that namespace's.
func (l *runningLab) in(ns string, f func() error) error {
	return netapply.InNamespace(fmt.Sprintf("/proc/%d/root/run/netns/%s", l.pid, ns), f)
}

// A process is one that runs, as we see it.
type process struct {
	pid  int
	args []string
}

// is reports whether the process is seikan with that verb.
func (p process) is(verb string) bool { return len(p.args) > 1 && p.args[1] == verb }

// processes are all that run in these namespaces, this one and the dead
// excepted.
func processes(t testing.TB) (out []process) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A dead process that nobody waited for has no command line.
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(line) == 0 {
			continue
		}
		out = append(out, process{pid, strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")})
	}
	return out
}

// find is the one process that is seikan with that verb.
func find(t testing.TB, verb string) process {
	t.Helper()
	var found []process
	until(t, "one process `seikan "+verb+"`", patience, func() error {
		found = slices.DeleteFunc(processes(t), func(p process) bool { return !p.is(verb) })
		if len(found) != 1 {
			return fmt.Errorf("there are %d", len(found))
		}
		return nil
	})
	return found[0]
}

func (p process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.pid, s); err != nil {
		t.Fatalf("%v to %d %v: %v", s, p.pid, p.args, err)
	}
}

// end signals the process and waits until it is gone with all its threads and
// sockets.
func (p process) end(t testing.TB, s syscall.Signal) {
	t.Helper()
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		t.Fatalf("%d %v: %v", p.pid, p.args, err)
	}
	defer unix.Close(fd)
	p.signal(t, s)
	until(t, fmt.Sprintf("the end of %d %v", p.pid, p.args), patience, func() error {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); n != 1 {
			return fmt.Errorf("it runs, %v", err)
		}
		return nil
	})
}
