package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors that the supervisor is born with, after standard error.
const (
	lockFD   = 3 // held, never read
	reportFD = 4 // the supervisor writes: what it does, and that it is ready
	lifeFD   = 5 // the starter writes when it lets go; its end says that it died
)

// stopTime is how long a supervisor may take to end in order before it is
// killed.
const stopTime = 15 * time.Second

// A Start is what a new lab needs.
type Start struct {
	Handle Handle
	// Verb is the hidden verb by which this binary becomes pid 1 and calls
	// Init, and Args those by which it then becomes the supervisor and calls
	// Enter.
	Verb     string
	Args     []string
	Machines []string
	// Detach returns once the lab is ready and lets it live on; otherwise it
	// ends with the caller.
	Detach bool
	// Progress gets a line for each thing the supervisor reports.
	Progress func(line string)
}

// Run starts the lab. Detached, it returns 0 when the lab is ready; otherwise
// the supervisor's exit code when it has ended. When ctx ends it takes the lab
// down in order. What the lab left on disk is gone when it has ended.
func (s Start) Run(ctx context.Context) (exit int, err error) {
	lock, err := s.Handle.lockAfterDead(ctx)
	if err != nil {
		return 1, fmt.Errorf("lab %s: %w%s", s.Handle.Name, err, hint(err))
	}
	defer lock.Close() // the supervisor holds a duplicate
	if err := s.Handle.clear(); err != nil {
		return 1, fmt.Errorf("cleaning up after an earlier lab: %w", err)
	}
	// Pdeathsig is about the thread that starts the child: it must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child, err := s.launch(lock)
	if err != nil {
		return 1, errors.Join(err, s.Handle.clear())
	}
	defer child.close()
	return s.follow(ctx, child)
}

func hint(err error) string {
	if errors.Is(err, ErrRunning) {
		return "; `seikan lab down` ends it"
	}
	return ""
}

// A child is a supervisor seen from its starter.
type child struct {
	cmd    *exec.Cmd
	report *os.File
	life   *os.File
}

func (c *child) close() {
	c.report.Close()
	c.life.Close()
}

// launch starts pid 1 of the sandbox and records it.
func (s Start) launch(lock *os.File) (*child, error) {
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reportW.Close()
	lifeR, lifeW, err := os.Pipe()
	if err != nil {
		reportR.Close()
		return nil, err
	}
	defer lifeR.Close()
	c := &child{report: reportR, life: lifeW}
	if c.cmd, err = s.command(); err == nil {
		c.cmd.ExtraFiles = []*os.File{lock, reportW, lifeR}
		if err = c.cmd.Start(); err != nil {
			err = explainStart(err, os.Geteuid())
		}
		if log, ok := c.cmd.Stdout.(*os.File); ok && s.Detach {
			log.Close()
		}
	}
	if err == nil {
		err = s.record(c.cmd.Process.Pid)
		if err != nil {
			c.cmd.Process.Kill()
			c.cmd.Wait()
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (s Start) record(pid int) error {
	ticks, err := startTicks(pid)
	if err != nil {
		return fmt.Errorf("the lab's supervisor ended at once; see %s", s.Handle.Path(LogFile))
	}
	return s.Handle.save(Record{Name: s.Handle.Name, Pid: pid, Ticks: ticks, Started: time.Now().UTC().Truncate(time.Second),
		Inner: s.Args, User: os.Geteuid() != 0, Machine: s.Machines})
}

func (s Start) command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{s.Verb, "--dir", s.Handle.Dir, "--"}, s.Args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET,
		// A session of its own: Ctrl-C reaches only us, and we end it in order.
		Setsid: true,
	}
	if !s.Detach {
		attr.Pdeathsig = unix.SIGKILL
	}
	if uid := os.Geteuid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if s.Detach {
		log, err := os.OpenFile(s.Handle.Path(LogFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		cmd.Stdout, cmd.Stderr = log, log
	}
	return cmd, nil
}

// follow reads the supervisor's reports until the lab is ready (detached) or
// has ended.
func (s Start) follow(ctx context.Context, c *child) (int, error) {
	lines, ended := make(chan string, 16), make(chan error, 1)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(c.report)
		for in.Scan() {
			lines <- in.Text()
		}
	}()
	go func() { ended <- c.cmd.Wait() }()
	var failure error
	var kill <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case line, ok := <-lines:
			switch word, rest, _ := strings.Cut(line, " "); {
			case !ok:
				lines = nil
			case word == "ready" && s.Detach && ctx.Err() == nil:
				// From here on the lab lives without us.
				if _, err := c.life.Write([]byte{1}); err == nil {
					return 0, nil
				}
			case word == "error":
				failure = errors.New(rest)
			case word == "progress" && s.Progress != nil:
				s.Progress(rest)
			}
		case <-stop:
			stop = nil
			c.cmd.Process.Signal(unix.SIGTERM)
			timer := time.NewTimer(stopTime)
			defer timer.Stop()
			kill = timer.C
		case <-kill:
			c.cmd.Process.Kill()
		case err := <-ended:
			return s.verdict(ctx, c, lines, failure, err)
		}
	}
}

