package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestChangedAddressesAreNoticed(t *testing.T) {
	w, err := openWatch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- w.run(ctx, func() { changed <- struct{}{} }) }()
	wan := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "wan1"}}
	if err := errors.Join(netlink.LinkAdd(wan), netlink.LinkSetUp(wan)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(wan) })
	a, err := netlink.ParseAddr("192.0.2.7/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(wan, a); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(patience):
		t.Fatalf("nothing noticed in %v", patience)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end: got %v, want no error", err)
	}
}
