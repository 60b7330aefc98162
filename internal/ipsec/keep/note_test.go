package keep

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestANoteIsForTheNextProcess(t *testing.T) {
	s := newStore(t)
	if b, err := s.Noted("routes"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first: got %q, %v, want %v", b, err, fs.ErrNotExist)
	}
	for _, text := range []string{"first", "a second, longer one", "third"} {
		if err := s.Note("routes", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Prune(nil); err != nil { // which is about tunnels
		t.Error(err)
	}
	s = s.again(t)
	if b, err := s.Noted("routes"); err != nil || string(b) != "third" {
		t.Errorf("got %q, %v, want third", b, err)
	}
	for range 2 {
		if err := s.Note("routes", nil); err != nil {
			t.Error(err)
		}
	}
	if b, err := s.Noted("routes"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: got %q, %v, want %v", b, err, fs.ErrNotExist)
	}
}

func TestANoteThatOthersMayWriteIsRefused(t *testing.T) {
	s := newStore(t)
	if err := s.Note("routes", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.notePath("routes"), 0o666); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Noted("routes"); err == nil {
		t.Errorf("of mode 0666: got %q, want an error", b)
	}
	if err := os.WriteFile(s.notePath("long"), bytes.Repeat([]byte("x"), maxNote+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Noted("long"); err == nil {
		t.Error("too long: got no error")
	}
}

// What cannot be kept leaves nothing of before, which is out of date.
func TestANoteThatCannotBeKeptLeavesNone(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		dir  bool // in the way
	}{
		{"a directory in the way", []byte("new"), true},
		{"too long", bytes.Repeat([]byte("x"), maxNote+1), false},
	} {
		s := newStore(t)
		if err := s.Note("routes", []byte("old")); err != nil {
			t.Fatal(err)
		}
		if tt.dir {
			if err := os.MkdirAll(s.notePath("routes")+".next/full", 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Note("routes", tt.data); err == nil {
			t.Errorf("%s: got no error", tt.name)
		}
		if b, err := s.Noted("routes"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %q, %v, want %v", tt.name, b, err, fs.ErrNotExist)
		}
	}
}
