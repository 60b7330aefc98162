package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
)

// A peer is the pair of addresses that tells which tunnel an IKE message is
// for, as AWS tells them apart (vpn §3.2). Without remote it is whoever else
// comes.
type peer struct{ local, remote netip.Addr }

// spis are those of an IKE SA, the initiator's first, as they stand in the
// header of its messages.
type spis [2]uint64

// A directory says which tunnel an IKE message is for. It never changes; a new
// one takes its place.
type directory struct {
	peers map[peer]*running
	// moving are the IKE SAs whose peers may come from another address with
	// MOBIKE (RFC 4555).
	moving map[spis]*running
}

// A mail is the directory of a gateway and how many messages it had none for.
type mail struct {
	atomic.Pointer[directory]
	strangers atomic.Uint64

	mu       sync.Mutex
	stranger netip.Addr // whose message was the last of them, or nearly
}

// newDirectory is that of these tunnels. The caller holds g.mu.
func newDirectory(tunnels map[string]*running) *directory {
	d := &directory{peers: map[peer]*running{}, moving: map[spis]*running{}}
	for _, r := range tunnels {
		d.peers[r.peer] = r
		if s := r.tunnel.State(); slices.Contains(s.Extensions, mobike) {
			d.moving[spis{s.SPIi, s.SPIr}] = r
		}
	}
	return d
}

// find is the tunnel whose IKE SA the message is of, if that may move: its peer
// may have come to an address that is another's, as behind one NAT. Else it is
// that of the peer's address, else the one of our address that takes any peer;
// nil when there is none. Who it is from is for the tunnel to find out.
func (d *directory) find(m ike.Datagram) *running {
	if len(m.Data) >= 16 {
		if r := d.moving[spis{binary.BigEndian.Uint64(m.Data), binary.BigEndian.Uint64(m.Data[8:])}]; r != nil {
			return r
		}
	}
	if r := d.peers[peer{m.Local.Addr(), m.Remote.Addr()}]; r != nil {
		return r
	}
	return d.peers[peer{local: m.Local.Addr()}]
}

// deliver hands an IKE message to the tunnel that it is for. The data plane
// calls it for every message, so it only looks up and enqueues; what is for nobody
// costs a look.
func (g *Gateway) deliver(_ *udp.Outside, d ike.Datagram) {
	r := g.mail.Load().find(d)
	if r == nil {
		g.mail.strangers.Add(1)
		if g.mail.mu.TryLock() { // who it was is not worth waiting for
			g.mail.stranger = d.Remote.Addr()
			g.mail.mu.Unlock()
		}
		return
	}
	r.tunnel.Deliver(d)
}
