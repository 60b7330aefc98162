// Package nettest gives tests a network of their own.
//
// Main runs a package's tests in new mount and network namespaces (and in a new
// user namespace when they are not run by root), so that they can lay
// any network and nothing of it reaches the machine or outlives them. Only
// TestMain functions may call it. A Buffer is a log that a test may read while
// it is written. Nothing outside tests imports this package.
package nettest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv tells the second run of the test binary that it is the second.
const insideEnv = "SEIKAN_NETTEST_INSIDE"

// Main runs the tests of m in namespaces of their own and ends the process:
//
//	func TestMain(m *testing.M) { nettest.Main(m) }
//
// Inside, the caller is root over them, /run is a private empty tmpfs with
// /run/netns in it, the loopback link is up and there is no other. Where the
// kernel refuses, the tests fail with one line that says what to allow.
func Main(m *testing.M) {
	if os.Getenv(insideEnv) == "" {
		os.Exit(again())
	}
	if err := prepare(); err != nil {
		fmt.Fprintf(os.Stderr, "nettest: %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this test binary once more inside new namespaces and returns its
// exit code.
func again() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "nettest: %v\n", err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  unix.SIGKILL, // sent when this thread ends
	}
	runtime.LockOSThread()
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	// An interrupt reaches the child through the terminal's process group; this
	// process only waits for it.
	signal.Ignore(os.Interrupt)
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "nettest: cannot make namespaces for the tests: %v: run them as root, or allow user namespaces (sysctl user.max_user_namespaces, user.max_net_namespaces, kernel.apparmor_restrict_unprivileged_userns=0)\n", err)
		return 1
	}
	return 0
}

// prepare makes the private /run and raises the loopback link.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir("/run/netns", 0o755); err != nil {
		return err
	}
	return loopbackUp()
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
