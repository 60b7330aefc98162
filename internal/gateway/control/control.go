// Package control is the local socket by which an operator asks a running
// gateway for its status, for a rekey, or to read its configuration again.
//
// The socket is a file of mode 0600: who may open it may ask. One request and
// one answer a connection, each a line of JSON. It never tells keys. The
// gateway command serves it and calls it.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"seikan/internal/gateway"
)

// Verbs of a Request.
const (
	VerbStatus     = "status"
	VerbRekeyIKE   = "rekey-ike"
	VerbRekeyChild = "rekey-child"
	VerbReload     = "reload"
)

// reloading bounds a reload: a gateway with many tunnels takes its time, and
// the peers of those that change are told.
const reloading = time.Minute

// patience bounds one conversation, and with maxClients what an idle client
// can hold.
const (
	patience   = 5 * time.Second
	maxClients = 16
	maxLine    = 1 << 20
	// maxAnswer is room for the status of some fifty thousand tunnels.
	maxAnswer = 64 << 20
)

// A Request is what a client asks.
type Request struct {
	Verb   string `json:"verb"`
	Tunnel string `json:"tunnel,omitempty"` // for a rekey
}

// A Response is the answer: Status to VerbStatus, Reload to VerbReload, an empty
// one to a rekey that was begun, or Error in words.
type Response struct {
	Status *gateway.Status `json:"status,omitempty"`
	Reload *Reload         `json:"reload,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// A Reload is what reading the configuration again did.
type Reload struct {
	Changes  []gateway.Change `json:"changes"`
	Warnings []string         `json:"warnings,omitempty"` // of what is allowed and seldom meant
}

// A Reloader reads the configuration of a gateway again and has it applied. An
// error means that nothing was changed, unless it says otherwise.
type Reloader func(context.Context) (Reload, error)

// Serve answers at path until ctx ends, and removes the file. A file that is
// there already is replaced if nobody answers at it. With a nil reload that verb
// is refused.
func Serve(ctx context.Context, path string, g *gateway.Gateway, reload Reloader) error {
	if err := clearStale(path); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{Control: forOwner}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer listener.Close() // the file is gone when we return, whoever began to close it
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	free := make(chan struct{}, maxClients)
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			// Not a reason to end the gateway. It passes; until then do not spin.
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		select {
		case free <- struct{}{}: // the seventeenth waits in the kernel's queue
		case <-ctx.Done():
			conn.Close()
			return nil
		}
		clients.Go(func() {
			defer func() { conn.Close(); <-free }()
			conn.SetDeadline(time.Now().Add(patience))
			stop := context.AfterFunc(ctx, func() { conn.Close() }) // an idle client does not hold us up
			defer stop()
			answer(ctx, conn, g, reload)
		})
	}
}

// forOwner gives the socket mode 0600 before it has a name: Linux makes the
// file with the mode of the socket, so that at no moment anybody else can open
// it, as between listen(2) and chmod(2).
func forOwner(_, _ string, c syscall.RawConn) error {
	var chmodErr error
	err := c.Control(func(fd uintptr) { chmodErr = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, chmodErr)
}

// clearStale removes a socket file that no process listens at.
func clearStale(path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("control socket %s: another gateway answers there; stop it or choose another control_socket", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("control socket %s: a file that is no socket is there; remove it or choose another control_socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func answer(ctx context.Context, conn net.Conn, g *gateway.Gateway, reload Reloader) {
	var req Request
	var resp Response
	line, err := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &req)
	}
	if err == nil {
		wait := patienceFor(req)
		conn.SetDeadline(time.Now().Add(wait))
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if req.Verb == VerbReload {
			resp.Reload, err = again(ctx, reload)
		} else {
			err = do(ctx, req, &resp, g)
		}
	}
	if err != nil {
		resp.Error = err.Error()
	}
	json.NewEncoder(conn).Encode(resp)
}

// patienceFor is how long a conversation about req may take.
func patienceFor(req Request) time.Duration {
	if req.Verb == VerbReload {
		return reloading
	}
	return patience
}

// again reads the configuration again.
func again(ctx context.Context, reload Reloader) (*Reload, error) {
	if reload == nil {
		return nil, errors.New("this gateway has no file to read again")
	}
	done, err := reload(ctx)
	if err != nil {
		return nil, err
	}
	return &done, nil
}

func do(ctx context.Context, req Request, resp *Response, g *gateway.Gateway) error {
	switch req.Verb {
	case VerbStatus:
		s := g.Status()
		resp.Status = &s
		return nil
	case VerbRekeyIKE:
		return g.RekeyIKE(ctx, req.Tunnel)
	case VerbRekeyChild:
		return g.RekeyChild(ctx, req.Tunnel)
	}
	return fmt.Errorf("verb %q is none of %s, %s, %s, %s", req.Verb, VerbStatus, VerbRekeyIKE, VerbRekeyChild, VerbReload)
}

// Ask sends req to the gateway at path and returns its answer. An error of the
// gateway's is returned as an error.
func Ask(ctx context.Context, path string, req Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patienceFor(req))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return Response{}, fmt.Errorf("no gateway answers at %s: %w", path, err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return Response{}, err
	}
	var resp Response
	if err := json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&resp); err != nil {
		return Response{}, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	if resp.Error != "" {
		return Response{}, errors.New(resp.Error)
	}
	return resp, nil
}
