package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/ipsec/ike"
)

// A recorder is a data plane that says what was done, and when.
type recorder struct {
	began time.Time
	said  strings.Builder
}

func (r *recorder) say(what string, spi uint32) {
	fmt.Fprintf(&r.said, "%v: %s %d, ", time.Since(r.began), what, spi)
}
func (r *recorder) InstallInbound(*ike.ChildSA) error       { return nil }
func (r *recorder) MovePeer(netip.AddrPort, netip.AddrPort) {}
func (r *recorder) LastInbound() time.Time                  { return time.Time{} }
func (r *recorder) Remove(spiIn uint32)                     { r.say("remove", spiIn) }
func (r *recorder) UseOutbound(sa *ike.ChildSA) error       { r.say("use", sa.SPIIn); return nil }

// What an SA is replaced by is there before it is removed; what is removed without
// that is the last in use, and the routes need a moment to follow.
func TestTheLastSAInUseOutlivesIKE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{began: time.Now()}
		i := &installed{sas: r}
		use := func(spi uint32) {
			if err := i.UseOutbound(&ike.ChildSA{SPIIn: spi}); err != nil {
				t.Error(err)
			}
		}
		use(1)
		use(2)
		i.Remove(1)
		i.Remove(2)
		<-time.After(outlive / 2)
		use(3)
		<-time.After(outlive)
		i.lasting.Store(true)
		i.Remove(3)
		<-time.After(outlive)
		want := "0s: use 1, 0s: use 2, 0s: remove 1, 50ms: use 3, 100ms: remove 2, "
		if got := r.said.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
