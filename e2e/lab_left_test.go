//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A trace is what a lab could leave behind, each kind sorted.
type trace map[string][]string

// traces reads what is there now.
func traces(t testing.TB) trace {
	t.Helper()
	now := trace{}
	for _, p := range processes(t) {
		now["process"] = append(now["process"], fmt.Sprint(p.pid, " ", strings.Join(p.args, " ")))
	}
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	now["mount"] = strings.Split(string(mounts), "\n")
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		now["link"] = append(now["link"], l.Name)
	}
	for kind, dir := range map[string]string{"namespace": "/run/netns", "file": labBase, "temporary file": os.TempDir()} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			now[kind] = append(now[kind], path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for kind := range now {
		slices.Sort(now[kind])
	}
	return now
}

// since lists what is there now and was not before, the kinds of but excepted.
func (before trace) since(t testing.TB, but ...string) error {
	t.Helper()
	var more []string
	for kind, all := range traces(t) {
		for _, one := range all {
			// The directory of all labs stays.
			if !slices.Contains(before[kind], one) && !slices.Contains(but, kind) && one != labBase {
				more = append(more, kind+" "+one)
			}
		}
	}
	if len(more) > 0 {
		return fmt.Errorf("left: %s", strings.Join(more, "; "))
	}
	return nil
}

// nothingSince demands that nothing is left of what came after before.
func (before trace) nothingSince(t testing.TB, but ...string) {
	t.Helper()
	until(t, "nothing is left", patience, func() error { return before.since(t, but...) })
}

// startDemo starts `lab demo` and returns when its gateways run.
func startDemo(t testing.TB, name string) *exec.Cmd {
	t.Helper()
	demo := exec.Command(seikan(t), "lab", "demo", "--name", name)
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		demo.Process.Kill()
		demo.Wait()
		command(t, time.Minute, seikan(t), "lab", "down", "--name", name)
	})
	find(t, "gateway-worker")
	return demo
}

// TestTraceSeesWhatIsLeft proves the gate of nothingSince.
func TestTraceSeesWhatIsLeft(t *testing.T) {
	before := traces(t)
	if err := before.since(t); err != nil {
		t.Fatalf("nothing happened: got %v, want nothing", err)
	}
	labUp(t, "left")
	err := before.since(t)
	if err == nil {
		t.Fatal("a running lab: got no trace of it")
	}
	for _, want := range []string{"process", "lab-supervise", "gateway-worker", "file " + labBase + "/lab-left/log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("a running lab: got %v, want %q in it", err, want)
		}
	}
}

func TestLabDownLeavesNothing(t *testing.T) {
	before := traces(t)
	l := labUp(t, "left")
	if s := l.do("down"); s.code != 0 {
		t.Fatalf("lab down: %v", s)
	}
	before.nothingSince(t)
	if s := l.do("down"); s.code != 1 || !strings.Contains(s.err, "no lab is running") {
		t.Errorf("down again: got %v, want exit code 1 and \"no lab is running\"", s)
	}
}

func TestCtrlCLeavesNothing(t *testing.T) {
	before := traces(t)
	demo := startDemo(t, "left")
	demo.Process.Signal(syscall.SIGINT)
	begun := time.Now()
	err := demo.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() < 1 {
		t.Errorf("demo after Ctrl-C: got %v, want an exit code above 0", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("demo after Ctrl-C: ended after %v, want at most 10 s", took)
	}
	before.nothingSince(t)
}

// TestKilledParentTakesTheLabWithIt kills `lab demo` itself. It can clean up
// nothing then, so files stay until the next lab of that name.
func TestKilledParentTakesTheLabWithIt(t *testing.T) {
	before := traces(t)
	demo := startDemo(t, "left")
	demo.Process.Kill()
	demo.Wait()
	before.nothingSince(t, "file")
	again(t, before)
}

// TestKilledSupervisorTakesTheLabWithIt kills what the lab hangs on: the
// supervisor, and pid 1 above it.
func TestKilledSupervisorTakesTheLabWithIt(t *testing.T) {
	for _, verb := range []string{"lab-supervise", "lab-init"} {
		t.Run(verb, func(t *testing.T) {
			before := traces(t)
			l := labUp(t, "left")
			find(t, verb).signal(t, syscall.SIGKILL)
			before.nothingSince(t, "file")
			if s := l.do("status"); s.code != 1 || !strings.Contains(s.err, "no lab is running") {
				t.Errorf("status: got %v, want exit code 1 and \"no lab is running\"", s)
			}
			again(t, before)
		})
	}
}

// again demands that a lab of that name can be had once more, and that nothing
// is left then.
func again(t *testing.T, before trace) {
	t.Helper()
	l := labUp(t, "left")
	until(t, "the tunnels of the next lab", patience, l.tunnelsUp)
	if s := l.do("down"); s.code != 0 {
		t.Fatalf("lab down: %v", s)
	}
	before.nothingSince(t)
}

// TestKilledGatewayIsStartedAgain kills the cloud's gateway: its tunnels must
// come back without anybody's help.
func TestKilledGatewayIsStartedAgain(t *testing.T) {
	l := labUp(t, "worker")
	until(t, "both tunnels at both ends", patience, l.tunnelsUp)
	until(t, "traffic", patience, l.reach)
	killed := find(t, "gateway-worker")
	killed.signal(t, syscall.SIGKILL)
	begin := time.Now()
	until(t, "another gateway that carries traffic", patience, func() error {
		for _, p := range processes(t) {
			if p.is("gateway-worker") && p.pid != killed.pid {
				return l.reach()
			}
		}
		return errors.New("there is no other gateway-worker")
	})
	t.Logf("traffic %v after the gateway was killed", time.Since(begin).Round(10*time.Millisecond))
	// The tunnel with IKEv1, of which nothing is kept, is made anew.
	until(t, "both tunnels", patience, l.tunnelsUp)
	t.Logf("both tunnels up after %v", time.Since(begin).Round(10*time.Millisecond))
}
