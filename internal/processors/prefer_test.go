package processors

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// asChild has this test's program run again, as the process whose nice value is
// changed: that of the tests stays.
const asChild = "SEIKAN_PREFER"

// TestPrefer gives a process of many threads, and one that was told otherwise, a
// nice value that anybody may have.
func TestPrefer(t *testing.T) {
	if want := os.Getenv(asChild); want != "" {
		prefer(t, want)
		return
	}
	for _, c := range []struct {
		name, with, want string
	}{
		{"as it is started by default", "0", "3"},
		{"somebody has decided", "2", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("nice", "-n", c.with, os.Args[0], "-test.run=^TestPrefer$")
			cmd.Env = append(os.Environ(), asChild+"="+c.want)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// prefer is the child's part.
func prefer(t *testing.T, want string) {
	stop := make(chan struct{})
	defer close(stop)
	for range 20 {
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(started)
			<-stop
		}()
		<-started
	}
	if err := Prefer(3); err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 20 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if nice := strings.Fields(after)[16]; nice != want { // field 19 of proc_pid_stat(5)
			t.Errorf("thread %s has nice value %s, not %s", thread.Name(), nice, want)
		}
	}
}

// TestPreferIsRefused is what a process learns that may not be preferred, such as
// root in a container.
func TestPreferIsRefused(t *testing.T) {
	if os.Getenv(asChild) != "" {
		if err := Prefer(-1); err == nil || !strings.HasPrefix(err.Error(), "nice value -1: ") {
			t.Error(err)
		}
		return
	}
	args := []string{os.Args[0], "-test.run=^TestPreferIsRefused$"}
	if os.Getuid() == 0 {
		args = append([]string{"setpriv", "--bounding-set=-sys_nice"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), asChild+"=refused")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
