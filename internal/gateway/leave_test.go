package gateway

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/nettest"
)

// A recorder is a data plane that says what was done, and when. What is removed
// later is said by another goroutine than the test's.
type recorder struct {
	began time.Time
	said  nettest.Buffer
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
		synctest.Wait()
		want := "0s: use 1, 0s: use 2, 0s: remove 1, 50ms: use 3, 100ms: remove 2, "
		if got := r.said.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A tunnel to another site cannot take a tunnel's traffic, so that the other does not
// leave in steps for its sake.
func TestOnlyATunnelToTheSameSiteTakesTraffic(t *testing.T) {
	static := func(routes ...string) (out Tunnel) {
		for _, p := range routes {
			out.Routes = append(out.Routes, prefix(p))
		}
		return out
	}
	speaks := func(asn uint32) Tunnel { return Tunnel{BGP: Session{PeerASN: asn}} }
	for _, tt := range []struct {
		name  string
		other Tunnel
		of    Tunnel
		want  bool
	}{
		{"the same routes", static("192.168.1.0/24"), static("192.168.1.0/24"), true},
		{"a wider route", static("10.9.0.0/16", "192.168.0.0/16"), static("192.168.1.0/24"), true},
		{"routes of another site", static("192.168.2.0/24"), static("192.168.1.0/24"), false},
		{"the same peer by BGP", speaks(65001), speaks(65001), true},
		{"another peer by BGP", speaks(65002), speaks(65001), false},
		{"BGP in the place of routes", speaks(65001), static("192.168.1.0/24"), true},
		{"routes that are laid elsewhere", static(), static(), true},
	} {
		if got := tt.other.carriesFor(tt.of); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
