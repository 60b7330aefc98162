package ikev1

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// What stands before an IKE message in its IP packet, in octets: the headers
// of IP and UDP and the non-ESP marker, which is counted on port 500 too, since
// a message may be repeated on port 4500.
const (
	overIPv4 = 20 + 8 + 4
	overIPv6 = 40 + 8 + 4
)

// A fragmentation is what one ISAKMP SA needs for messages in pieces.
type fragmentation struct {
	on     bool // both ends have said that they can
	theirs wire.Reassembly
}

// fragments reports whether we put fragments together and make them. Without
// certificates no message is long, and nobody can make us keep parts of one.
func (m *Machine) fragments() bool {
	return m.cfg.Extensions.FragmentSize > 0 && m.method != proposal.PSK
}

// vendors are what our first message announces.
func (m *Machine) vendors() []wire.Payload {
	list := []wire.Payload{wire.VendorNATT.Payload(), wire.VendorDPD.Payload()}
	if m.fragments() {
		list = append(list, wire.VendorFragmentation.Payload())
	}
	return list
}

// listen notes what the peer announces.
func (m *Machine) listen(s *sa, list []wire.Payload) {
	s.path.supported = s.path.supported || wire.Announces(list, wire.VendorNATT)
	s.dpd.supported = s.dpd.supported || wire.Announces(list, wire.VendorDPD)
	s.fragments.on = s.fragments.on || (m.fragments() && wire.Announces(list, wire.VendorFragmentation))
}

// post sends data, a message of s, and cuts it into fragments if it is too long
// for one packet and the peer can put them together.
func (m *Machine) post(t *turn, s *sa, local, remote netip.AddrPort, data []byte) {
	room := m.cfg.Extensions.FragmentSize - overhead(remote.Addr())
	if !s.fragments.on || len(data) <= room {
		t.send(local, remote, data)
		return
	}
	// A message that is sent again has the same id, so that what was lost is
	// made good by the second time.
	sum := sha256.Sum256(data)
	list, err := wire.Split(s.header(wire.MainMode, 0), binary.BigEndian.Uint16(sum[:]), data, room)
	if err != nil {
		list = [][]byte{data} // IP may fragment it
	}
	for _, one := range list {
		t.send(local, remote, one)
	}
}

// overhead is what an IP packet to the given address has before the message.
func overhead(remote netip.Addr) int {
	if remote.Unmap().Is4() {
		return overIPv4
	}
	return overIPv6
}

// receiveFragment takes a fragment, and the message when it is whole. Fragments
// prove nothing; they are kept only of those who know both cookies.
func (m *Machine) receiveFragment(t *turn, d ike.Datagram, h ike.Header, f *wire.Fragment) {
	s := m.find(h)
	if s == nil || !s.fragments.on || s.state == gone {
		return
	}
	whole, err := s.fragments.theirs.Add(t.now, f)
	if err != nil || whole == nil {
		return
	}
	msg, err := wire.Parse(whole)
	if err != nil {
		m.begun(h).ignored("cannot be read, put together: %v", err)
		return
	}
	if msg.Header.SPIi != s.spiI || msg.Header.SPIr != s.spiR {
		return
	}
	if _, again := wire.Find[*wire.Fragment](msg.Chain.Payloads); again {
		return
	}
	d.Data = whole
	m.dispatch(t, d, msg)
}
