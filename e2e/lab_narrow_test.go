//go:build e2e

package e2e

import "testing"

// A connection that is narrowed is so at both ends of a lab: its gateway offers the
// pair, so that IKEv1, which takes no other, comes up, too, and what is outside of it
// is not carried.
func TestLabCarriesWhatItsConnectionIsNarrowedToOnly(t *testing.T) {
	l := labUp(t, "narrow", variant(t, scratch(t), append(static, "    customer_gateway: cgw\n", "    customer_gateway: cgw\n    LocalIpv4NetworkCidr: 192.168.1.0/28\n    RemoteIpv4NetworkCidr: 10.0.0.0/16\n")...))
	awaitTraffic(t, l)
	l.run(t, "client", "ip addr add 192.168.1.77/24 dev lan0")
	for from, want := range map[string]bool{"192.168.1.10": true, "192.168.1.77": false} {
		s := l.exec("client", "ping", "-q", "-c", "5", "-i", "0.1", "-W", "0.5", "-I", from, appAddress)
		if carried := s.code == 0; carried != want {
			t.Errorf("from %s: carried %v, want %v:\n%v", from, carried, want, s)
		}
	}
}
