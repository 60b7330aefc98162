package capture

// maxSample is how many clear packets a Count keeps as lines.
const maxSample = 5

// A Count is what passed a link, by kind. What IPv6 says to its own link
// (neighbour discovery, multicast listeners) counts as a packet and as nothing
// else: no router carries it on. It is used by one goroutine.
type Count struct {
	Packets, Bytes  uint64
	IKE, ESP, Clear uint64
	Sample          []string // the first clear packets
}

// Add counts one frame.
func (c *Count) Add(f Frame) {
	c.Packets++
	c.Bytes += uint64(len(f.Data))
	p, ok := Decode(f.Data)
	switch {
	case ok && p.staysOnLink():
	case ok && p.Kind == IKE:
		c.IKE++
	case ok && p.Kind == ESP:
		c.ESP++
	default:
		c.Clear++
		if len(c.Sample) < maxSample {
			c.Sample = append(c.Sample, p.String())
		}
	}
}

// staysOnLink reports whether p is of IPv6's link-local scope (RFC 4291
// sections 2.5.6 and 2.7).
func (p Packet) staysOnLink() bool {
	src, dst := p.Src.Addr(), p.Dst.Addr()
	return src.Is6() && (src.IsLinkLocalUnicast() || src.IsUnspecified()) && (dst.IsLinkLocalUnicast() || dst.IsLinkLocalMulticast())
}
