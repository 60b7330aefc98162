package tuntest

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"seikan/internal/ipsec/dataplane/tun"
)

func TestPacketsAreReadInBatchesAndInOrder(t *testing.T) {
	d := New(300)
	for i := range 200 {
		if err := d.Send([]byte{byte(i), 1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	bufs, sizes := make([][]byte, Batch), make([]int, Batch)
	for i := range bufs {
		bufs[i] = make([]byte, 10)
	}
	next := 0
	for _, want := range []int{Batch, 200 - Batch} {
		n, err := d.Read(bufs, sizes, 4)
		if err != nil || n != want {
			t.Fatalf("got %d, %v, want %d", n, err, want)
		}
		for i := range n {
			if got, want := bufs[i][4:][:sizes[i]], []byte{byte(next), 1, 2}; !bytes.Equal(got, want) {
				t.Fatalf("packet %d: got %x, want %x", next, got, want)
			}
			next++
		}
	}
}

func TestWrittenPacketsAreCopiedAndTheNewestDropped(t *testing.T) {
	d := New(2)
	buf := append(make([]byte, tun.Headroom), 7)
	for range 3 {
		if err := d.Write([][]byte{buf}, tun.Headroom); err != nil {
			t.Fatal(err)
		}
	}
	buf[tun.Headroom] = 8
	if got := <-d.Packets(); !bytes.Equal(got, []byte{7}) {
		t.Errorf("got %x, want 07", got)
	}
	if got := d.Dropped(); got != 1 {
		t.Errorf("dropped: got %d, want 1", got)
	}
	if err := d.Write([][]byte{buf}, tun.Headroom-1); err == nil {
		t.Error("too little headroom: accepted")
	}
}

func TestClosedDeviceRefusesEverything(t *testing.T) {
	d := New(2)
	d.Close()
	d.Close()
	_, readErr := d.Read([][]byte{make([]byte, 10)}, make([]int, 1), 0)
	for name, err := range map[string]error{
		"send":  d.Send([]byte{1}),
		"read":  readErr,
		"write": d.Write([][]byte{make([]byte, 20)}, tun.Headroom),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, os.ErrClosed)
		}
	}
}
