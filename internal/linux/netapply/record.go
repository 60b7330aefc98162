package netapply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A record is what the kernel cannot tell about our part in a namespace. It
// lies in a file of StateDir, which must not outlive the machine's boot.
type record struct {
	Inode   uint64 `json:"inode,omitempty"` // of the namespace; 0 before it exists
	Created bool   `json:"created,omitempty"`
	// Sysctls are the values from before us, by link ("" is none) and key.
	Sysctls map[string]map[string]string `json:"sysctls,omitempty"`
	// Addrs are those we added to links that we did not make, by link.
	Addrs map[string][]string `json:"addrs,omitempty"`
	// Making are links that were about to be created in a namespace that is
	// not ours; until they carry their alias only this says whose they are.
	Making []string `json:"making,omitempty"`
	// Tables are digests of the nftables tables loaded, by "family name".
	Tables map[string]digests `json:"tables,omitempty"`
}

// digests identify a table: the text asked for, and what nft listed after.
type digests struct {
	Want string `json:"want"`
	Have string `json:"have"`
}

// empty reports whether r says nothing worth a file.
func (r record) empty() bool {
	return !r.Created && len(r.Sysctls) == 0 && len(r.Addrs) == 0 && len(r.Making) == 0 && len(r.Tables) == 0
}

// processRecord stands for the namespace of the process; no namespace may be
// called so.
const processRecord = "@process"

func (h *Host) recordPath(name string) string {
	if name == "" {
		name = processRecord
	}
	return filepath.Join(h.opts.StateDir, name)
}

// loadRecord returns the record of the namespace name, the zero value when
// there is none.
func (h *Host) loadRecord(name string) (record, error) {
	var r record
	raw, err := os.ReadFile(h.recordPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("record %s: %w: remove it if the namespace is gone", h.recordPath(name), err)
	}
	return r, nil
}

// saveRecord replaces the record of name in one step.
func (h *Host) saveRecord(name string, r record) error {
	if r.empty() {
		return h.dropRecord(name)
	}
	if err := os.MkdirAll(h.opts.StateDir, 0o755); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := h.recordPath(name)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(raw) {
		return nil
	}
	if err := os.WriteFile(path+"~", raw, 0o644); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

func (h *Host) dropRecord(name string) error {
	err := os.Remove(h.recordPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// recorded returns the names of all namespaces that have a record.
func (h *Host) recorded() ([]string, error) {
	entries, err := os.ReadDir(h.opts.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch {
		case strings.HasSuffix(e.Name(), "~"):
		case e.Name() == processRecord:
			names = append(names, "")
		default:
			names = append(names, e.Name())
		}
	}
	return names, nil
}
