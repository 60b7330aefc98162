package keep

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"seikan/internal/ipsec/esp"
	"seikan/internal/secret"
)

// ErrNone says that nothing is kept of a tunnel.
var ErrNone = errors.New("nothing is kept")

// Errors of what is kept and cannot be used.
var (
	// ErrSeal says that a file was not sealed by us for this tunnel as it is
	// configured now, or was changed since.
	ErrSeal = errors.New("sealed with another key, for another tunnel, or for another configuration of it")
	// ErrOld says that a file is not the newest that was sealed: to go on with
	// it would repeat message ids.
	ErrOld = errors.New("not the newest that was sealed")
	// ErrTries says that processes died again and again soon after they had
	// taken the state up: perhaps of it.
	ErrTries = errors.New("taken up several times without success")
	// ErrLedger says that the sequence numbers of an SA are not known.
	ErrLedger = errors.New("the SA's sequence numbers are not kept")
)

// A sealed file begins with this; the generation, the length of the sealed
// state, the nonce of AES-GCM and the sealed state follow, and then whatever a
// longer one of before left behind.
const (
	sealMagic = "SEIKAN-S\x00\x00\x00\x01"
	headLen   = len(sealMagic) + 8 + 4
	nonceLen  = 12
	// maxSealed bounds a file, in octets; the largest state is far below.
	maxSealed = 4 << 20
)

// State that was loaded is saved again before the peer is asked whether it still
// knows the SA, and once more when it has answered: then it is good. After
// maxTries in a row that did not come so far it is not loaded any more.
const (
	provenBy = 2
	maxTries = 5
)

// A Tunnel is what is kept of one tunnel. Save, Load and Drop are for one
// goroutine at a time, Open and Close for any.
type Tunnel struct {
	store  *Store
	id     string
	page   *page
	digest [32]byte
	saved  bool // there may be a file
	fresh  int  // how many times Save must succeed before what was loaded has proved good

	mu      sync.Mutex
	claimed [slots]bool // by an SA of this process
	next    int         // slot to try first
}

// Tunnel is what is kept of the tunnel called id. digest stands for its
// configuration: state that was kept under another one is not taken up.
func (s *Store) Tunnel(id string, digest [32]byte) (*Tunnel, error) {
	p, err := openPage(s.pagePath(id))
	if err != nil {
		return nil, fmt.Errorf("keep tunnel %s: %w", id, err)
	}
	return &Tunnel{store: s, id: id, page: p, digest: digest, saved: true}, nil
}

// path is the file of the given generation. There are two, used in turn, so
// that the last state is whole while the next is written: to overwrite one in
// place costs microseconds, where a rename makes some file systems wait for
// the disk.
func (t *Tunnel) path(generation uint64) string { return t.store.statePath(t.id, generation) }

