package netapply

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultDir is where named network namespaces are bound, the same place that
// ip-netns(8) uses.
const DefaultDir = "/run/netns"

// errExited reports that the function given to InNamespace ended its
// goroutine instead of returning.
var errExited = errors.New("function ended its goroutine")

// InNamespace runs fn on an operating system thread that is inside the network
// namespace name, and returns fn's error. A name with a slash is the path of a
// namespace file, the empty name is the namespace of the process, any other is
// below DefaultDir. Sockets that fn opens stay in that namespace for ever;
// goroutines that fn starts do not run in it. fn runs on a goroutine of its
// own, so it must not call testing.T.FailNow.
func InNamespace(name string, fn func() error) error {
	return inPath(namespacePath(DefaultDir, name), fn)
}

// StartIn starts cmd inside the network namespace name, read as InNamespace
// does; the caller waits for it. The parent thread goes on living, so
// SysProcAttr.Pdeathsig may be used.
func StartIn(name string, cmd *exec.Cmd) error {
	if err := InNamespace(name, cmd.Start); err != nil {
		return fmt.Errorf("start %s in namespace %q: %w", filepath.Base(cmd.Path), name, err)
	}
	return nil
}

// namespacePath returns the file that stands for the namespace name; empty for
// that of the process.
func namespacePath(dir, name string) string {
	if name == "" || strings.Contains(name, "/") {
		return name
	}
	return filepath.Join(dir, name)
}

// inPath is InNamespace for a file.
func inPath(path string, fn func() error) error {
	if path == "" {
		return fn()
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open namespace: %w", err)
	}
	defer file.Close()
	return inFile(file, fn)
}

// inFile runs fn in the namespace that file stands for. To be in it already
// needs no right; to enter it would take CAP_SYS_ADMIN, which a gateway that
// runs as a service does not have.
func inFile(file *os.File, fn func() error) error {
	if isOwn(file) {
		return fn()
	}
	return onThread(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", file.Name(), err)
		}
		return fn()
	})
}

// isOwn reports whether file stands for the namespace that the calling goroutine
// is in: that of its thread if it is locked to one, else that of the process,
// since no other thread runs goroutines at large.
func isOwn(file *os.File) bool {
	own, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return false
	}
	info, err := file.Stat()
	return err == nil && os.SameFile(own, info)
}

// onThread runs fn on a locked thread that may change its network namespace.
// Afterwards the thread is put back into its own; when that is refused it ends
// together with its goroutine, so a dirty thread never runs other goroutines.
func onThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errExited
		defer func() { result <- err }()
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The runtime cannot end the main thread, and /proc/self/ns/net is
			// its namespace: keep it busy and use another.
			defer runtime.UnlockOSThread()
			err = onThread(fn)
			return
		}
		home, openErr := os.Open("/proc/thread-self/ns/net")
		if openErr != nil {
			runtime.UnlockOSThread()
			err = fmt.Errorf("open own namespace: %w", openErr)
			return
		}
		defer func() {
			if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			home.Close()
		}()
		err = fn()
	}()
	return <-result
}
