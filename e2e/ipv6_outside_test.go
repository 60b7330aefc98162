//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// Outside addresses of IPv6: nobody translates them.
const (
	customerOut6  = "2001:db8:50::2"
	responderOut6 = "2001:db8:52::10"
	secondOut6    = "2001:db8:52::11"
)

// layOutsideIPv6 gives the internet IPv6, and counts what crosses it.
func layOutsideIPv6(w *world.World) {
	for _, line := range []string{
		"nat sysctl -qw net.ipv6.conf.all.forwarding=1",
		"inet sysctl -qw net.ipv6.conf.all.forwarding=1",
		"cgw ip address add " + customerOut6 + "/64 dev wan0 nodad",
		"nat ip address add 2001:db8:50::1/64 dev in0 nodad",
		"nat ip address add 2001:db8:51::2/64 dev out0 nodad",
		"inet ip address add 2001:db8:51::1/64 dev a0 nodad",
		"inet ip address add 2001:db8:52::1/64 dev b0 nodad",
		"resp ip address add " + responderOut6 + "/64 dev wan0 nodad",
		"resp ip address add " + secondOut6 + "/64 dev wan0 nodad",
		"cgw ip route add default via 2001:db8:50::1",
		"nat ip route add default via 2001:db8:51::1",
		"inet ip route add 2001:db8:50::/64 via 2001:db8:51::2",
		"resp ip route add default via 2001:db8:52::1",
	} {
		words := strings.Fields(line)
		w.Exec(words[0], words[1:]...)
	}
	w.Nft("inet", `table ip6 watch {
		counter natt { }
		counter plain { }
		counter clear { }
		chain pass {
			type filter hook forward priority 0
			udp dport 500 accept
			udp dport 4500 counter name natt accept
			meta l4proto esp counter name plain accept
			icmpv6 type { destination-unreachable, packet-too-big } accept
			counter name clear
		}
	}`)
}

// seen6 is how many packets of a kind crossed the internet over IPv6.
func seen6(t *testing.T, w *world.World, kind string) (packets int) {
	t.Helper()
	_, numbers, _ := strings.Cut(w.Exec("inet", "nft", "list", "counter", "ip6", "watch", kind), "packets ")
	if _, err := fmt.Sscan(numbers, &packets); err != nil {
		t.Fatal(err)
	}
	return packets
}