// verdict says how the supervisor ended, and removes what it left.
func (s Start) verdict(ctx context.Context, c *child, lines <-chan string, failure, err error) (int, error) {
	for line := range drain(lines) {
		if rest, ok := strings.CutPrefix(line, "error "); ok {
			failure = errors.New(rest)
		}
	}
	code := c.cmd.ProcessState.ExitCode()
	exit, isExit := errors.AsType[*exec.ExitError](err)
	switch {
	case failure != nil || err == nil || ctx.Err() != nil:
	case isExit && exit.ExitCode() > 0 && !s.Detach:
		// It said itself what was wrong.
	default:
		failure = fmt.Errorf("the lab's supervisor ended: %v%s", err, tail(s.Handle.Path(LogFile)))
	}
	if code <= 0 && (failure != nil || ctx.Err() != nil) {
		code = 1
	}
	// What is left is of no use to anybody but who looks for a failure's cause.
	if s.Detach && failure != nil {
		return code, failure
	}
	return code, errors.Join(failure, s.Handle.remove())
}

// drain yields what is left in a channel that is about to be closed.
func drain(lines <-chan string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		if lines == nil {
			return
		}
		for line := range lines {
			if !yield(line) {
				return
			}
		}
	}
}

// tail is the end of a log, for an error.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 600 {
		f.Seek(-600, io.SeekEnd)
	}
	b, err := io.ReadAll(io.LimitReader(f, 600))
	if err != nil || len(b) == 0 {
		return ""
	}
	return "; the log ends with\n" + strings.TrimSpace(string(b))
}

// Down takes the lab down in order, killing it when that takes too long, and
// removes what it left on disk. Without a running lab it only cleans up;
// cleaned then tells whether there was anything.
func (h Handle) Down(ctx context.Context) (was Record, cleaned bool, err error) {
	if _, err := os.Stat(h.Dir); err != nil {
		return Record{}, false, fmt.Errorf("lab %s: %w", h.Name, ErrNotRunning)
	}
	was, err = h.record()
	running := err == nil && was.alive()
	if running {
		if err := terminate(ctx, was); err != nil {
			return was, false, fmt.Errorf("lab %s: %w", h.Name, err)
		}
	}
	lock, err := h.lockAfterDead(ctx)
	if errors.Is(err, ErrRunning) {
		return was, false, fmt.Errorf("lab %s: %w: it is being started or ended by another command; try again when that is done", h.Name, err)
	}
	if err != nil {
		return was, false, err
	}
	defer lock.Close()
	if !running {
		was = Record{}
	}
	return was, true, h.remove()
}

// terminate ends the very process that r names and waits until it is gone.
func terminate(ctx context.Context, r Record) error {
	fd, err := unix.PidfdOpen(r.Pid, 0)
	if err != nil {
		return nil // it is gone
	}
	defer unix.Close(fd)
	if !r.alive() {
		return nil // the pid was given to another in between
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return fmt.Errorf("signal pid %d: %w", r.Pid, err)
		}
		if gone, err := waitGone(ctx, fd, stopTime); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("pid %d does not end", r.Pid)
}

// waitGone waits until the process of a pidfd has ended.
func waitGone(ctx context.Context, fd int, limit time.Duration) (bool, error) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
	}
	return false, nil
}
