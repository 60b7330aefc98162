package host

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
)

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for len(b) > 1 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// A forged packet is what an owner of an instance can make it send.
type forged struct {
	src, dst netip.Addr
	proto    byte
	ttl      byte
	fragment uint16 // flags and offset
	body     []byte
}

func (f forged) bytes() []byte {
	b := make([]byte, 20, 20+len(f.body))
	b[0], b[8], b[9] = 0x45, 64, f.proto
	if f.ttl > 0 {
		b[8] = f.ttl
	}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(f.body)))
	binary.BigEndian.PutUint16(b[4:], 0x5e1c)
	binary.BigEndian.PutUint16(b[6:], f.fragment)
	copy(b[12:], f.src.AsSlice())
	copy(b[16:], f.dst.AsSlice())
	binary.BigEndian.PutUint16(b[10:], checksum(b))
	return append(b, f.body...)
}

// datagram is one of UDP without checksum.
func datagram(sport, dport uint16, text string) []byte {
	b := make([]byte, 8, 8+len(text))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(text)))
	return append(b, text...)
}

// raw runs fn with a packet socket on eth0 of a namespace and the Ethernet
// address of what answers for the subnet's router there.
func (w *world) raw(ns string, fn func(send func(ethertype uint16, payload []byte))) {
	w.Helper()
	router := w.routerMAC(ns)
	err := w.In(ns, func() error {
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		fn(func(ethertype uint16, payload []byte) {
			to := syscall.SockaddrLinklayer{Protocol: ethertype<<8 | ethertype>>8, Ifindex: link.Index, Halen: 6}
			copy(to.Addr[:], router)
			if err := syscall.Sendto(fd, payload, 0, &to); err != nil {
				w.Errorf("send: %v", err)
			}
		})
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// routerMAC is the Ethernet address of the router's end of an instance's link.
func (w *world) routerMAC(ns string) (mac net.HardwareAddr) {
	w.Helper()
	i := w.instances[ns]
	if err := w.In(string(i.VPCID), func() error {
		link, err := net.InterfaceByName(vpc.LinkName(i.NetworkInterfaceID))
		if err == nil {
			mac = link.HardwareAddr
		}
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return mac
}

// inbox opens a UDP socket in a namespace.
func (w *world) inbox(ns string, port int) net.PacketConn {
	w.Helper()
	var conn net.PacketConn
	if err := w.In(ns, func() (err error) {
		conn, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

// first is the text of the first datagram that comes.
func (w *world) first(conn net.PacketConn, wait time.Duration) string {
	w.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		w.Fatal(err)
	}
	buf := make([]byte, 200)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n]) + " from " + from.String()
}

// An instance sends as its neighbour, as the router, as the resolver and from
// the fabric: nothing of it arrives. What it sends as itself does.
func TestForgedSourcesGoNowhere(t *testing.T) {
	w := newWorld(t)
	me, victim := w.instances["client"].PrivateIP, w.instances["neighbour"].PrivateIP
	inbox := w.inbox("neighbour", 9)
	w.raw("client", func(send func(uint16, []byte)) {
		for _, src := range []string{"10.0.1.1", "10.0.0.2", "169.254.169.253", "240.0.0.1", "127.0.0.1", "8.8.8.8", "10.0.1.99", victim.String()} {
			send(syscall.ETH_P_IP, forged{src: netip.MustParseAddr(src), dst: victim, proto: syscall.IPPROTO_UDP, body: datagram(53, 9, "forged as "+src)}.bytes())
		}
		send(syscall.ETH_P_IP, forged{src: me, dst: victim, proto: syscall.IPPROTO_UDP, body: datagram(53, 9, "honest")}.bytes())
	})
	if got, want := w.first(inbox, cloudtest.Soon), "honest from "+me.String()+":53"; got != want {
		t.Errorf("first datagram: got %q, want %q", got, want)
	}
}

// Security groups look at whole datagrams, and at no source port.
func TestFragmentsAndSourcePortsOpenNothing(t *testing.T) {
	w := newWorld(t)
	spy, web := w.instances["spy"].PrivateIP, w.instances["web1"].PrivateIP
	inbox := w.inbox("web1", 9)
	open := w.inbox("spy", 7)
	whole := datagram(53, 9, strings.Repeat("x", 32))
	w.raw("spy", func(send func(uint16, []byte)) {
		const moreFragments = 1 << 13
		for _, cut := range []int{8, 16, 24} {
			send(syscall.ETH_P_IP, forged{src: spy, dst: web, proto: syscall.IPPROTO_UDP, fragment: moreFragments, body: whole[:cut]}.bytes())
			send(syscall.ETH_P_IP, forged{src: spy, dst: web, proto: syscall.IPPROTO_UDP, fragment: uint16(cut / 8), body: whole[cut:]}.bytes())
		}
		for _, sport := range []uint16{20, 53, 67, 80, 123} {
			send(syscall.ETH_P_IP, forged{src: spy, dst: web, proto: syscall.IPPROTO_UDP, body: datagram(sport, 9, "a service's port")}.bytes())
		}
	})
	if got := w.first(inbox, cloudtest.Silence); got != "" {
		t.Errorf("a port that no rule opens: got %q, want nothing", got)
	}
	// What the path carries when a rule lets it: the test's own way works.
	w.do(func(tx *store.Tx) error {
		return vpc.AuthorizeSecurityGroupIngress(tx, bob, w.b.DefaultGroup, resource.Permission{Protocol: resource.UDP, FromPort: 7, ToPort: 7, CIDR: netip.MustParsePrefix("0.0.0.0/0")})
	})
	whole = datagram(53, 7, strings.Repeat("x", 32))
	w.raw("web1", func(send func(uint16, []byte)) {
		send(syscall.ETH_P_IP, forged{src: web, dst: spy, proto: syscall.IPPROTO_UDP, fragment: 1 << 13, body: whole[:16]}.bytes())
		send(syscall.ETH_P_IP, forged{src: web, dst: spy, proto: syscall.IPPROTO_UDP, fragment: 2, body: whole[16:]}.bytes())
	})
	if got := w.first(open, cloudtest.Soon); !strings.HasPrefix(got, "xxxx") {
		t.Errorf("fragments that a rule lets in: got %q, want the datagram", got)
	}
}

// Requests for Ethernet addresses in the name of others leave no trace in the
// router, whose table of neighbours all namespaces of a machine share.
func TestForgedARPLeavesNoTrace(t *testing.T) {
	w := newWorld(t)
	i := w.instances["client"]
	mac := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x66}
	w.raw("client", func(send func(uint16, []byte)) {
		for _, target := range []netip.Addr{netip.MustParseAddr("10.0.1.1"), w.instances["neighbour"].PrivateIP} {
			for n := range byte(50) {
				b := []byte{0, 1, 8, 0, 6, 4, 0, 1}
				b = append(append(b, mac...), 10, 0, 1, 100+n)
				b = append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
				send(syscall.ETH_P_ARP, b)
			}
		}
	})
	w.WantSilence("a port that nobody serves, after that", "client", w.endpoint.Attachments[0].Address.String()+":81")
	out, err := w.CommandIn(t.Context(), string(i.VPCID), "ip", "-4", "neigh", "show", "dev", vpc.LinkName(i.NetworkInterfaceID))
	if got := strings.Count(string(out), "02:00:00:00:00:66"); err != nil || got != 0 {
		t.Errorf("neighbours of the router that were forged: got %d, %v, want none\n%s", got, err, out)
	}
}

// Nothing at all passes over IPv6, to the router or to a service's namespace.
func TestNothingAnswersOverIPv6(t *testing.T) {
	w := newWorld(t)
	w.accept()
	for _, p := range []struct{ from, to, link string }{
		{"client", string(w.a.ID), vpc.LinkName(w.instances["client"].NetworkInterfaceID)},
		{string(w.a.ID), w.endpoint.Attachments[0].Namespace, "eth0"},
		{string(w.b.ID), w.balancer.Nodes[0].Namespace, "eth0"},
		{w.endpoint.Attachments[0].Namespace, w.balancer.Nodes[0].Namespace, "fab0"},
		{string(w.a.ID), string(w.gateway.ID), "vpc0"},
	} {
		out, err := w.CommandIn(t.Context(), p.to, "ip", "-6", "-o", "addr", "show", "dev", p.link, "scope", "link")
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(out))
		if len(fields) < 4 {
			continue // the machine has IPv6 off
		}
		addr, _, _ := strings.Cut(fields[3], "/")
		via := map[string]string{"client": "eth0"}[p.from]
		if via == "" {
			via = w.peerOf(p.to, p.link)
		}
		out, _ = w.CommandIn(t.Context(), p.from, "ping", "-6", "-c1", "-W1", addr+"%"+via)
		if !strings.Contains(string(out), " 0 received") {
			t.Errorf("ping of %s in %s: got an answer, want none\n%s", addr, p.to, out)
		}
	}
}

// peerOf names the other end of a link, which is in another namespace.
func (w *world) peerOf(ns, link string) string {
	for name, i := range map[string]string{
		w.endpoint.Attachments[0].Namespace: vpc.LinkName(w.endpoint.Attachments[0].NetworkInterfaceID),
		w.balancer.Nodes[0].Namespace:       vpc.LinkName(w.balancer.Nodes[0].NetworkInterfaceID),
		string(w.gateway.ID):                resource.VPNGatewayLink,
	} {
		if name == ns && link != "fab0" {
			return i
		}
	}
	return "fab0"
}

// Neither the fabric, nor the gateway's own addresses, nor the other VPC's
// resolver can be reached, even by a route of the instance owner's.
func TestTheCloudsOwnAddressesAreNobodys(t *testing.T) {
	w := newWorld(t)
	w.accept()
	w.do(func(tx *store.Tx) error {
		return vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: w.a.MainRouteTable,
			DestinationCidrBlock: netip.MustParsePrefix("0.0.0.0/0"), GatewayID: w.gateway.ID})
	})
	for _, addr := range []netip.Addr{w.gateway.GatewayAddress(), w.gateway.RouterAddress(), netip.MustParseAddr("240.0.0.1"), netip.MustParseAddr("240.0.0.2"), w.endpoint.Attachments[0].Address} {
		out, _ := w.CommandIn(t.Context(), "client", "ping", "-c1", "-W1", addr.String())
		if !strings.Contains(string(out), " 0 received") && !strings.Contains(string(out), "unreachable") {
			t.Errorf("ping %v: got an answer, want none\n%s", addr, out)
		}
	}
	for _, server := range []string{"10.0.0.2:53", "169.254.169.253:53"} {
		if addrs, err := w.lookup("client", server, zoneName); err != nil || len(addrs) != 1 {
			t.Errorf("%s of A, a private name of A: got %v, %v, want the endpoint", server, addrs, err)
		}
		if addrs, err := w.lookup("spy", server, zoneName); err == nil {
			t.Errorf("%s of B, a private name of A: got %v, want none", server, addrs)
		}
	}
}

// What expires on the way is answered without a word of the fabric or of the
// provider's network.
func TestErrorsOfThePathNameOnlyTheEndpoint(t *testing.T) {
	w := newWorld(t)
	for _, web := range []string{"web1", "web2"} {
		w.Listen(web, w.instances[web].PrivateIP.String()+":80")
	}
	w.healthy(2)
	w.accept()
	me, ep := w.instances["client"].PrivateIP, w.endpoint.Attachments[0].Address
	var icmp net.PacketConn
	if err := w.In("client", func() (err error) {
		icmp, err = net.ListenPacket("ip4:icmp", me.String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer icmp.Close()
	w.raw("client", func(send func(uint16, []byte)) {
		for ttl := byte(1); ttl <= 4; ttl++ {
			send(syscall.ETH_P_IP, forged{src: me, dst: ep, proto: syscall.IPPROTO_TCP, ttl: ttl, body: syn(me, ep, 40000+uint16(ttl), 80)}.bytes())
		}
	})
	for range 4 {
		if err := icmp.SetReadDeadline(time.Now().Add(2 * cloudtest.Silence)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 200)
		n, from, err := icmp.ReadFrom(buf)
		if err != nil {
			break
		}
		inner := buf[8:n]
		to := netip.AddrFrom4([4]byte(inner[16:20]))
		if f := from.String(); f != "10.0.1.1" && f != ep.String() && f != "10.0.0.2" || to != ep {
			t.Errorf("error from %v about a packet to %v: want the router or the endpoint, about the endpoint", from, to)
		}
		t.Logf("error of type %d from %v about a packet to %v", buf[0], from, to)
	}
}

// syn is the first segment of a TCP connection.
func syn(src, dst netip.Addr, sport, dport uint16) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	b[12], b[13] = 5<<4, 2
	binary.BigEndian.PutUint16(b[14:], 65535)
	pseudo := append(append(append([]byte{}, src.AsSlice()...), dst.AsSlice()...), 0, syscall.IPPROTO_TCP, 0, 20)
	binary.BigEndian.PutUint16(b[16:], checksum(append(pseudo, b...)))
	return b
}
