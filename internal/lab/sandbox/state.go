package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files in a lab's state directory.
const (
	lockFile    = "lock"         // held by the supervisor while it lives
	recordFile  = "lab.json"     // a Record
	LogFile     = "log"          // what the supervisor and its programs say
	ControlFile = "control.sock" // served by the supervisor
	HostsDir    = "hosts"        // hosts/<name>/netns and hosts/<name>/resolv.conf, written by SetHost
)

// ErrRunning is returned by Start when a lab of that name runs already, and
// ErrNotRunning by Find when none does.
var (
	ErrRunning    = errors.New("is running already")
	ErrNotRunning = errors.New("no lab is running")
)

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9-]{0,14}$`)

// A Record is what a state directory says of its lab.
type Record struct {
	Name string `json:"name"`
	// Pid is the supervisor's outside the sandbox, and Ticks its start time as
	// /proc/<pid>/stat has it: together they name one process for ever.
	Pid     int       `json:"pid"`
	Ticks   uint64    `json:"ticks"`
	Started time.Time `json:"started"`
	Inner   []string  `json:"inner"` // the supervisor's arguments
	User    bool      `json:"user"`  // it has a user namespace of its own
	Machine []string  `json:"machines"`
}

// A Handle is the state directory of one lab, running or not.
type Handle struct {
	Name string
	Dir  string
}

// Base is the directory of all labs of this user: below XDG_RUNTIME_DIR, below
// /run for root, else below the temporary directory.
func Base(getenv func(string) string, uid int) string {
	switch {
	case uid == 0:
		return "/run/seikan"
	case getenv("XDG_RUNTIME_DIR") != "":
		return filepath.Join(getenv("XDG_RUNTIME_DIR"), "seikan")
	}
	return filepath.Join(os.TempDir(), "seikan-"+strconv.Itoa(uid))
}

// Open returns the handle of the lab name below base. Nothing is made.
func Open(base, name string) (Handle, error) {
	if !nameRule.MatchString(name) {
		return Handle{}, fmt.Errorf("lab name %q: 1 to 15 of a-z 0-9 -, beginning with a letter", name)
	}
	return Handle{name, filepath.Join(base, "lab-"+name)}, nil
}

// List returns the labs that have a state directory below base, by name.
func List(base string) ([]Handle, error) {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Handle
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), "lab-")
		if ok && e.IsDir() && nameRule.MatchString(name) {
			out = append(out, Handle{name, filepath.Join(base, e.Name())})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Find returns the running lab called name; an empty name means the only one.
func Find(base, name string) (Handle, Record, error) {
	if name != "" {
		h, err := Open(base, name)
		if err != nil {
			return Handle{}, Record{}, err
		}
		r, err := h.Running()
		return h, r, err
	}
	all, err := List(base)
	if err != nil {
		return Handle{}, Record{}, err
	}
	var found []Handle
	var record Record
	for _, h := range all {
		if r, err := h.Running(); err == nil {
			found, record = append(found, h), r
		}
	}
	switch len(found) {
	case 0:
		return Handle{}, Record{}, fmt.Errorf("%w; `seikan lab up` starts one", ErrNotRunning)
	case 1:
		return found[0], record, nil
	}
	var names []string
	for _, h := range found {
		names = append(names, h.Name)
	}
	return Handle{}, Record{}, fmt.Errorf("several labs are running (%s): choose one with --name", strings.Join(names, ", "))
}

// Path is a file of the state directory.
func (h Handle) Path(elem ...string) string {
	return filepath.Join(append([]string{h.Dir}, elem...)...)
}

// Running returns the record of a lab that runs and is ready; otherwise the
// error is ErrNotRunning.
func (h Handle) Running() (Record, error) {
	r, err := h.record()
	if err != nil || !r.alive() {
		return Record{}, fmt.Errorf("lab %s: %w; `seikan lab up` starts one", h.Name, ErrNotRunning)
	}
	return r, nil
}

func (h Handle) record() (Record, error) {
	b, err := os.ReadFile(h.Path(recordFile))
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("%s: %w", h.Path(recordFile), err)
	}
	return r, nil
}

// alive reports whether the very process that r names still is.
func (r Record) alive() bool {
	ticks, err := startTicks(r.Pid)
	return err == nil && ticks == r.Ticks
}

// startTicks is when the process started, in clock ticks after boot: field 22
// of /proc/<pid>/stat. A zombie counts as gone.
func startTicks(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseTicks(string(b))
}

func parseTicks(stat string) (uint64, error) {
	// The second field is the command in parentheses, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("stat line %q is too short", stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// save writes the record so that readers see it whole or not at all.
func (h Handle) save(r Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := h.Path(recordFile + ".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, h.Path(recordFile))
}

// lock takes the lab's lock without waiting, making the directory. The file
// keeps the lock as long as any process holds a duplicate of it.
func (h Handle) lock() (*os.File, error) {
	if err := private(filepath.Dir(h.Dir)); err != nil {
		return nil, err
	}
	for {
		if err := private(h.Dir); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(h.Path(lockFile), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // a Down removed the directory in between
			}
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrRunning
			}
			return nil, fmt.Errorf("lock %s: %w", h.Path(lockFile), err)
		}
		if sameFile(f, h.Path(lockFile)) {
			return f, nil
		}
		f.Close() // it was removed while we waited: that lock guards nothing
	}
}

// dyingTime is how long the kernel may take to end the processes of a lab whose
// supervisor is dead.
const dyingTime = 5 * time.Second

// lockAfterDead is lock, but waits a little while the lock is held by what is
// left of a lab whose supervisor was killed.
func (h Handle) lockAfterDead(ctx context.Context) (*os.File, error) {
	end := time.NewTimer(dyingTime)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := h.lock()
		if !errors.Is(err, ErrRunning) {
			return f, err
		}
		if r, recordErr := h.record(); recordErr != nil || r.alive() {
			return nil, err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// private makes a directory that only this user can look into. In a world-
// writable parent another user could have made it first: then it is refused.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of this user: remove it", dir)
	}
	return os.Chmod(dir, 0o700)
}

func sameFile(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// clear removes all that the directory holds but the lock, which the caller
// holds.
func (h Handle) clear() error {
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(h.Path(e.Name())))
		}
	}
	return err
}

// remove removes the directory, of which the caller holds the lock, and the
// one of all labs when this was the last.
func (h Handle) remove() error {
	if err := os.RemoveAll(h.Dir); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(h.Dir)) // refused while it holds another lab
	return nil
}

// SocketPath is a path of the control socket that is short enough for any
// socket (107 octets); call done when it was used.
func (h Handle) SocketPath() (path string, done func(), err error) { return h.Socket(ControlFile) }

// Socket is SocketPath for a socket of another name in the state directory.
func (h Handle) Socket(name string) (path string, done func(), err error) {
	fd, err := unix.Open(h.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", h.Dir, err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name), func() { unix.Close(fd) }, nil
}
