package lanes

import (
	"bytes"
	"crypto/aes"
	"os"
	"syscall"
	"testing"
)

// walled returns a page that may be used, between two that may not even be read.
func walled(t *testing.T) []byte {
	page := os.Getpagesize()
	whole, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(whole) })
	for _, wall := range [][]byte{whole[:page], whole[2*page:]} {
		if err := syscall.Mprotect(wall, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return whole[page : 2*page]
}

// TestNothingBeyondAMessageIsTouched has messages of every length begin where
// the page before may not be read, and end where the one behind may not.
func TestNothingBeyondAMessageIsTouched(t *testing.T) {
	page, out := walled(t), walled(t)
	for _, fast := range both(haveAES() && haveSHA()) {
		c, h := cbc(t, make([]byte, 32), fast), newHMAC256(make([]byte, 32), fast)
		for n := range 300 {
			for _, at := range []int{0, len(page) - n} {
				jobs := []Job{{Msg: page[at : at+n]}}
				h.Sum(jobs, 4)
				if n < aes.BlockSize || n%aes.BlockSize != 0 {
					continue
				}
				msg, was := page[at:at+n:at+n], bytes.Clone(page[at:at+n])
				to := 0
				if at > 0 {
					to = len(out) - (n - aes.BlockSize)
				}
				c.Encrypt([][]byte{msg})
				c.Decrypt(out[to:], msg)
				c.Decrypt(msg[aes.BlockSize:], msg)
				if !bytes.Equal(msg, was) || !bytes.Equal(out[to:to+n-aes.BlockSize], was[aes.BlockSize:]) {
					t.Fatalf("fast %v, %d octets: other content", fast, n)
				}
			}
		}
	}
}
