package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// A Kind sorts packets by what a look at them from outside can tell.
type Kind uint8

// The kinds of packet.
const (
	Clear Kind = iota // anything that is neither of the others
	IKE               // UDP 500; UDP 4500 with the non-ESP marker (RFC 3948 section 2.2); NAT keepalives
	ESP               // IP protocol 50; UDP 4500 without the marker
)

// String is the upper-case name.
func (k Kind) String() string { return [...]string{"CLEAR", "IKE", "ESP"}[k] }

// IP protocol numbers and ports that are told apart.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoESP    = 50
	protoICMPv6 = 58

	portDNS = 53
	portIKE = 500
	portNAT = 4500
)

// A Packet is one IP packet, decoded as far as status lines need.
type Packet struct {
	Kind     Kind
	Src, Dst netip.AddrPort // the port is 0 where there is none
	Proto    uint8
	Length   int    // of the IP packet on the wire, octets
	Info     string // "ESP spi=0x… seq=7", "Flags [S]"
}

// String is one line: addresses, what it is, its length.
func (p Packet) String() string {
	return fmt.Sprintf("%s > %s: %s, length %d", endpoint(p.Src), endpoint(p.Dst), p.Info, p.Length)
}

func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

// Decode reads an IP packet, of which b may hold only the beginning. It reports
// false when b holds no IP header.
func Decode(b []byte) (Packet, bool) {
	if len(b) == 0 {
		return Packet{}, false
	}
	switch b[0] >> 4 {
	case 4:
		return decode4(b)
	case 6:
		return decode6(b)
	}
	return Packet{}, false
}

func decode4(b []byte) (Packet, bool) {
	header := int(b[0]&0xf) * 4
	if header < 20 || len(b) < header {
		return Packet{}, false
	}
	src, _ := netip.AddrFromSlice(b[12:16])
	dst, _ := netip.AddrFromSlice(b[16:20])
	p := Packet{Proto: b[9], Length: int(binary.BigEndian.Uint16(b[2:])), Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(dst, 0)}
	fragment := binary.BigEndian.Uint16(b[6:])
	if offset := int(fragment&0x1fff) * 8; offset > 0 {
		// The ports are in the first fragment; whether this is ESP is not, when
		// it is in UDP.
		p.Info = fmt.Sprintf("%s fragment at %d", protoName(p.Proto), offset)
		if p.Proto == protoESP {
			p.Kind = ESP
		}
		return p, true
	}
	p.transport(b[header:])
	if fragment&0x2000 != 0 {
		p.Info += " (first fragment)"
	}
	return p, true
}

func decode6(b []byte) (Packet, bool) {
	if len(b) < 40 {
		return Packet{}, false
	}
	src, _ := netip.AddrFromSlice(b[8:24])
	dst, _ := netip.AddrFromSlice(b[24:40])
	p := Packet{Proto: b[6], Length: 40 + int(binary.BigEndian.Uint16(b[4:])), Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(dst, 0)}
	p.transport(b[40:])
	return p, true
}

func protoName(proto uint8) string {
	switch proto {
	case protoICMP:
		return "ICMP"
	case protoTCP:
		return "TCP"
	case protoUDP:
		return "UDP"
	case protoESP:
		return "ESP"
	case protoICMPv6:
		return "ICMPv6"
	}
	return fmt.Sprintf("protocol %d", proto)
}

// transport decodes what follows the IP header.
func (p *Packet) transport(b []byte) {
	p.Info = protoName(p.Proto)
	switch p.Proto {
	case protoESP:
		p.Kind = ESP
		p.Info = esp(b)
	case protoICMP, protoICMPv6:
		p.Info = icmp(p.Proto, b)
	case protoTCP:
		p.tcp(b)
	case protoUDP:
		p.udp(b)
	}
}

func (p *Packet) ports(b []byte) {
	p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
	p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
}

func (p *Packet) tcp(b []byte) {
	if len(b) < 14 {
		return
	}
	p.ports(b)
	flags := ""
	for i, c := range "FSRP.U" {
		if b[13]&(1<<i) != 0 {
			flags += string(c)
		}
	}
	p.Info = fmt.Sprintf("TCP [%s] seq %d", flags, binary.BigEndian.Uint32(b[4:]))
}

