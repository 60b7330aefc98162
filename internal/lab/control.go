package lab

import (
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

	"seikan/internal/lab/sandbox"
	"seikan/internal/why"
)

// The control socket answers one request a connection, each a line of JSON.
// Only the lab's user can reach it: its directory is private.

// Verbs of a Request.
const (
	VerbStatus = "status"
	VerbChange = "change"
	VerbWhy    = "why"
	VerbSample = "sample"
)

// A Request is what the command line asks a running lab.
type Request struct {
	Verb   string   `json:"verb"`
	Change *Change  `json:"change,omitempty"`
	Ask    *why.Ask `json:"ask,omitempty"`
	Sample *Sample  `json:"sample,omitempty"`
}

// A Response is the answer.
type Response struct {
	Status  *Status      `json:"status,omitempty"`
	Verdict *why.Verdict `json:"verdict,omitempty"`
	Files   []SampleFile `json:"files,omitempty"` // with pre-shared keys
	Error   string       `json:"error,omitempty"`
}

// Bounds of one conversation.
const (
	patience   = 20 * time.Second
	maxRequest = 64 << 10
	maxAnswer  = 16 << 20
	maxClients = 16
)

// runControl serves the control socket.
func (l *Lab) runControl(ctx context.Context, ready func()) error {
	ln, err := listenControl(l.cfg.Inside.Handle)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var clients sync.WaitGroup
	defer clients.Wait()
	free := make(chan struct{}, maxClients)
	ready()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		free <- struct{}{} // one more waits in the kernel's queue
		clients.Go(func() {
			defer func() { <-free }()
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			l.serveControl(ctx, conn)
		})
	}
}

// listenControl listens by a path relative to the state directory: the path of
// a socket has at most 107 octets, and a user's runtime directory may be longer.
func listenControl(h sandbox.Handle) (net.Listener, error) {
	path, done, err := h.SocketPath()
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	return ln, os.Chmod(h.Path(sandbox.ControlFile), 0o600)
}

func (l *Lab) serveControl(ctx context.Context, conn net.Conn) {
	var req Request
	var resp Response
	err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&req)
	if err == nil {
		switch {
		case req.Verb == VerbStatus:
			var st Status
			st, err = l.Status(ctx)
			resp.Status = &st
		case req.Verb == VerbChange && req.Change != nil:
			err = l.Change(ctx, *req.Change)
		case req.Verb == VerbWhy && req.Ask != nil:
			var v why.Verdict
			v, err = l.Why(ctx, *req.Ask)
			resp.Verdict = &v
		case req.Verb == VerbSample && req.Sample != nil:
			resp.Files, err = l.Sample(ctx, *req.Sample)
		default:
			err = fmt.Errorf("verb %q is none of %s, %s, %s and %s", req.Verb, VerbStatus, VerbChange, VerbWhy, VerbSample)
		}
	}
	if err != nil {
		resp.Error = err.Error()
	}
	if err := json.NewEncoder(conn).Encode(resp); err != nil {
		l.cfg.Log.Debug("answering the control socket", "err", err)
	}
}

// AskLab asks the running lab h from outside.
func AskLab(ctx context.Context, h sandbox.Handle, req Request) (Response, error) {
	path, done, err := h.SocketPath()
	if err != nil {
		return Response{}, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		// Its supervisor is gone or going; the kernel may take a while to clear
		// up after it.
		return Response{}, fmt.Errorf("lab %s: %w; `seikan lab up` starts one", h.Name, sandbox.ErrNotRunning)
	}
	if err != nil {
		return Response{}, fmt.Errorf("lab %s does not answer: %w", h.Name, err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return Response{}, err
	}
	var resp Response
	if err := json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&resp); err != nil {
		return Response{}, fmt.Errorf("lab %s: reading its answer: %w", h.Name, err)
	}
	if resp.Error != "" {
		return resp, errors.New(resp.Error)
	}
	return resp, nil
}
