//go:build e2e

// Package world builds the network that the interoperability tests run in.
//
//	client ─ cgw ─ nat ─ inet ─ resp ─ server
//
// Main puts the whole test binary into namespaces of its own, New lays the six
// namespaces of the picture inside, and the methods of World send traffic
// through them and count it. Only the tests of e2e call it.
package world

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv tells the second run of the test binary that it is the second.
const insideEnv = "SEIKAN_E2E_INSIDE"

// scratch is where tests keep files: in the private /run, since /tmp may be
// where the binary under test is.
const scratch = "/run/tmp"

// Main runs the tests of m as Private does and ends the process.
func Main(m *testing.M) { os.Exit(Private(m.Run)) }

// Private runs this binary again, as pid 1 of new pid, mount and network
// namespaces, and there run, whose exit code it returns. When run ends, by
// whatever cause, the kernel kills what it started and removes what it laid.
func Private(run func() int) int {
	if os.Getenv(insideEnv) == "" {
		return again()
	}
	if err := prepare(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		return 1
	}
	return run()
}

// again runs this binary inside new namespaces and returns its exit code.
func again() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		return 1
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "e2e: namespaces and strongSwan need root: run this as root")
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1", "TMPDIR="+scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL, // sent when this thread ends
	}
	runtime.LockOSThread()
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: new namespaces: %v\n", err)
		return 1
	}
	return 0
}

// prepare mounts /proc for the new pid namespace, and a /run of its own.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range []struct{ dir, kind, data string }{
		{"/proc", "proc", ""},
		{"/run", "tmpfs", "mode=0755"},
	} {
		if err := unix.Mount(m.kind, m.dir, m.kind, unix.MS_NOSUID|unix.MS_NODEV, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for _, dir := range []string{"/run/netns", scratch} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}