// TestIPv6Outside has a tunnel for IPv4 in plain ESP and one for IPv6 in UDP,
// both between gateways that reach each other over IPv6 alone.
func TestIPv6Outside(t *testing.T) {
	w := world.New(t)
	layIPv6(w)
	layOutsideIPv6(w)
	customer := startText(t, w, "cgw", `
routes: [`+world.ServerSite+`, "`+serverSite6+`"]
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: "`+responderOut6+`", local_id: customer.example, remote_id: "`+responderOut6+`"}
    pre_shared_key_file: psk
    inside_cidr: 169.254.10.0/30
  - name: t2
    interface: tun2
    outside: {remote_address: "`+secondOut6+`", local_id: customer.example, remote_id: "`+secondOut6+`", force_encapsulation: true}
    pre_shared_key_file: psk
    inside_ipv6_cidr: fd00:10::/126
`)
	cloud := startText(t, w, "resp", `
tunnels:
  - name: t1
    interface: tun1
    startup_action: add
    dpd_action: clear
    outside: {local_address: "`+responderOut6+`", remote_address: "`+customerOut6+`", local_id: "`+responderOut6+`", remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: 169.254.10.1/30
    routes: [`+world.CustomerSite+`]
  - name: t2
    interface: tun2
    startup_action: add
    dpd_action: clear
    outside: {local_address: "`+secondOut6+`", remote_address: "`+customerOut6+`", local_id: "`+secondOut6+`", remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: fd00:10::1/126
    routes: ["`+customerSite6+`"]
`)
	w.Until("both tunnels", 30*time.Second, func() error { return errors.Join(bothUp(customer), bothUp(cloud)) })
	w.Until("an answer over IPv4", 10*time.Second, w.Reach)
	w.Until("an answer over IPv6", 10*time.Second, func() error { return reach6(w) })
	for _, up := range []bool{true, false} {
		if got, err := w.Transfer(world.Load{Up: up, Octets: 16 << 20}); err != nil || !got.Whole(16<<20) {
			t.Errorf("transfer: got %+v, %v", got, err)
		}
	}
	transfer6(t, w, 8<<20)
	st, err := customer.Whole()
	if err != nil {
		t.Fatal(err)
	}
	// vpn §3.5 with an outer header of 40 octets: AES-GCM without UDP and with it.
	for i, want := range []struct {
		mtu   int
		encap bool
	}{{1426, false}, {1418, true}} {
		if s := st.Tunnels[i]; s.Traffic.MTU != want.mtu || s.Child.Encap != want.encap || !s.IKE.Remote.Addr().Is6() {
			t.Errorf("%s: got MTU %d, in UDP %v, peer %v; want %d, %v, IPv6", s.ID, s.Traffic.MTU, s.Child.Encap, s.IKE.Remote, want.mtu, want.encap)
		}
	}
	if n, m := seen6(t, w, "plain"), seen6(t, w, "natt"); n == 0 || m == 0 {
		t.Errorf("got %d packets of plain ESP and %d in UDP, want both", n, m)
	}
	// The site's address changes, and IKE's MOBIKE follows it.
	spi := st.Tunnels[0].Child.SPIIn
	w.Exec("cgw", "ip", "address", "add", "2001:db8:50::7/64", "dev", "wan0", "nodad")
	w.Exec("cgw", "ip", "address", "del", customerOut6+"/64", "dev", "wan0")
	w.Until("answers from the new address", 20*time.Second, func() error { return errors.Join(w.Reach(), reach6(w)) })
	if s := tunnel(t, customer, "t1").tunnel; s.IKE.Local.Addr().String() != "2001:db8:50::7" || s.Child == nil || s.Child.SPIIn != spi {
		t.Errorf("got %+v and %+v, want the SA of before, from 2001:db8:50::7", s.IKE, s.Child)
	}
	if n := seen6(t, w, "clear"); n != 0 {
		t.Errorf("%d packets crossed the internet in clear", n)
	}
}

// TestIPv6OutsideWithStrongSwan has strongSwan, whose ESP is in UDP, as the other
// end.
func TestIPv6OutsideWithStrongSwan(t *testing.T) {
	w := world.New(t)
	layOutsideIPv6(w)
	strongswan.Start(t, w, strongswan.Config{Namespace: "resp", Local: responderOut6, Remote: customerOut6, LocalID: responderOut6, RemoteID: "customer.example",
		PSK: psk, IKE: "aes256-sha256-prfsha256-ecp256", ESP: "aes256gcm16-ecp256", DPDDelay: 10 * time.Second, Inside: world.InsideFirst + world.InsideBits, Site: world.CustomerSite})
	w.Exec("resp", "ip", "address", "replace", world.InsideFirst+world.InsideBits, "dev", "ipsec0")
	w.Exec("resp", "ip", "route", "replace", world.CustomerSite, "dev", "ipsec0")
	customer := startText(t, w, "cgw", `
routes: [`+world.ServerSite+`]
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: "`+responderOut6+`", local_id: customer.example, remote_id: "`+responderOut6+`", force_encapsulation: true}
    pre_shared_key_file: psk
    inside_cidr: 169.254.10.0/30
`)
	w.Until("the tunnel", 30*time.Second, func() error { return up(customer) })
	w.Until("an answer", 10*time.Second, w.Reach)
	if got, err := w.Transfer(world.Load{Up: true, Octets: 4 << 20}); err != nil || !got.Whole(4<<20) {
		t.Errorf("transfer: got %+v, %v", got, err)
	}
	before, err := customer.Current()
	if err != nil {
		t.Fatal(err)
	}
	customer.RekeyChild()
	w.Until("other keys", 10*time.Second, func() error {
		now, err := customer.Current()
		if err == nil && now == before {
			err = fmt.Errorf("still %s", now)
		}
		return err
	})
	w.Until("an answer with them", 5*time.Second, w.Reach)
	if n := seen6(t, w, "natt"); n == 0 {
		t.Error("nothing crossed the internet in UDP over IPv6")
	}
}