func (p *Packet) udp(b []byte) {
	if len(b) < 8 {
		return
	}
	p.ports(b)
	body := b[8:]
	is := func(port uint16) bool { return p.Src.Port() == port || p.Dst.Port() == port }
	switch {
	case is(portIKE):
		p.Kind, p.Info = IKE, ikeMessage(body)
	case is(portNAT) && len(body) == 1 && body[0] == 0xff:
		p.Kind, p.Info = IKE, "NAT keepalive"
	case is(portNAT) && len(body) >= 4 && binary.BigEndian.Uint32(body) == 0:
		p.Kind, p.Info = IKE, ikeMessage(body[4:])
	case is(portNAT) && len(body) >= 8:
		p.Kind, p.Info = ESP, "UDP-encap "+esp(body)
	case is(portDNS):
		p.Info = dnsMessage(body)
	default:
		p.Info = fmt.Sprintf("UDP %d bytes", len(body))
	}
}

func esp(b []byte) string {
	if len(b) < 8 {
		return "ESP"
	}
	return fmt.Sprintf("ESP spi=0x%08x seq=%d", binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]))
}

func icmp(proto uint8, b []byte) string {
	if len(b) < 8 {
		return protoName(proto)
	}
	id, seq := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	switch {
	case proto == protoICMP && b[0] == 8, proto == protoICMPv6 && b[0] == 128:
		return fmt.Sprintf("%s echo request id %d seq %d", protoName(proto), id, seq)
	case proto == protoICMP && b[0] == 0, proto == protoICMPv6 && b[0] == 129:
		return fmt.Sprintf("%s echo reply id %d seq %d", protoName(proto), id, seq)
	case proto == protoICMP && b[0] == 3 && b[1] == 4:
		return fmt.Sprintf("ICMP fragmentation needed, mtu %d", seq)
	case proto == protoICMP && b[0] == 3:
		return fmt.Sprintf("ICMP unreachable, code %d", b[1])
	}
	return fmt.Sprintf("%s type %d code %d", protoName(proto), b[0], b[1])
}

// exchanges are the names of the IKE exchange types: RFC 2408 section 3.1 and
// RFC 2409 section 5 for version 1, RFC 7296 section 3.1 for version 2.
var exchanges = map[byte]string{
	2: "main mode", 4: "aggressive mode", 5: "INFORMATIONAL (v1)", 32: "quick mode",
	34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL", 43: "IKE_INTERMEDIATE", 44: "IKE_FOLLOWUP_KE",
}

func ikeMessage(b []byte) string {
	if len(b) < 28 {
		return "IKE, cut short"
	}
	name := exchanges[b[18]]
	if name == "" {
		name = fmt.Sprintf("exchange %d", b[18])
	}
	what := "request"
	if b[17]>>4 == 1 {
		return fmt.Sprintf("IKEv1 %s id %08x", name, binary.BigEndian.Uint32(b[20:]))
	}
	if b[19]&0x20 != 0 {
		what = "response"
	}
	return fmt.Sprintf("IKEv%d %s %s id %d", b[17]>>4, name, what, binary.BigEndian.Uint32(b[20:]))
}

func dnsMessage(b []byte) string {
	var m dns.Msg
	if err := m.Unpack(b); err != nil || len(m.Question) == 0 {
		return "DNS"
	}
	q := m.Question[0]
	if !m.Response {
		return fmt.Sprintf("DNS query %s %s", dns.TypeToString[q.Qtype], printable(q.Name))
	}
	answers := make([]string, 0, len(m.Answer))
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			answers = append(answers, a.A.String())
		} else {
			answers = append(answers, dns.TypeToString[rr.Header().Rrtype])
		}
	}
	return strings.TrimSpace(fmt.Sprintf("DNS %s %s %s", dns.RcodeToString[m.Rcode], printable(q.Name), strings.Join(answers, " ")))
}

// printable keeps what a stranger sent from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
