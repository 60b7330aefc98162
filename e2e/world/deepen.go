//go:build e2e

package world

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Deepen gives conn a buffer of so many octets: a receiver that is not scheduled
// for a while must not look like a loss.
func Deepen(conn *net.UDPConn, octets int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, octets)
	})
	return errors.Join(err, setErr)
}

// DeepenOf gives the UDP sockets of another process buffers of so many octets. A
// daemon that leaves them as small as they are by default loses packets whenever
// the machine does not schedule it for some 40 ms, and says nothing of it.
func DeepenOf(pid, octets int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer unix.Close(process)
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	deepened := 0
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err != nil || !strings.HasPrefix(target, "socket:") {
			continue
		}
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		fd, err := unix.PidfdGetfd(process, number, 0)
		if err != nil {
			return fmt.Errorf("descriptor %d of process %d: %w", number, pid, err)
		}
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err == nil && protocol == unix.IPPROTO_UDP {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, octets)
			deepened++
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("descriptor %d of process %d: %w", number, pid, err)
		}
	}
	if deepened == 0 {
		return fmt.Errorf("process %d has no UDP socket", pid)
	}
	return nil
}
