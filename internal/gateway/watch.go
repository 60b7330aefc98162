package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long changes of addresses and routes are gathered before they
// are looked at: a new lease is an address removed, another one added and then
// a route.
const settle = 100 * time.Millisecond

// A watch hears of changed addresses and routes of the namespace that it
// was opened in.
type watch struct{ f *os.File }

func openWatch() (watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return watch{}, fmt.Errorf("watching addresses: %w", err)
	}
	w := watch{os.NewFile(uintptr(fd), "netlink")}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE}); err != nil {
		w.f.Close()
		return watch{}, fmt.Errorf("watching addresses: %w", err)
	}
	return w, nil
}

// run calls changed after changes since w was opened, until ctx ends, and
// closes w.
func (w watch) run(ctx context.Context, changed func()) error {
	defer w.f.Close()
	defer context.AfterFunc(ctx, func() { w.f.Close() })()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for buf := make([]byte, 1<<16); ; {
		// What happened does not matter, nor that the kernel lost some of it for
		// want of room.
		if _, err := w.f.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching addresses: %w", err)
		}
		timer.Reset(settle)
		select {
		case <-timer.C:
			changed()
		case <-ctx.Done():
			return nil
		}
	}
}
