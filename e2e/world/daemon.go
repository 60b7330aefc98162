//go:build e2e

package world

import (
	"os/exec"
	"syscall"
	"time"
)

// endGrace is how long a daemon may take to end when it is told to.
const endGrace = 5 * time.Second

// A Daemon is a process that runs until the test ends, if nobody kills it before.
type Daemon struct {
	w      *World
	cmd    *exec.Cmd
	exited chan struct{}
}

// Daemon starts cmd, which is then only the Daemon's to wait for.
func (w *World) Daemon(cmd *exec.Cmd) *Daemon {
	w.t.Helper()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	d := &Daemon{w: w, cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(d.exited)
		cmd.Wait()
	}()
	w.t.Cleanup(d.end)
	return d
}

// end tells it to end, by SIGTERM, and sees that it does.
func (d *Daemon) end() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(endGrace):
		d.cmd.Process.Kill()
		<-d.exited
	}
}

// Exited is closed when it has ended.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// Kill ends it as a crash does, and waits until it has gone.
func (d *Daemon) Kill() {
	d.w.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		d.w.t.Fatal(err)
	}
	<-d.exited
}
