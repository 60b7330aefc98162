package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Hosts lists the machines of the lab that Join can enter, by name.
func (h Handle) Hosts() []string {
	entries, err := os.ReadDir(h.Path(HostsDir))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Namespace is the network namespace of a host, below /run/netns. The error of
// an unknown host lists those that exist.
func (h Handle) Namespace(host string) (string, error) {
	if known := h.Hosts(); !slices.Contains(known, host) {
		return "", fmt.Errorf("lab %s has no host %q; it has %s", h.Name, host, strings.Join(known, ", "))
	}
	b, err := os.ReadFile(h.Path(HostsDir, host, "netns"))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// Exec replaces this process by argv on a host of the running lab r. It enters
// the lab's namespaces by nsenter(1), since a process of several threads, as
// every Go process is, may not change its user namespace. verb is the hidden
// verb by which this binary calls Join. It returns only when it cannot.
func (h Handle) Exec(r Record, verb, host string, argv []string) error {
	if _, err := h.Namespace(host); err != nil {
		return err
	}
	args := []string{"--host", host}
	return h.Again(r, verb, append(append(args, "--"), argv...))
}

// Again replaces this process by this binary's hidden verb with args inside
// the running lab r, in the supervisor's network namespace. The verb is given
// --dir (the state directory) and --cwd (the caller's directory) first.
func (h Handle) Again(r Record, verb string, args []string) error {
	nsenter, err := findTool("nsenter")
	if err != nil {
		return checkTool("nsenter", "util-linux")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	argv := []string{"nsenter", "--target", strconv.Itoa(r.Pid)}
	if r.User {
		argv = append(argv, "--user", "--preserve-credentials")
	}
	argv = append(argv, "--mount", "--pid", "--net", "--", self, verb, "--dir", h.Dir, "--cwd", cwd)
	return fmt.Errorf("run %s: %w", nsenter, syscall.Exec(nsenter, append(argv, args...), os.Environ()))
}

// Join replaces this process, which is inside the lab already, by argv in the
// network of a host, with the host's own /etc/resolv.conf and in the directory
// cwd where that exists. It returns only when it cannot; the error is an
// ExitError with the shell's code for that.
func (h Handle) Join(host, cwd string, argv []string) error {
	ns, err := h.Namespace(host)
	if err != nil {
		return err
	}
	// From here on this thread differs from the others. It never goes back: it
	// becomes argv, or the process ends.
	runtime.LockOSThread()
	f, err := os.Open(filepath.Join("/run/netns", ns))
	if err != nil {
		return fmt.Errorf("enter %s: %w", host, err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", host, err)
	}
	if err := bindResolvConf(h.Path(HostsDir, host, "resolv.conf")); err != nil {
		fmt.Fprintf(os.Stderr, "note: %s keeps the machine's own /etc/resolv.conf: %v\n", host, err)
	}
	if os.Chdir(cwd) != nil {
		_ = os.Chdir("/")
	}
	path, err := exec.LookPath(argv[0])
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return &ExitError{Code: 127, Err: err}
	case err != nil: // it is there, but nothing that can be run
		return &ExitError{Code: 126, Err: err}
	}
	return &ExitError{Code: 126, Err: fmt.Errorf("run %s: %w", path, syscall.Exec(path, argv, os.Environ()))}
}

// bindResolvConf shows this thread, in a mount namespace of its own, file as
// /etc/resolv.conf.
func bindResolvConf(file string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, "")
	if errors.Is(err, unix.ENOENT) {
		return errors.New("there is none to put the host's own over")
	}
	return err
}

// An ExitError is an error with the exit code that says it best.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }
