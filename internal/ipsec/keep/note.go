package keep

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	noteSuffix = ".note" // in memory
	// maxNote bounds a note, in octets: a thousand routes are a fifth of a megabyte.
	maxNote = 4 << 20
)

// Note keeps data under name for the next process, in the place of what was there;
// nil removes it. When that fails nothing is kept, rather than what is out of date.
// It is in memory, beside the tunnels' pages, so that a reboot takes it, and is not
// sealed: it is for what is no secret. One goroutine at a time may call it.
func (s *Store) Note(name string, data []byte) error {
	path := s.notePath(name)
	err := writeNote(path, data)
	if data != nil && err == nil {
		return nil
	}
	if gone := os.Remove(path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("note %s: %w", name, err)
	}
	return nil
}

// writeNote makes data, unless it is nil, what path holds.
func writeNote(path string, data []byte) error {
	switch {
	case data == nil:
		return nil
	case len(data) > maxNote:
		return fmt.Errorf("%d octets; want at most %d", len(data), maxNote)
	}
	next := path + ".next"
	err := os.WriteFile(next, data, 0o600)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// Noted is what was kept under name, or an error of fs.ErrNotExist's kind.
func (s *Store) Noted(name string) ([]byte, error) {
	f, info, err := openPrivate(s.notePath(name), os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("note %s: %w", name, err)
	}
	defer f.Close()
	if !info.Mode().IsRegular() || info.Size() > maxNote {
		return nil, fmt.Errorf("note %s: %d octets of mode %v; want a file of at most %d", name, info.Size(), info.Mode(), maxNote)
	}
	return io.ReadAll(f)
}

func (s *Store) notePath(name string) string { return filepath.Join(s.memory, name+noteSuffix) }
