package nettest_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

func TestTestsHaveANetworkOfTheirOwn(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range links {
		// The kernel may put fallback tunnels into every namespace; they are down.
		if l.Flags&net.FlagUp != 0 {
			names = append(names, l.Name)
		}
	}
	if !slices.Equal(names, []string{"lo"}) {
		t.Errorf("links that are up: got %v, want lo alone", names)
	}
	conn, err := net.Listen("tcp", "127.0.0.1:1") // free, and root may take it
	if err != nil {
		t.Errorf("listen on port 1 of the loopback link: %v", err)
	} else {
		conn.Close()
	}
	for _, kind := range []string{"net", "mnt"} {
		ours, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.Readlink(filepath.Join("/proc", "1", "ns", kind))
		if err == nil && ours == theirs {
			t.Errorf("%s namespace: got that of the machine, want another", kind)
		}
	}
}

func TestRunIsPrivateAndEmpty(t *testing.T) {
	entries, err := os.ReadDir("/run")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "netns" {
		t.Errorf("/run: got %v, want netns alone", entries)
	}
	if os.Geteuid() != 0 {
		t.Errorf("user: got %d, want 0", os.Geteuid())
	}
}

// TestFailureInsideIsSeenOutside runs this binary once more with a test that
// must fail: the exit code has to come through both processes.
func TestFailureInsideIsSeenOutside(t *testing.T) {
	if os.Getenv("NETTEST_MUST_FAIL") != "" {
		t.Fatal("as asked")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestFailureInsideIsSeenOutside$")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "SEIKAN_NETTEST_INSIDE=")
	}), "NETTEST_MUST_FAIL=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "as asked") {
		t.Errorf("failing test: got %v and %q, want a failure", err, out)
	}
}
