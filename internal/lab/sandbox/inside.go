package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Init is the life of pid 1: it furnishes the sandbox, starts this binary
// again with args as the supervisor, passes SIGTERM and SIGINT on to it, reaps
// what is orphaned, and returns the supervisor's exit code. When its process
// exits, the kernel ends everything in the sandbox.
func Init(dir string, args []string) (int, error) {
	if os.Getpid() != 1 {
		return 1, errors.New("this verb is for `seikan lab`, which starts it in namespaces of its own")
	}
	if err := furnish(dir); err != nil {
		report := os.NewFile(reportFD, "report")
		fmt.Fprintln(report, "error "+err.Error())
		return 1, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	files := []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for fd := uintptr(lockFD); fd <= lifeFD; fd++ {
		files = append(files, os.NewFile(fd, ""))
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	proc, err := os.StartProcess(self, append([]string{filepath.Base(self)}, args...), &os.ProcAttr{Files: files, Env: os.Environ()})
	if err != nil {
		return 1, err
	}
	// The starter must see the pipes end with the supervisor. The lock stays.
	files[reportFD].Close()
	files[lifeFD].Close()
	go func() {
		for s := range signals {
			proc.Signal(s)
		}
	}()
	return reap(proc.Pid), nil
}

// reap waits for every child, ours and orphans, until pid has ended.
func reap(pid int) int {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1
		case got == pid && status.Exited():
			return status.ExitStatus()
		case got == pid && status.Signaled():
			return 128 + int(status.Signal())
		}
	}
}

// furnish gives the sandbox mounts of its own: an empty /run with /run/netns,
// where the state directory stays visible, and a /proc of its pids.
func furnish(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	state, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(state)
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir("/run/netns", 0o755); err != nil {
		return err
	}
	if err := unmask(dir, state); err != nil {
		return err
	}
	if err := keepResolvConf("/etc/resolv.conf"); err != nil {
		return err
	}
	// Refused where /proc is masked, as in a container: then the old one stays
	// and shows the outer pids, which nothing here depends on.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return loopbackUp()
}

// unmask makes the state directory visible again where the new /run hides it.
func unmask(dir string, state int) error {
	real, err := filepath.EvalSymlinks(filepath.Dir(filepath.Dir(dir)))
	if err == nil && real != "/run" && !strings.HasPrefix(real, "/run/") {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, lockFile)); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", state), dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", dir, err)
	}
	return nil
}

// keepResolvConf makes an empty file where /etc/resolv.conf is a link into
// /run, which is empty now: Join binds each host's own over it.
func keepResolvConf(path string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return nil // an ordinary file, or none
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	if !strings.HasPrefix(target, "/run/") && !strings.HasPrefix(target, "/var/run/") {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o644)
}

// loopbackUp sets the loopback link of the current namespace up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// An Inside is the supervisor's tie to the one who started it.
type Inside struct {
	Handle   Handle
	report   *os.File
	life     *os.File
	detached atomic.Bool
}

// Enter is the supervisor's first act.
func Enter(h Handle) (*Inside, error) {
	for fd := lockFD; fd <= lifeFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, errors.New("this verb is for `seikan lab`, which starts it in namespaces of its own")
		}
	}
	return &Inside{Handle: h, report: os.NewFile(reportFD, "report"), life: os.NewFile(lifeFD, "life")}, nil
}

// errOrphan is the cause of the context's end when the starter died.
var errOrphan = errors.New("the command that started the lab has ended")

// Context ends on SIGTERM and SIGINT, and when the starter dies before it let
// the lab go.
func (in *Inside) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	go func() {
		b := make([]byte, 1)
		if n, _ := in.life.Read(b); n == 1 {
			in.detached.Store(true)
			return
		}
		cancel(errOrphan)
	}()
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Progress tells the starter what is being done, in one line.
func (in *Inside) Progress(line string) { in.tell("progress", line) }

// Ready tells the starter that the lab is usable.
func (in *Inside) Ready() { in.tell("ready", "") }

// Fail tells the starter why there will be no lab.
func (in *Inside) Fail(err error) { in.tell("error", err.Error()) }

// tell writes one line. A starter that is gone is noticed elsewhere.
func (in *Inside) tell(word, text string) {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	fmt.Fprintln(in.report, strings.TrimSpace(word+" "+text))
}

// SetHost makes a host known to Exec: the namespace below /run/netns that it
// is, and what its /etc/resolv.conf shall say (nil: nothing).
func (in *Inside) SetHost(name, namespace string, resolvConf []byte) error {
	dir := in.Handle.Path(HostsDir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if resolvConf == nil {
		resolvConf = []byte("# this host asks no DNS server\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), resolvConf, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "netns"), []byte(namespace+"\n"), 0o644)
}
