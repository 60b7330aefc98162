package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"seikan/internal/linux/netapply"
)

// readyTime is how long a program may take to say that it is ready.
const readyTime = 10 * time.Second

// A program is this binary again, with one of its verbs, in the namespace of a
// host or an instance.
type program struct {
	Host      string
	Namespace string
	Args      []string
	// TellsReady: it writes to descriptor 3 when it is ready.
	TellsReady bool
}

// programs are those that run, by host. What they print goes to the log.
type programs struct {
	net  *netapply.Host
	self string
	log  *os.File

	// mu guards running.
	mu      sync.Mutex
	running map[string]*process
}

// A process is one started program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start starts p and waits until it is ready.
func (ps *programs) start(ctx context.Context, p program) error {
	cmd := exec.Command(ps.self, p.Args...)
	cmd.Stdout, cmd.Stderr = ps.log, ps.log
	// A session of its own: what is typed at a terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ready, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	if p.TellsReady {
		cmd.ExtraFiles = []*os.File{told}
	}
	err = ps.net.Start(p.Namespace, cmd)
	told.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", p.Host, err)
	}
	proc := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(proc.done)
	}()
	if p.TellsReady {
		if err := awaitReady(ctx, ready); err != nil {
			proc.kill()
			return fmt.Errorf("%s: `seikan %s` %w", p.Host, p.Args[0], err)
		}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.running[p.Host] = proc
	return nil
}

func awaitReady(ctx context.Context, ready *os.File) error {
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ready.SetReadDeadline(time.Now().Add(readyTime))
	switch n, err := ready.Read(make([]byte, 8)); {
	case n > 0:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("is not ready after %v; its log says why", readyTime)
	}
	return errors.New("ended at once; its log says why")
}

// kill ends the process as a machine that loses power does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// alive reports whether the host's program runs.
func (ps *programs) alive(host string) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.running[host]
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the host's program at once.
func (ps *programs) kill(host string) error {
	ps.mu.Lock()
	p := ps.running[host]
	delete(ps.running, host)
	ps.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s runs no program", host)
	}
	p.kill()
	return nil
}

// stop ends the host's program in order.
func (ps *programs) stop(host string) {
	ps.mu.Lock()
	p := ps.running[host]
	delete(ps.running, host)
	ps.mu.Unlock()
	if p == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
}
