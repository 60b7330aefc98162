package keep

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"seikan/internal/ipsec/esp"
	"seikan/internal/secret"
)

var digest = [32]byte{1, 2, 3}

// newStore is a store below a directory of the test's.
func newStore(t testing.TB) *Store {
	t.Helper()
	dir := t.TempDir()
	return reopen(t, filepath.Join(dir, "state"), filepath.Join(dir, "memory"))
}

// reopen takes a store into use until the test ends.
func reopen(t testing.TB, dir, memory string) *Store {
	t.Helper()
	if err := privateDir(dir); err != nil {
		t.Fatal(err)
	}
	s, err := open(dir, memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// again is s as the next process finds it.
func (s *Store) again(t testing.TB) *Store {
	t.Helper()
	s.Close()
	return reopen(t, s.dir, s.memory)
}

func tunnelOf(t testing.TB, s *Store, id string, digest [32]byte) *Tunnel {
	t.Helper()
	k, err := s.Tunnel(id, digest)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// file is where the newest state of k is.
func (t *Tunnel) file() string { return t.path(t.page.generation().Load()) }

func save(t testing.TB, k *Tunnel, text string) {
	t.Helper()
	if err := k.Save(secret.FromString(text)); err != nil {
		t.Fatal(err)
	}
}

// wantState fails unless the next process finds text.
func wantState(t testing.TB, s *Store, id, text string) {
	t.Helper()
	got, err := tunnelOf(t, s, id, digest).Load()
	if err != nil || string(got.Reveal()) != text {
		t.Errorf("got %q, %v, want %q", got.Reveal(), err, text)
	}
}

func TestNextProcessFindsTheLastState(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	if _, err := k.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("before the first Save: got %v, want %v", err, ErrNone)
	}
	for _, text := range []string{"first", "second", "a third, longer one"} {
		save(t, k, text)
	}
	for range 3 { // and the one after that, too
		s = s.again(t)
		wantState(t, s, "one", "a third, longer one")
	}
	k = tunnelOf(t, s, "one", digest)
	if _, err := k.Load(); err != nil {
		t.Fatal(err)
	}
	save(t, k, "fourth")
	wantState(t, s.again(t), "one", "fourth")
}

func TestStateIsNeverReadableInItsFile(t *testing.T) {
	s := newStore(t)
	const key = "the key that nobody may read"
	save(t, tunnelOf(t, s, "one", digest), key)
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 2 { // and the lock
		t.Fatalf("got %v, %v, want one file and the lock", entries, err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		info, _ := e.Info()
		if err != nil || bytes.Contains(b, []byte(key)) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, mode %v, %q", e.Name(), err, info.Mode(), b)
		}
	}
}

func TestStateOfBeforeARebootIsWorthless(t *testing.T) {
	s := newStore(t)
	save(t, tunnelOf(t, s, "one", digest), "state")
	if err := os.RemoveAll(s.memory); err != nil { // as a reboot does
		t.Fatal(err)
	}
	k := tunnelOf(t, s.again(t), "one", digest)
	if got, err := k.Load(); err == nil {
		t.Errorf("got %q, want an error", got.Reveal())
	}
	k.page.generation().Store(1) // even if the number fits by chance
	if _, err := k.Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("got %v, want %v", err, ErrSeal)
	}
}

func TestStateOfAnotherTunnelOrConfigurationIsRefused(t *testing.T) {
	s := newStore(t)
	one, two := tunnelOf(t, s, "one", digest), tunnelOf(t, s, "two", digest)
	save(t, one, "state of one")
	save(t, two, "state of two")
	if _, err := tunnelOf(t, s, "one", [32]byte{9}).Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("another configuration: got %v, want %v", err, ErrSeal)
	}
	b, err := os.ReadFile(one.file())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(two.file(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("another tunnel's file: got %v, want %v", err, ErrSeal)
	}
	// Even with its page: whoever can do that sees that they were swapped.
	if err := os.Rename(s.pagePath("one"), s.pagePath("two")); err != nil {
		t.Fatal(err)
	}
	if _, err := tunnelOf(t, s, "two", digest).Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("another tunnel's file and key: got %v, want %v", err, ErrSeal)
	}
}

func TestOlderStateIsRefused(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "old")
	old, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	save(t, k, "less old")
	save(t, k, "new")
	if err := os.WriteFile(k.file(), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tunnelOf(t, s.again(t), "one", digest).Load(); !errors.Is(err, ErrOld) {
		t.Errorf("got %v, want %v", err, ErrOld)
	}
}

func TestStateThatWasBeingWrittenAtTheDeathDoesNotCount(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	save(t, k, "half written")
	k.page.generation().Add(^uint64(0)) // killed before it counted
	s = s.again(t)
	wantState(t, s, "one", "state")
	k = tunnelOf(t, s, "one", digest)
	save(t, k, "next")
	wantState(t, s.again(t), "one", "next")
}

