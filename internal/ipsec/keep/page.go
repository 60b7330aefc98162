package keep

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// The layout of a page, in octets. It is this machine's own and outlives no
// reboot, so numbers have its byte order. What is sent and what is taken in
// are counted in different cache lines, since different processors do it.
const (
	pageLen      = 4096
	pageMagic    = "SEIKAN-1"
	atGeneration = 8
	atKey        = 16
	keyLen       = 32
	atTries      = 48
	atSlots      = 1024 // slots of 16: which pair of SAs, last number sent
	atTaken      = 2048 // 8 for each slot: highest number taken in
	slots        = 64
)

// A page is shared memory that stays when the process is killed: each number
// is there the moment it is stored.
type page struct {
	b []byte
}

// errPage says that a page is not one of ours.
var errPage = errors.New("the page of keys and sequence numbers is malformed")

// openPage maps the page at path. Missing, or malformed, it is made anew with
// a key of its own, which makes every sealed file of before worthless.
func openPage(path string) (*page, error) {
	p, err := mapPage(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errPage) {
		return p, err
	}
	b := make([]byte, pageLen)
	copy(b, pageMagic)
	rand.Read(b[atKey:][:keyLen])
	defer clear(b)
	// Under another name first: one that is only half written never counts.
	tmp := path + ".new"
	if err := writePrivate(tmp, b); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, path); err != nil {
		return nil, err
	}
	return mapPage(path)
}

// mapPage maps the page at path as it is.
func mapPage(path string) (*page, error) {
	f, info, err := openPrivate(path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !info.Mode().IsRegular() || info.Size() != pageLen {
		return nil, errPage
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, pageLen, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	p := &page{b: b}
	// Whoever counts in it keeps it alive.
	runtime.AddCleanup(p, func(b []byte) { _ = syscall.Munmap(b) }, b)
	if string(b[:len(pageMagic)]) != pageMagic {
		return nil, errPage
	}
	return p, nil
}

// word is the number at octet at, a multiple of eight.
func (p *page) word(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&p.b[at])) }

// generation is that of the newest sealed file.
func (p *page) generation() *atomic.Uint64 { return p.word(atGeneration) }

// tries is how often state was loaded and nothing came of it.
func (p *page) tries() *atomic.Uint64 { return p.word(atTries) }

// pairOf, sent and taken are those of slot i.
func (p *page) pairOf(i int) *atomic.Uint64 { return p.word(atSlots + 16*i) }
func (p *page) sent(i int) *atomic.Uint64   { return p.word(atSlots + 16*i + 8) }
func (p *page) taken(i int) *atomic.Uint64  { return p.word(atTaken + 8*i) }

// key is the key, not a copy.
func (p *page) key() []byte { return p.b[atKey:][:keyLen] }

// rekey makes every file sealed so far worthless. It cannot fail.
func (p *page) rekey() { rand.Read(p.key()) }

// pairID is what a slot calls a pair of SAs; it is never 0, as SPIs are not.
func pairID(spiIn, spiOut uint32) uint64 {
	return binary.BigEndian.Uint64(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, spiIn), spiOut))
}

// writePrivate writes a file that only we may read, in the place of any.
func writePrivate(path string, b []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
