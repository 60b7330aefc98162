package netapply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// A space is one network namespace that Host works on, open.
type space struct {
	name   string
	file   *os.File // nsfs
	inode  uint64
	owned  bool // we created it: everything inside is ours
	rec    record
	route  *netlink.Handle // rtnetlink socket inside
	lists  *lister         // another one, for fingerprints
	filter *filterSocket   // nfnetlink socket inside
	tables tableState
	have   snapshot // as of the last read
	// stranger is the protocol of routes and rules that are another Owner's.
	stranger int
}

// label is the name of s in errors and reports.
func (s *space) label() string { return netspec.Namespace{Name: s.name}.Label() }

func (s *space) close() {
	if s.route != nil {
		s.route.Close()
	}
	if s.lists != nil {
		s.lists.close()
	}
	if s.filter != nil {
		s.filter.close()
	}
	s.file.Close()
}

// file of the namespace name; that of the process has a file of its own.
func (h *Host) nsFile(name string) string {
	if name == "" {
		return "/proc/self/ns/net"
	}
	return h.Path(name)
}

// nsInode returns the inode of the namespace bound at path, or 0 when none is:
// a file without a namespace is what a crash between two steps leaves.
func nsInode(path string) (uint64, error) {
	var kind unix.Statfs_t
	err := unix.Statfs(path, &kind)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	if kind.Type != unix.NSFS_MAGIC {
		return 0, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

// open returns the space of an existing namespace, nil when there is none. It
// keeps the space for later calls, as long as the same namespace is bound.
func (h *Host) openLocked(name string) (*space, error) {
	path := h.nsFile(name)
	inode, err := nsInode(path)
	if err != nil {
		return nil, err
	}
	if s := h.spaces[name]; s != nil {
		if s.inode == inode {
			return s, nil
		}
		s.close()
		delete(h.spaces, name)
	}
	if inode == 0 {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &space{name: name, file: file, inode: inode}
	_, s.stranger = h.protocol()
	if err := s.connect(); err != nil {
		s.close()
		return nil, err
	}
	if s.rec, err = h.loadRecord(name); err != nil {
		s.close()
		return nil, err
	}
	if s.rec.Inode != inode && s.rec.Inode != 0 {
		// Another namespace of the same name: not the one we knew.
		s.rec = record{}
	}
	s.rec.Inode = inode
	s.owned = s.rec.Created
	s.tables.restore(s.rec.Tables)
	h.spaces[name] = s
	return s, nil
}

// connect opens the netlink sockets of s.
func (s *space) connect() error {
	return inFile(s.file, func() (err error) {
		if s.route, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		if s.lists, err = openLister(); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		if s.filter, err = openFilter(); err != nil {
			return fmt.Errorf("open nfnetlink: %w", err)
		}
		return nil
	})
}

// createLocked makes the namespace name and raises its loopback link. The
// record is written first: after a crash the namespace is known as ours.
func (h *Host) createLocked(name string) (*space, error) {
	if err := shareDir(h.opts.Dir); err != nil {
		return nil, err
	}
	if err := h.saveRecord(name, record{Created: true}); err != nil {
		return nil, err
	}
	path := h.Path(name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return nil, err
	}
	file.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind to %s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s, err := h.openLocked(name)
	if err == nil && s == nil {
		err = fmt.Errorf("%s vanished", path)
	}
	if err != nil {
		return nil, err
	}
	return s, h.saveRecord(name, s.rec)
}

// shareDir makes dir and mounts it on itself, shared, as ip-netns(8) does: then
// namespaces come and go alike in all mount namespaces of the machine, and
// ip-netns, which would do it later, cannot hide those that are there.
func shareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount point yet
		if err := unix.Mount(dir, dir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return &os.PathError{Op: "bind", Path: dir, Err: err}
		}
		err = unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	}
	if err != nil {
		return &os.PathError{Op: "share", Path: dir, Err: err}
	}
	return nil
}

// removeLocked deletes the namespace of s, which we own.
func (h *Host) removeLocked(s *space) error {
	path := h.Path(s.name)
	s.close()
	delete(h.spaces, s.name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return &os.PathError{Op: "unmount", Path: path, Err: err}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return h.dropRecord(s.name)
}

// read takes a new snapshot of s.
func (s *space) read(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	s.have, err = readSnapshot(s.route, s.stranger)
	return err
}