// seal is the cipher of t.
func (t *Tunnel) seal() (cipher.AEAD, error) {
	block, err := aes.NewCipher(t.page.key())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// covered is what the seal covers beside the state.
func (t *Tunnel) covered(head []byte) []byte {
	name := fileName(t.id)
	return append(append(append([]byte(nil), head...), name...), t.digest[:]...)
}

// Save keeps state in the place of what was kept. When it returns, the state
// outlives the death of the process: the file is in the kernel's cache, so
// nothing needs to reach the disk; a crash of the kernel loses the key as well. On an error nothing is kept any more.
func (t *Tunnel) Save(state secret.Secret) error {
	if err := t.save(state); err != nil {
		t.Drop()
		return fmt.Errorf("keep tunnel %s: %w", t.id, err)
	}
	return nil
}

func (t *Tunnel) save(state secret.Secret) error {
	aead, err := t.seal()
	if err != nil {
		return err
	}
	generation := t.page.generation().Load() + 1
	b := make([]byte, headLen+nonceLen, headLen+nonceLen+state.Len()+aead.Overhead())
	copy(b, sealMagic)
	binary.BigEndian.PutUint64(b[len(sealMagic):], generation)
	binary.BigEndian.PutUint32(b[len(sealMagic)+8:], uint32(state.Len()+aead.Overhead()))
	rand.Read(b[headLen:])
	b = aead.Seal(b, b[headLen:], state.Reveal(), t.covered(b[:headLen]))
	t.saved = true
	if err := overwrite(t.path(generation), b); err != nil {
		return err
	}
	// From here on it is this file that counts.
	t.page.generation().Store(generation)
	if t.fresh--; t.fresh <= 0 {
		t.page.tries().Store(0)
	}
	return nil
}

// overwrite puts b at the beginning of a file that only we may read.
func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// Load is what was kept last. The error is ErrNone, or says why it cannot be
// used; then it must be dropped.
func (t *Tunnel) Load() (secret.Secret, error) {
	generation := t.page.generation().Load()
	path := t.path(generation)
	b, err := readPrivate(path)
	if errors.Is(err, os.ErrNotExist) {
		return secret.Secret{}, ErrNone
	}
	if err != nil {
		return secret.Secret{}, err
	}
	if len(b) < headLen+nonceLen || string(b[:len(sealMagic)]) != sealMagic {
		return secret.Secret{}, fmt.Errorf("%s: %w", path, ErrSeal)
	}
	got, n := binary.BigEndian.Uint64(b[len(sealMagic):]), binary.BigEndian.Uint32(b[len(sealMagic)+8:])
	if got != generation {
		return secret.Secret{}, fmt.Errorf("%s: number %d, the last was %d: %w", path, got, generation, ErrOld)
	}
	aead, err := t.seal()
	if err != nil {
		return secret.Secret{}, err
	}
	sealed := b[headLen+nonceLen:]
	if uint64(len(sealed)) < uint64(n) {
		return secret.Secret{}, fmt.Errorf("%s: %w", path, ErrSeal)
	}
	plain, err := aead.Open(nil, b[headLen:][:nonceLen], sealed[:n], t.covered(b[:headLen]))
	if err != nil {
		return secret.Secret{}, fmt.Errorf("%s: %w", path, ErrSeal)
	}
	defer clear(plain)
	if t.page.tries().Add(1) > maxTries {
		return secret.Secret{}, fmt.Errorf("%s: %w", path, ErrTries)
	}
	t.fresh = provenBy
	return secret.New(plain), nil
}

// readPrivate reads a file that only we may read.
func readPrivate(path string) ([]byte, error) {
	f, info, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !info.Mode().IsRegular() || info.Size() > maxSealed {
		return nil, fmt.Errorf("%s is not a file of ours", path)
	}
	return io.ReadAll(io.LimitReader(f, maxSealed))
}

// Drop makes what is kept worthless and removes it. The first cannot fail, so
// that state that is out of date is never gone on with.
func (t *Tunnel) Drop() {
	if !t.saved {
		return
	}
	t.page.rekey()
	t.page.tries().Store(0)
	t.saved = false
	for i := range uint64(2) {
		_ = os.Remove(t.path(i)) // if it stays, it opens no more
	}
}

// End drops what is kept and forgets the sequence numbers: the tunnel has said
// goodbye to its peer.
func (t *Tunnel) End() {
	t.Drop()
	_ = os.Remove(t.store.pagePath(t.id)) // an empty page is made anew
}

// Open is the ledger of the pair of SAs with these SPIs. One that is resumed
// must be there. One that is new begins with zeros, and is nil when there is
// no room: then it cannot be resumed.
func (t *Tunnel) Open(spiIn, spiOut uint32, resumed bool) (*esp.Ledger, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := pairID(spiIn, spiOut)
	at := t.slotLocked(func(i int) bool { return t.page.pairOf(i).Load() == id })
	if resumed {
		if at < 0 {
			return nil, fmt.Errorf("SPIs %08x and %08x: %w", spiIn, spiOut, ErrLedger)
		}
		t.claimed[at] = true
		return t.ledger(at), nil
	}
	if at < 0 {
		at = t.slotLocked(func(i int) bool { return t.page.pairOf(i).Load() == 0 })
	}
	if at < 0 { // left behind by SAs that nobody resumed
		at = t.slotLocked(func(i int) bool { return !t.claimed[i] })
	}
	if at < 0 {
		return nil, nil
	}
	t.next = at + 1
	t.page.sent(at).Store(0)
	t.page.taken(at).Store(0)
	t.page.pairOf(at).Store(id)
	t.claimed[at] = true
	return t.ledger(at), nil
}

// Close frees the ledger of a pair. A packet of it may be under way still and be
// counted, so a slot is used again only after all the others.
func (t *Tunnel) Close(spiIn, spiOut uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := pairID(spiIn, spiOut)
	if at := t.slotLocked(func(i int) bool { return t.page.pairOf(i).Load() == id }); at >= 0 {
		t.page.pairOf(at).Store(0)
		t.claimed[at] = false
	}
}

// slotLocked is a slot for which is holds, the one that was freed longest ago
// where that matters, or -1. The caller holds t.mu.
func (t *Tunnel) slotLocked(is func(i int) bool) int {
	for i := range slots {
		if at := (t.next + i) % slots; is(at) {
			return at
		}
	}
	return -1
}

func (t *Tunnel) ledger(at int) *esp.Ledger {
	return &esp.Ledger{Sent: t.page.sent(at), Taken: t.page.taken(at), Owner: t.page}
}