func TestDamagedFilesAreRefused(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state of one")
	whole, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if err := os.WriteFile(k.file(), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(); !errors.Is(err, ErrSeal) {
			t.Fatalf("%d of %d octets: got %v, want %v", n, len(whole), err, ErrSeal)
		}
		bent := bytes.Clone(whole)
		bent[n] ^= 1
		if err := os.WriteFile(k.file(), bent, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(); !errors.Is(err, ErrSeal) && !errors.Is(err, ErrOld) {
			t.Fatalf("octet %d changed: got %v, want %v", n, err, ErrSeal)
		}
	}
}

func TestDroppedStateOpensNoMoreEvenIfTheFileStays(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	b, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	k.Drop()
	if _, err := k.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("after Drop: got %v, want %v", err, ErrNone)
	}
	if err := os.WriteFile(k.file(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("after Drop with the file back: got %v, want %v", err, ErrSeal)
	}
	save(t, k, "later")
	wantState(t, s.again(t), "one", "later")
}

func TestFailedSaveLeavesNothing(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	b, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	// A directory with something in it in the way of the new file.
	if err := os.MkdirAll(filepath.Join(k.path(2), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := k.Save(secret.FromString("newer")); err == nil {
		t.Error("Save succeeded")
	}
	if err := os.WriteFile(k.file(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(); !errors.Is(err, ErrSeal) {
		t.Errorf("the state before the one that could not be saved: got %v, want %v", err, ErrSeal)
	}
}

func TestWhatOthersMayReadIsRefused(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(k.file(), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Load(); err == nil || !strings.Contains(err.Error(), "others may use it") {
			t.Errorf("file of mode %o: got %v, want a refusal", mode, err)
		}
	}
	if err := os.Chmod(s.pagePath("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tunnel("one", digest); err == nil || !strings.Contains(err.Error(), "others may use it") {
		t.Errorf("page: got %v, want a refusal", err)
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.dir); err == nil || !strings.Contains(err.Error(), "others may use it") {
		t.Errorf("directory: got %v, want a refusal", err)
	}
}

func TestLinkInThePlaceOfAFileIsNotFollowed(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	if err := os.Rename(k.file(), k.file()+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(k.file()+".moved", k.file()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(); err == nil {
		t.Error("a link was followed")
	}
}

func TestDirectoryIsForOneGateway(t *testing.T) {
	s := newStore(t)
	if _, err := open(s.dir, s.memory); err == nil || !strings.Contains(err.Error(), "another gateway uses it") {
		t.Errorf("got %v, want a refusal", err)
	}
	s.Close()
	reopen(t, s.dir, s.memory)
}

func TestOpenFindsMemoryForItsKeys(t *testing.T) {
	// Beside the state where that is in memory; below /run or /dev/shm else.
	for _, root := range []string{"/dev/shm", t.TempDir()} {
		dir, err := os.MkdirTemp(root, "keep-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(s.memory); s.Close() })
		if !inMemory(s.memory) {
			t.Errorf("the keys of %s are in %s, which outlives a reboot", dir, s.memory)
		}
	}
}

func TestPruneRemovesOnlyStrangers(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"one", "two"} {
		save(t, tunnelOf(t, s, id, digest), id)
	}
	if err := s.Prune([]string{"two"}); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "two", "two")
	if _, err := os.Stat(s.pagePath("one")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("page of a stranger: got %v, want none", err)
	}
	if _, err := tunnelOf(t, s, "one", digest).Load(); !errors.Is(err, ErrNone) {
		t.Errorf("state of a stranger: got %v, want %v", err, ErrNone)
	}
}

// TestStateThatProcessesDieOfIsGivenUp has each process die before the peer has
// answered it.
func TestStateThatProcessesDieOfIsGivenUp(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	die := func(saves int) error {
		t.Helper()
		s = s.again(t)
		k = tunnelOf(t, s, "one", digest)
		_, err := k.Load()
		for range saves {
			save(t, k, "state")
		}
		return err
	}
	for _, saves := range []int{1, 0, 1, 1, 2, 1, 0, 1, 0, 1} { // the fifth lived
		if err := die(saves); err != nil {
			t.Fatal(err)
		}
	}
	if err := die(0); !errors.Is(err, ErrTries) {
		t.Errorf("after five deaths in a row: got %v, want %v", err, ErrTries)
	}
	k.Drop()
	save(t, k, "anew")
	wantState(t, s, "one", "anew")
}

func TestEndLeavesNothingBehind(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	save(t, k, "state")
	k.End()
	s.Close()
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("got %v, %v left, want the lock", entries, err)
	}
	if _, err := os.Stat(s.memory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("memory: got %v, want nothing left", err)
	}
}

// openLedger is Open of a new pair, which must have room.
func openLedger(t testing.TB, k *Tunnel, in, out uint32, resumed bool) *esp.Ledger {
	t.Helper()
	l, err := k.Open(in, out, resumed)
	if err != nil || l == nil {
		t.Fatalf("ledger of %d and %d: %v, %v", in, out, l, err)
	}
	return l
}

func TestNextProcessFindsTheNumbers(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	for i := range uint32(5) {
		l := openLedger(t, k, 1000+i, 2000+i, false)
		l.Sent.Store(uint64(10 * i))
		l.Taken.Store(uint64(10*i) + 1)
	}
	s = s.again(t)
	k = tunnelOf(t, s, "one", digest)
	for i := range uint32(5) {
		l := openLedger(t, k, 1000+i, 2000+i, true)
		if got, want := [2]uint64{l.Sent.Load(), l.Taken.Load()}, [2]uint64{uint64(10 * i), uint64(10*i) + 1}; got != want {
			t.Errorf("pair %d: got %d, want %d", i, got, want)
		}
	}
	for _, pair := range [][2]uint32{{1000, 2001}, {1, 2}} {
		if l, err := k.Open(pair[0], pair[1], true); !errors.Is(err, ErrLedger) {
			t.Errorf("pair %d that was never there: got %v, %v, want %v", pair, l, err, ErrLedger)
		}
	}
}

func TestLedgersAreUsedAgainButNotAtOnce(t *testing.T) {
	k := tunnelOf(t, newStore(t), "one", digest)
	before := openLedger(t, k, 1, 2, false)
	before.Sent.Store(77)
	k.Close(1, 2)
	if l := openLedger(t, k, 3, 4, false); l.Sent == before.Sent || l.Sent.Load() != 0 {
		t.Errorf("the next pair got the ledger of the one before, at %d", l.Sent.Load())
	}
	k.Close(3, 4)
	for i := range uint32(1000) {
		if l := openLedger(t, k, 10+i, 20+i, false); l.Sent.Load() != 0 || l.Taken.Load() != 0 {
			t.Fatalf("pair %d begins at %d and %d", i, l.Sent.Load(), l.Taken.Load())
		}
		k.Close(10+i, 20+i)
	}
	for i := range uint32(slots) {
		openLedger(t, k, 5000+i, 6000+i, false)
	}
	if l, err := k.Open(1, 1, false); l != nil || err != nil {
		t.Errorf("one pair too many: got %v, %v, want no ledger and no error", l, err)
	}
}

func TestLeftoversOfADeadProcessMakeRoom(t *testing.T) {
	s := newStore(t)
	k := tunnelOf(t, s, "one", digest)
	for i := range uint32(slots) {
		openLedger(t, k, 1000+i, 2000, false)
	}
	k = tunnelOf(t, s.again(t), "one", digest)
	kept := openLedger(t, k, 1000, 2000, true)
	kept.Sent.Store(42)
	for i := range uint32(slots - 1) {
		openLedger(t, k, 5000+i, 6000, false)
	}
	if got := kept.Sent.Load(); got != 42 {
		t.Errorf("the resumed pair's numbers: got %d, want 42", got)
	}
}

func TestLedgerOutlivesItsTunnel(t *testing.T) {
	var ledger *esp.Ledger
	func() {
		k := tunnelOf(t, newStore(t), "one", digest)
		ledger = openLedger(t, k, 1, 2, false)
	}()
	for range 5 {
		runtime.GC()
	}
	ledger.Sent.Store(1) // would end the process if the page had been unmapped
	if got := ledger.Sent.Load(); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	runtime.KeepAlive(ledger)
}

func TestMalformedPageIsMadeAnew(t *testing.T) {
	s := newStore(t)
	save(t, tunnelOf(t, s, "one", digest), "state")
	for _, b := range [][]byte{nil, []byte("short"), make([]byte, pageLen)} {
		if err := os.WriteFile(s.pagePath("one"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		k := tunnelOf(t, s, "one", digest)
		k.page.generation().Store(1)
		if _, err := k.Load(); !errors.Is(err, ErrSeal) {
			t.Errorf("page of %d octets: got %v, want %v", len(b), err, ErrSeal)
		}
	}
}

// FuzzLoad gives Load any file: nothing but what was saved may open.
func FuzzLoad(f *testing.F) {
	s := newStore(f)
	k := tunnelOf(f, s, "one", digest)
	save(f, k, "state")
	whole, err := os.ReadFile(k.file())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), whole)
	f.Add(uint16(20), []byte{1})
	f.Add(uint16(len(whole)), []byte("more"))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte) {
		n := int(at) % (len(whole) + 1)
		b := append(bytes.Clone(whole[:n]), patch...)
		if len(b) < len(whole) {
			b = append(b, whole[len(b):]...)
		}
		if err := os.WriteFile(k.file(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		k.page.tries().Store(0)
		got, err := k.Load()
		if (err == nil) != bytes.HasPrefix(b, whole) || err == nil && string(got.Reveal()) != "state" {
			t.Fatalf("%x: got %q, %v", b, got.Reveal(), err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	k := tunnelOf(b, newStore(b), "one", digest)
	state := secret.New(make([]byte, 1500))
	for b.Loop() {
		if err := k.Save(state); err != nil {
			b.Fatal(err)
		}
	}
}
