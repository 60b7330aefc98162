package host

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
)

// maxLogFile is how long a file of a tunnel's log grows before it is put aside, in
// bytes. One such file is kept.
const maxLogFile = 16 << 20

// tunnelLogs keeps the logs that tunnel options ask for: a folder for each log
// group, and in it a file for each tunnel. It opens nothing that nobody asked
// for. A nil one keeps nothing.
type tunnelLogs struct {
	dir string // empty: logs are not kept
	log *slog.Logger
	now func() time.Time

	// mu guards the fields below it.
	mu    sync.Mutex
	logs  map[string]*activity.Log       // by gateway id
	files map[string]map[string]logFiles // by gateway id, then by tunnel
}

// logFiles are where the two logs of a tunnel are kept, below the directory.
type logFiles struct{ activity, bgp string }

func (f logFiles) of(line activity.Line) string {
	if line.BGP {
		return f.bgp
	}
	return f.activity
}

func newTunnelLogs(dir string, log *slog.Logger) *tunnelLogs {
	return &tunnelLogs{dir: dir, log: log, now: time.Now, logs: map[string]*activity.Log{}, files: map[string]map[string]logFiles{}}
}

// set says what is logged of a gateway's tunnels.
func (l *tunnelLogs) set(w vpn.Worker) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id := w.GatewayID
	if l.logs[id] == nil {
		l.logs[id] = activity.NewLog()
	}
	tunnels, files := map[string]activity.Tunnel{}, map[string]logFiles{}
	for _, t := range w.Tunnels {
		conn, _, _ := tunnelOf(t.ID)
		resourceID := string(conn) + "_" + t.Outside.String()
		tunnels[t.ID] = activity.Tunnel{
			Resource: resourceID, DPD: t.Liveness.Action != "none",
			Activity: t.Logs.Activity.Enabled, ActivityAsText: t.Logs.Activity.Format == resource.LogText,
			BGP: t.Logs.BGP.Enabled, BGPAsText: t.Logs.BGP.Format == resource.LogText,
		}
		files[t.ID] = logFiles{LogFile(t.Logs.Activity.GroupARN, resourceID, ActivityLog), LogFile(t.Logs.BGP.GroupARN, resourceID, BGPLog)}
	}
	l.files[id] = files
	l.logs[id].Set(tunnels)
}

// forget ends the logs of a gateway that is gone; what was written stays.
func (l *tunnelLogs) forget(id string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.logs, id)
	delete(l.files, id)
}

// The two logs of a tunnel, as LogFile calls them.
const (
	ActivityLog = "activity"
	BGPLog      = "bgp"
)

// LogFile is where a log of a tunnel is kept below Config.Logs: group is the ARN
// of its log group, whose name is one element of the path, whatever is in it;
// resourceID is the connection's id, _ and the tunnel's outside address.
func LogFile(group, resourceID, which string) string {
	_, name, _ := strings.Cut(group, ":log-group:")
	name = url.PathEscape(strings.TrimSuffix(name, ":*"))
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return filepath.Join(name, resourceID+"."+which+".log")
}

// report keeps what a gateway said.
func (l *tunnelLogs) report(id string, st gateway.Status, notices []activity.Notice) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.logs[id]
	if log == nil || l.dir == "" {
		return
	}
	texts := map[string]string{} // by file
	for _, line := range log.Step(l.now(), st, notices) {
		texts[l.files[id][line.Tunnel].of(line)] += line.Text + "\n"
	}
	for file, text := range texts {
		if err := appendTo(filepath.Join(l.dir, file), text); err != nil {
			l.log.Error("a tunnel's log is not kept", "file", file, "err", err)
		}
	}
}

// appendTo appends text to a file, of which the owner alone may read.
func appendTo(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.Size() >= maxLogFile {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
