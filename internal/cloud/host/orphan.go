package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// orphanGrace is how long a worker that another host left may take to end
// before it is killed, and then how long the kernel may take.
const orphanGrace = 3 * time.Second

// endOrphans ends the workers that a host which crashed has left in a gateway's
// namespace, and waits for them. They forward until then, but hold the sockets
// and the TUNs, and nobody can tell them anything any more. With kept their SAs
// are in their state directory: then they must not say goodbye to their peers,
// for another worker goes on at once.
func endOrphans(namespace string, command []string, kept bool) error {
	pids, err := workersIn(namespace, command)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := endProcess(pid, kept); err != nil {
			return fmt.Errorf("end the worker %d that another host left: %w", pid, err)
		}
	}
	return nil
}

// endProcess asks a process that is not a child to end, kills it if it does
// not or if it shall end at once, and waits until all of its threads have gone.
func endProcess(pid int, atOnce bool) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	signals := []unix.Signal{unix.SIGTERM, unix.SIGKILL}
	if atOnce {
		signals = signals[1:]
	}
	for _, sig := range signals {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		if gone, err := waitEnd(fd); gone || err != nil {
			return err
		}
	}
	return errUnkillable
}

var errUnkillable = errors.New("it does not end")

// waitEnd waits at most orphanGrace until the process of a pidfd has ended,
// which makes the descriptor readable.
func waitEnd(fd int) (gone bool, err error) {
	deadline := time.Now().Add(orphanGrace)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
}

// workersIn lists the processes in a namespace that were started with the
// arguments of command; the program's own path may be another by now.
func workersIn(namespace string, command []string) (pids []int, err error) {
	want, err := os.Stat(namespace)
	if err != nil {
		return nil, fmt.Errorf("look for workers: %w", err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		// A process may end at any moment: what cannot be read is not there.
		have, err := os.Stat(dir + "/ns/net")
		if err != nil || !os.SameFile(want, have) {
			continue
		}
		line, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue
		}
		args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
		if slices.Equal(args[1:], command[1:]) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
