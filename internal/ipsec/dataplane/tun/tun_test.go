package tun_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// echo is an ICMP echo request from 192.0.2.2 to 192.0.2.1.
func echo() []byte {
	return []byte{
		0x45, 0, 0, 32, 0, 1, 0, 0, 64, 1, 0xf6, 0xd8, 192, 0, 2, 2, 192, 0, 2, 1,
		8, 0, 0x33, 0x36, 0, 1, 0, 2, 0x61, 0x62, 0x63, 0x64,
	}
}

// frame is pkt as a frame of its own, in two pieces.
func frame(pkt []byte) *tun.Frame {
	f := &tun.Frame{}
	f.Reset(offload.Header{})
	f.Append(pkt[:10])
	f.Append(pkt[10:])
	return f
}

// up gives the link an address and sets it up.
func up(t *testing.T, name, addr string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link)); err != nil {
		t.Fatal(err)
	}
}

func TestPacketsGoInAndOut(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dev, err := tun.Open("vpn0", 1400)
	if err != nil {
		t.Fatal(err)
	}
	if got := dev.Name(); got != "vpn0" {
		t.Errorf("name: got %q, want vpn0", got)
	}
	if got, err := dev.MTU(); err != nil || got != 1400 {
		t.Errorf("MTU: got %d, %v, want 1400", got, err)
	}
	up(t, "vpn0", "192.0.2.1/24")

	f := frame(echo())
	if err := dev.Write(f); err != nil {
		t.Fatal(err)
	}
	reply := make(chan []byte, 1)
	ended := make(chan error, 1)
	go func() {
		b := make([]byte, tun.MaxFrame)
		for {
			n, err := dev.Read(b)
			if errors.Is(err, tun.ErrEmpty) {
				n, err = 0, dev.Wait()
			}
			if err != nil {
				ended <- err
				return
			}
			if n > 30 && b[offload.HeaderLen] == 0x45 && b[offload.HeaderLen+9] == 1 { // not IPv6 neighbours
				reply <- bytes.Clone(b[offload.HeaderLen:n])
			}
		}
	}()
	select {
	case p := <-reply:
		if !bytes.Equal(p[12:20], []byte{192, 0, 2, 1, 192, 0, 2, 2}) || p[20] != 0 || !bytes.HasSuffix(p, []byte("abcd")) {
			t.Errorf("got %x, want an echo reply", p)
		}
	case <-time.After(10 * time.Second):
		out, _ := exec.Command("ip", "-s", "link", "show", "vpn0").CombinedOutput()
		t.Errorf("no echo reply: %s", out)
	}
	if err := dev.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: got %v, want %v", err, os.ErrClosed)
	}
	if err := dev.Write(f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: got %v, want %v", err, os.ErrClosed)
	}
	if _, err := net.InterfaceByName("vpn0"); err == nil {
		t.Error("the link is still there")
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	for name, mtu := range map[string]int{
		"tiny": 67, "huge": 65536, "a-name-that-is-too-long-for-linux": 1500,
	} {
		if dev, err := tun.Open(name, mtu); err == nil {
			dev.Close()
			t.Errorf("%s, %d: opened", name, mtu)
		}
	}
	dev, err := tun.Open("twice", 1500)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if again, err := tun.Open("twice", 1500); err == nil {
		again.Close()
		t.Error("a name in use: opened")
	}
}
