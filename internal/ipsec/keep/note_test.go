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
