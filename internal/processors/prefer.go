package processors

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// Nice is what a gateway prefers: the packets that pass through it are other
// people's, and should not wait for programs of its host, as they would not if
// the kernel forwarded them. Debian starts FRR with the same value. See "Before
// others" in docs/performance.md.
const Nice = -5

// passes bounds how often Prefer looks for threads that were started meanwhile.
const passes = 100

// Prefer gives this process the nice value nice, -20 to 19: all its threads, and
// so all that these start. A process that has another value than 0 keeps it, for
// somebody has decided. An error wraps the kernel's: it takes CAP_SYS_NICE, or
// RLIMIT_NICE, to be preferred.
func Prefer(nice int) error {
	if had, err := niceOf(0); err != nil || had != 0 {
		return err
	}
	for range passes {
		left, err := preferThreads(nice)
		if err != nil || left == 0 {
			return err
		}
	}
	return fmt.Errorf("nice value %d: threads begin faster than they can be given it", nice)
}

// preferThreads gives nice to the threads that there are, and returns how many of
// them had another.
func preferThreads(nice int) (had int, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return 0, err
		}
		switch is, err := niceOf(id); {
		case errors.Is(err, syscall.ESRCH), err == nil && is == nice:
			continue // it has ended, or has it
		case err != nil:
			return 0, err
		}
		had++
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, fmt.Errorf("nice value %d: %w", nice, err)
		}
	}
	return had, nil
}

// niceOf is the nice value of a thread, 0 for this one.
func niceOf(thread int) (int, error) {
	n, err := syscall.Getpriority(syscall.PRIO_PROCESS, thread)
	if err != nil {
		return 0, err
	}
	return 20 - n, nil // the system call cannot return what is negative
}
