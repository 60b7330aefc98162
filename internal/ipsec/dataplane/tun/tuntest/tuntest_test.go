package tuntest

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
)

func TestPacketsAreReadInOrder(t *testing.T) {
	d := New(300)
	pkt := func(i int) []byte { return append([]byte{0x45, 0, 0, 24, 18: 0, 19: byte(i)}, 1, 2, 3, 4) }
	for i := range 200 {
		if err := d.Send(pkt(i)); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 100)
	for i := range 200 {
		if i%2 == 0 {
			if err := d.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		n, err := d.Read(b)
		if err != nil || !bytes.Equal(b[offload.HeaderLen:n], pkt(i)) {
			t.Fatalf("packet %d: got %x, %v", i, b[:n], err)
		}
	}
	if _, err := d.Read(b); !errors.Is(err, tun.ErrEmpty) {
		t.Errorf("no packet: got %v, want %v", err, tun.ErrEmpty)
	}
}

// written is a frame of one packet that ends in last.
func written(last byte) (*tun.Frame, []byte) {
	f, pkt := &tun.Frame{}, append([]byte{0x45, 0, 0, 21, 19: 0}, last)
	f.Reset(offload.Header{})
	f.Append(pkt[:7])
	f.Append(pkt[7:])
	return f, pkt
}

func TestWrittenPacketsAreCopiedAndTheNewestDropped(t *testing.T) {
	d := New(2)
	f, pkt := written(7)
	for range 3 {
		if err := d.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	want := bytes.Clone(pkt)
	pkt[20] = 8
	if got := <-d.Packets(); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := d.Dropped(); got != 1 {
		t.Errorf("dropped: got %d, want 1", got)
	}
}

func TestClosedDeviceRefusesEverything(t *testing.T) {
	d := New(2)
	d.Close()
	d.Close()
	_, readErr := d.Read(make([]byte, 100))
	f, _ := written(1)
	for name, err := range map[string]error{
		"wait":  d.Wait(),
		"send":  d.Send([]byte{1}),
		"read":  readErr,
		"write": d.Write(f),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, os.ErrClosed)
		}
	}
}
