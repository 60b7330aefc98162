//go:build e2e

package world

import "testing"

func TestDropsReadsTheKernelsCounters(t *testing.T) {
	const before = `Ip: Forwarding InDiscards OutDiscards ReasmFails
Ip: 1 0 2 0
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 9 8 7 6 5 0
UdpLite: InDatagrams RcvbufErrors
UdpLite: 0 4
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
  tun1:     100       2    0    3    0     0          0         0      100       2    0   11    0     0       0          0
`
	d := Drops{}
	d.read("resp", before)
	if got, want := d.String(), "the kernel dropped: resp: Ip: OutDiscards 2, resp: Udp: RcvbufErrors 5, resp: tun1: received and dropped 3, resp: tun1: sent and dropped 11"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := d.Since(Drops{"resp: Udp: RcvbufErrors": 1, "resp: Ip: OutDiscards": 2}).String(), "the kernel dropped: resp: Udp: RcvbufErrors 4, resp: tun1: received and dropped 3, resp: tun1: sent and dropped 11"; got != want {
		t.Errorf("since: got %q, want %q", got, want)
	}
	if got, want := d.Since(d).String(), "the kernel dropped nothing"; got != want {
		t.Errorf("since itself: got %q, want %q", got, want)
	}
}
