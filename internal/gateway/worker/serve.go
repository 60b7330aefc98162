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
	"os/signal"
	"syscall"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
	"seikan/internal/ipsec/dataplane/udp"
)

// statusEvery is how often counters are reported when nothing else changes.
const statusEvery = time.Second

// Serve is the worker's side: it reads its configuration from in, takes the
// sockets that were handed over, runs the gateway until ctx ends and writes its
// status to out. When in ends, the supervisor has died: the gateway goes on
// forwarding. The goroutine that reads in ends with in, at the latest with the
// process. It makes the process ignore SIGPIPE, which the log would raise when
// its reader has died too.
func Serve(ctx context.Context, in io.Reader, out io.Writer, log *slog.Logger) error {
	signal.Ignore(syscall.SIGPIPE)
	said := activity.NewHandler(log.Handler())
	log = slog.New(said)
	orders := make(chan order)
	go readOrders(ctx, in, orders, log)
	first, err := firstOrder(ctx, orders)
	if err != nil {
		return err
	}
	outsides, err := adopt(first.Outsides, log)
	if err != nil {
		return err
	}
	g, err := gateway.New(first.Config, gateway.Options{Log: log, Outsides: outsides, StateDirectory: first.State})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	running := make(chan error, 1)
	go func() { running <- g.Run(ctx) }()

	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-running:
			return err
		case o, ok := <-orders:
			if !ok {
				orders = nil
				log.Warn("the control plane is gone; forwarding goes on as it is")
				continue
			}
			if err := g.Set(o.Config); err != nil {
				log.Error("new configuration refused; the old one stays", "err", err)
			}
			continue
		case <-g.Changed():
		case <-tick.C:
		}
		report(out, message{g.Status(), said.Take()}, log)
	}
}

// report writes one status line. A reader that has gone away is not our end.
func report(out io.Writer, m message, log *slog.Logger) {
	b, err := json.Marshal(m)
	if err != nil {
		log.Error("encoding status", "err", err)
		return
	}
	if _, err := out.Write(append(b, '\n')); err != nil {
		log.Debug("nobody reads our status", "err", err)
	}
}

// readOrders sends each line of in to orders and closes it at the end.
func readOrders(ctx context.Context, in io.Reader, orders chan<- order, log *slog.Logger) {
	defer close(orders)
	lines := lineReader{from: bufio.NewReader(in), most: maxLine}
	for {
		line, err := lines.next()
		if err != nil && !errors.Is(err, errLong) {
			return
		}
		var o order
		if err == nil {
			o, err = decodeOrder(line)
		}
		if err != nil {
			log.Error("unreadable order", "err", err)
			continue
		}
		select {
		case orders <- o:
		case <-ctx.Done():
			return
		}
	}
}

// adopt turns the descriptors after the status pipe into outside sockets.
func adopt(n int, log *slog.Logger) ([]*udp.Outside, error) {
	var all []*udp.Outside
	for i := range n {
		var files []*os.File
		for k, name := range []string{"ike", "nat-t", "esp"} {
			files = append(files, os.NewFile(uintptr(firstSocket+3*i+k), name))
		}
		o, err := udp.Adopt(files, udp.Options{Log: log})
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("adopting outside sockets: %w", err)
		}
		all = append(all, o)
	}
	return all, nil
}
