// Package keep stores what a gateway needs to go on after it was killed: the
// state of each tunnel, sealed, in a file of its own, and in memory that
// outlives the process the key to it and the ESP sequence numbers.
//
// The file may lie on any disk: its key is in a page of a memory-backed file
// system, so that after a reboot, or in anybody else's hands, it is worthless.
// A file is sealed for one tunnel and its configuration, and only the newest
// can be opened. What cannot be opened is dropped, never repaired: the tunnel
// then begins anew (docs/decisions/0008).
//
// It knows nothing of IKE, and never writes a key to anything but memory.
// Package gateway opens a Store and gives its Tunnels to tunnel and dataplane.
package keep

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The names of a tunnel's files end in these.
const (
	stateSuffix = ".state" // in the state directory
	pageSuffix  = ".page"  // in memory
)

// A Store is the state directory of one gateway. Any goroutine may use it.
type Store struct {
	dir    string
	memory string
	lock   *os.File
}

// Open takes dir into use, making it if need be. One process at a time can
// have it. The error says what is wrong with dir, or that the machine has no
// memory-backed file system for us.
func Open(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := privateDir(abs); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	memory, err := memoryFor(abs)
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", abs, err)
	}
	return open(abs, memory)
}

// open is Open with the directory of the pages given.
func open(dir, memory string) (*Store, error) {
	if err := privateDir(memory); err != nil {
		return nil, fmt.Errorf("keys of the state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	// The kernel lets go of it when the process ends, however it does.
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("state directory %s: another gateway uses it (%w); stop it, or give each gateway a directory of its own", dir, err)
	}
	return &Store{dir: dir, memory: memory, lock: lock}, nil
}

// Close lets another process have the directory. Tunnels must not be used any
// more.
func (s *Store) Close() error {
	_ = os.Remove(s.memory) // stays while there is something in it
	return s.lock.Close()
}

// Prune removes what is kept of tunnels whose IDs are not listed.
func (s *Store) Prune(ids []string) error {
	known := map[string]bool{}
	for _, id := range ids {
		known[s.pagePath(id)] = true
		for i := range uint64(2) {
			known[s.statePath(id, i)] = true
		}
	}
	var errs []error
	for dir, suffix := range map[string]string{s.dir: stateSuffix, s.memory: pageSuffix} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			errs = append(errs, err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if strings.HasSuffix(path, suffix) && !known[path] {
				errs = append(errs, os.Remove(path))
			}
		}
	}
	return errors.Join(errs...)
}

// fileName is how the files of the tunnel called id begin: an ID may hold
// anything.
func fileName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// statePath is where the sealed state of the tunnel called id is, for even and
// for odd generations.
func (s *Store) statePath(id string, generation uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s.%d%s", fileName(id), generation%2, stateSuffix))
}

// pagePath is where its page is.
func (s *Store) pagePath(id string) string { return filepath.Join(s.memory, fileName(id)+pageSuffix) }

// privateDir makes the directory path if need be, and fails unless it is ours
// alone.
func privateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", path)
	}
	return private(path, info)
}

// private fails unless path, which info describes, belongs to us and nobody
// else may read or write it.
func private(path string, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user; it holds keys: make it one of user %d", path, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o, so others may use it; it holds keys: run chmod go= on it", path, info.Mode().Perm())
	}
	return nil
}

// openPrivate opens what only we may use, and never waits for who is at the
// other end of what is no file.
func openPrivate(path string, flag int) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = private(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Magic numbers of file systems that live in memory (statfs(2)).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

// errNoMemory says that there is nowhere to put a key that a reboot forgets.
var errNoMemory = errors.New("neither it nor /run nor /dev/shm is on tmpfs, so that the key would outlive a reboot; mount a tmpfs on /run")

// memoryFor is where the pages of the state directory dir go: beside the state
// if dir is in memory itself, else below /run or /dev/shm.
func memoryFor(dir string) (string, error) {
	if inMemory(dir) {
		return filepath.Join(dir, "memory"), nil
	}
	below := fmt.Sprintf("%s-%d", fileName(dir), os.Geteuid())
	for _, root := range []string{"/run", "/dev/shm"} {
		base := filepath.Join(root, fmt.Sprintf("seikan-%d", os.Geteuid()))
		if inMemory(root) && privateDir(base) == nil {
			return filepath.Join(base, below), nil
		}
	}
	return "", errNoMemory
}

// inMemory reports whether path is on a file system that a reboot empties.
func inMemory(path string) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return false
	}
	return slices.Contains([]uint32{tmpfsMagic, ramfsMagic}, uint32(st.Type))
}
