package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func handle(t *testing.T) Handle {
	t.Helper()
	h, err := Open(filepath.Join(t.TempDir(), "labs"), "test")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOnlyOneHoldsTheLock(t *testing.T) {
	h := handle(t)
	lock, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.lock(); !errors.Is(err, ErrRunning) {
		t.Errorf("second lock: got %v, want %v", err, ErrRunning)
	}
	if _, _, err := h.Down(t.Context()); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("down of a lab that is being started: got %v, want a refusal", err)
	}
	lock.Close()
	again, err := h.lock()
	if err != nil {
		t.Fatalf("after it was let go: %v", err)
	}
	again.Close()
	st, err := os.Stat(h.Dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v, %v, want 0700", st.Mode(), err)
	}
}

func TestALockThatWasRemovedGuardsNothing(t *testing.T) {
	h := handle(t)
	old, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := os.RemoveAll(h.Dir); err != nil {
		t.Fatal(err)
	}
	if sameFile(old, h.Path(lockFile)) {
		t.Errorf("the removed lock still counts as the lab's")
	}
	lock, err := h.lock()
	if err != nil {
		t.Fatalf("a new lab: %v", err)
	}
	lock.Close()
}

func TestADirectoryOfSomebodyElseIsRefused(t *testing.T) {
	h := handle(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Dir(h.Dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.lock(); err == nil || !strings.Contains(err.Error(), "not a directory of this user") {
		t.Errorf("got %v, want the link refused", err)
	}
}

func TestDownCleansUpAfterADeadLab(t *testing.T) {
	h := handle(t)
	if _, _, err := h.Down(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a lab: got %v, want %v", err, ErrNotRunning)
	}
	lock, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// A record whose pid was given to another process since: to us.
	if err := h.save(Record{Name: "test", Pid: os.Getpid(), Ticks: ticks + 1, Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Running(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want %v: the pid is another process's", err, ErrNotRunning)
	}
	was, cleaned, err := h.Down(t.Context())
	if err != nil || !cleaned || was.Pid != 0 {
		t.Errorf("got %+v, %v, %v, want it cleaned, and nobody killed", was, cleaned, err)
	}
	if _, err := os.Stat(h.Dir); !os.IsNotExist(err) {
		t.Errorf("got %v, want the directory gone", err)
	}
}

func TestFindTakesTheOnlyOne(t *testing.T) {
	base := filepath.Join(t.TempDir(), "labs")
	if _, _, err := Find(base, ""); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v, want %v", err, ErrNotRunning)
	}
	ticks, err := startTicks(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"one", "two"} {
		h, err := Open(base, name)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := h.lock()
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := h.save(Record{Name: name, Pid: os.Getpid(), Ticks: ticks}); err != nil {
			t.Fatal(err)
		}
		got, _, err := Find(base, "")
		if i == 0 && (err != nil || got.Name != "one") {
			t.Errorf("got %v, %v, want one", got, err)
		}
		if i == 1 && (err == nil || !strings.Contains(err.Error(), "--name")) {
			t.Errorf("got %v, %v, want to be asked which", got, err)
		}
	}
	if h, _, err := Find(base, "two"); err != nil || h.Name != "two" {
		t.Errorf("got %v, %v, want two", h, err)
	}
	if _, err := Open(base, "../etc"); err == nil {
		t.Errorf("a name with a slash was accepted")
	}
}

func TestStartTimeIsReadPastStrangeNames(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20"
	for stat, want := range map[string]uint64{
		"7 (sh)" + rest:          4242,
		"7 (a) S 1 2 (b)" + rest: 4242,
		"7 (sh) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242": 0,
		"7 (sh) S 1": 0,
		"":           0,
	} {
		got, err := parseTicks(stat)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v, want %d", stat, got, err, want)
		}
	}
}

func TestBaseIsPrivateToTheUser(t *testing.T) {
	none := func(string) string { return "" }
	runtime := func(string) string { return "/run/user/7" }
	t.Setenv("TMPDIR", "/tmp")
	for _, c := range []struct {
		getenv func(string) string
		uid    int
		want   string
	}{{none, 0, "/run/seikan"}, {runtime, 0, "/run/seikan"}, {runtime, 7, "/run/user/7/seikan"}, {none, 7, "/tmp/seikan-7"}} {
		if got := Base(c.getenv, c.uid); got != c.want {
			t.Errorf("uid %d: got %s, want %s", c.uid, got, c.want)
		}
	}
}

func TestRefusalsNameTheCure(t *testing.T) {
	sys := t.TempDir()
	for _, dir := range []string{"kernel", "user"} {
		if err := os.Mkdir(filepath.Join(sys, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkUserNamespaces(sys, 1000); err != nil {
		t.Errorf("nothing forbids: got %v", err)
	}
	for file, c := range map[string]struct{ bad, cure string }{
		"kernel/unprivileged_userns_clone":             {"0\n", "kernel.unprivileged_userns_clone=1"},
		"kernel/apparmor_restrict_unprivileged_userns": {"1\n", "kernel.apparmor_restrict_unprivileged_userns=0"},
		"user/max_user_namespaces":                     {"0\n", "user.max_user_namespaces="},
	} {
		path := filepath.Join(sys, file)
		if err := os.WriteFile(path, []byte(c.bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := checkUserNamespaces(sys, 1000); err == nil || !strings.Contains(err.Error(), c.cure) {
			t.Errorf("%s: got %v, want %q", file, err, c.cure)
		}
		if err := checkUserNamespaces(sys, 0); err != nil {
			t.Errorf("%s: root got %v, want nothing: it needs no user namespace", file, err)
		}
		os.Remove(path)
	}
	if err := checkTUN(filepath.Join(sys, "none")); err == nil || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("no TUN: got %v, want the cure", err)
	}
	if err := checkTool("no-such-tool", "some-package"); err == nil || !strings.Contains(err.Error(), "apt-get install some-package") {
		t.Errorf("no tool: got %v, want the package", err)
	}
	for _, c := range []struct {
		err  error
		uid  int
		want string
	}{{unix.EPERM, 1000, "run the lab as root"}, {unix.EPERM, 0, "--privileged"}, {unix.ENOSPC, 0, "max_net_namespaces"}, {unix.ENOMEM, 0, "starting"}} {
		if got := explainStart(c.err, c.uid).Error(); !strings.Contains(got, c.want) {
			t.Errorf("%v of uid %d: got %q, want %q in it", c.err, c.uid, got, c.want)
		}
	}
}

func TestHostsAreListedAndStrangersRefused(t *testing.T) {
	h := handle(t)
	in := &Inside{Handle: h}
	if err := in.SetHost("client", "ns-client", []byte("nameserver 192.0.2.1\n")); err != nil {
		t.Fatal(err)
	}
	if err := in.SetHost("edge", "edge", nil); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.Hosts(), " "); got != "client edge" {
		t.Errorf("got %q, want client and edge", got)
	}
	if ns, err := h.Namespace("client"); ns != "ns-client" || err != nil {
		t.Errorf("got %q, %v, want ns-client", ns, err)
	}
	for _, name := range []string{"nobody", "..", "client/.."} {
		if _, err := h.Namespace(name); err == nil || !strings.Contains(err.Error(), "client, edge") {
			t.Errorf("%q: got %v, want those that exist", name, err)
		}
	}
}

func TestLinkedResolvConfIsKept(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("plain", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, link, filepath.Join(dir, "none")} {
		if err := keepResolvConf(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, _ := os.ReadFile(plain); string(b) != "x" {
		t.Errorf("got %q, want the file outside /run untouched", b)
	}
}

func TestWhatIsLeftOfAKilledLabIsWaitedFor(t *testing.T) {
	h := handle(t)
	lock, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.save(Record{Name: "test", Pid: os.Getpid(), Ticks: 1}); err != nil { // nobody's
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		again, err := h.lockAfterDead(t.Context())
		if err == nil {
			again.Close()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("got %v at once, want it to wait", err)
	case <-time.After(60 * time.Millisecond):
	}
	lock.Close()
	if err := <-got; err != nil {
		t.Errorf("got %v, want the lock once the rest is gone", err)
	}
}
