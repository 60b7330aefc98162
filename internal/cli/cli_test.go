package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"seikan/internal/lab/sandbox"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"seikan": func() { os.Exit(Main(os.Args[1:])) }})
}

// Each script under testdata is a conversation with the command line. Those
// that build a lab do so in namespaces of its own, as a user's would.
func TestScripts(t *testing.T) {
	overview, err := filepath.Abs("../../lab/system-overview.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Abs("../site/awsconfig/testdata")
	if err != nil {
		t.Fatal(err)
	}
	packager, err := filepath.Abs("../../scripts/package.sh")
	if err != nil {
		t.Fatal(err)
	}
	var scripts atomic.Int32
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("OVERVIEW", overview)
			env.Setenv("SAMPLES", samples)
			env.Setenv("PACKAGER", packager)
			env.Setenv("GOMODCACHE", goEnv(t, "GOMODCACHE"))
			env.Setenv("GOCACHE", goEnv(t, "GOCACHE"))
			lab := fmt.Sprintf("t%d-%d", os.Getpid(), scripts.Add(1))
			env.Setenv("LAB", lab)
			env.Defer(func() { takeDown(env, lab) })
			return nil
		},
		RequireExplicitExec: true,
	})
}

// goEnv is a setting of the go command, which scripts with another home lack.
func goEnv(t *testing.T, name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatalf("go env %s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

// takeDown removes the lab that a failed script left.
func takeDown(env *testscript.Env, lab string) {
	dir := "/run/seikan"
	if uid := os.Geteuid(); uid != 0 {
		dir = filepath.Join(env.Getenv("TMPDIR"), fmt.Sprintf("seikan-%d", uid))
	}
	if h, err := sandbox.Open(dir, lab); err == nil {
		h.Down(context.Background())
	}
}

func TestTableIsAligned(t *testing.T) {
	var out writer
	tb := newTable("A", "LONG", "C")
	tb.add("wide cell", "é", "")
	tb.add("x", "", "z")
	if err := tb.print(&out); err != nil {
		t.Fatal(err)
	}
	const want = "A          LONG  C\nwide cell  é\nx                z\n"
	if string(out) != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

type writer []byte

func (w *writer) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

func TestOctetsHaveThreeDigits(t *testing.T) {
	for in, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 150 << 20: "150 MiB", 1 << 60: "1048576 TiB"} {
		if got := octets(in); got != want {
			t.Errorf("%d: got %s, want %s", in, got, want)
		}
	}
}
