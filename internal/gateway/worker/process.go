// Package worker runs a gateway as a process of its own, and supervises such a
// process.
//
// The cloud gives each VPN gateway one: the same binary, started again inside
// the gateway's namespace, with its outside sockets handed over as
// descriptors. So a crash of, or an attack on, one gateway is not one on its
// neighbours, and no socket of the cloud's edge is reachable from a VPC.
// Configuration goes down its standard input, status comes up a pipe; keys are
// never on its command line or in its environment. Package host starts
// processes, the hidden command gateway-worker serves them.
package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
)

// stopGrace is how long a worker may take to delete its SAs at the peer and
// clean up before it is killed.
const stopGrace = 3 * time.Second

// writeGrace is how long a worker may leave an order unread: its main loop
// reads at once unless it is stuck.
const writeGrace = 5 * time.Second

// Options are what Start needs.
type Options struct {
	Command []string              // program and arguments, such as "/proc/self/exe", "gateway-worker"
	Start   func(*exec.Cmd) error // starts it, in its namespace
	Config  gateway.Config
	// Files are the sockets of the outside addresses, as udp.Outside.Files
	// gives them: UDP 500, UDP 4500 and raw ESP of each in turn. Start closes
	// them.
	Files []*os.File
	// State is where the worker keeps its SAs, so that the next one in its
	// place goes on with them if it dies; empty: nowhere.
	State   string
	Stderr  io.Writer    // the worker's log
	Log     *slog.Logger // ours: what is wrong with what the worker says
	Changed func()       // a status arrived, or none can be believed; must not block
	// Reported, unless nil, is called with each status in turn and with what the
	// gateway said of its tunnels since the one before, before Changed. The worker
	// waits while it runs.
	Reported func(gateway.Status, []activity.Notice)
}

// A Process is a running worker.
type Process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	status atomic.Pointer[gateway.Status]
	loops  sync.WaitGroup
	done   chan struct{} // closed when the process has ended
	err    error         // why; read after done

	mu sync.Mutex // guards writes to stdin
}

// Start starts a worker and hands it its configuration.
func Start(opts Options) (*Process, error) {
	defer func() {
		for _, f := range opts.Files {
			f.Close()
		}
	}()
	first, err := encodeOrder(opts.Config, len(opts.Files)/3, opts.State)
	if err != nil {
		return nil, err
	}
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer statusW.Close()
	ordersR, ordersW, err := os.Pipe()
	if err != nil {
		statusR.Close()
		return nil, err
	}
	defer ordersR.Close()
	cmd := exec.Command(opts.Command[0], opts.Command[1:]...)
	cmd.Stdin, cmd.Stderr = ordersR, opts.Stderr
	cmd.ExtraFiles = append([]*os.File{statusW}, opts.Files...)
	// The worker outlives a control plane that crashes and is adopted by
	// nobody: it goes when its standard input closes and it is told to.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := opts.Start(cmd); err != nil {
		statusR.Close()
		ordersW.Close()
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: ordersW, done: make(chan struct{})}
	p.loops.Go(func() { p.readStatus(statusR, opts) })
	go func() {
		p.err = cmd.Wait()
		p.loops.Wait()
		ordersW.Close()
		close(p.done)
	}()
	if err := p.write(first); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Set gives the worker a new configuration. It fails when the worker has ended
// or does not read for five seconds; such a one must be stopped, for it may
// have half an order.
func (p *Process) Set(cfg gateway.Config) error {
	b, err := encodeOrder(cfg, 0, "")
	if err != nil {
		return err
	}
	return p.write(b)
}

func (p *Process) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stdin.SetWriteDeadline(time.Now().Add(writeGrace)); err != nil {
		return fmt.Errorf("configuring the worker: %w", err)
	}
	if _, err := p.stdin.Write(b); err != nil {
		return fmt.Errorf("configuring the worker: %w", err)
	}
	return nil
}

// Status is the worker's latest report; nil before the first, and when the latest
// could not be read.
func (p *Process) Status() *gateway.Status { return p.status.Load() }

// Done is closed when the process has ended; Err then says why.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended. Call it after Done.
func (p *Process) Err() error { return p.err }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the worker to end and waits; after three seconds it is killed.
func (p *Process) Stop() {
	p.stdin.Close()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// readStatus keeps the latest report until the worker closes the pipe. A report that
// is longer than a line may be is none, and the one before it is not believed any
// more: the worker counts as silent until the next that can be read.
func (p *Process) readStatus(r io.ReadCloser, opts Options) {
	defer r.Close()
	lines := lineReader{from: bufio.NewReader(r), most: maxLine}
	for {
		line, err := lines.next()
		if errors.Is(err, errLong) {
			opts.Log.Error("the gateway's status is not known until its next report", "gateway", opts.Config.Name, "err", err)
			p.status.Store(nil)
			opts.Changed()
			continue
		}
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue // the worker was killed in the middle of a line
		}
		p.status.Store(&m.Status)
		if opts.Reported != nil {
			opts.Reported(m.Status, m.Notices)
		}
		opts.Changed()
	}
}

// errNoOrder says that the supervisor went away before it said anything.
var errNoOrder = errors.New("gateway-worker: no configuration on standard input; this command is started by the cloud, not by hand")

// firstOrder reads the first line, or fails when ctx ends.
func firstOrder(ctx context.Context, orders <-chan order) (order, error) {
	select {
	case o, ok := <-orders:
		if !ok {
			return order{}, errNoOrder
		}
		return o, nil
	case <-ctx.Done():
		return order{}, ctx.Err()
	}
}
