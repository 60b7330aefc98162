//go:build e2e

package main

import (
	"net/netip"
	"os"

	"seikan/e2e/world"
)

// The namespaces, from end to end. Only an impaired path has the middle.
const (
	client = "client"
	gwA    = "gwA"
	mid    = "mid"
	gwB    = "gwB"
	server = "server"
)

// Addresses. Each end has a second site for a second tunnel, and gateway B a
// second address outside, as a cloud has.
const (
	clientAddr, clientAddr2 = "10.1.0.2", "10.1.1.2"
	serverAddr, serverAddr2 = "10.2.0.2", "10.2.1.2"
	siteA, siteA2           = "10.1.0.0/24", "10.1.1.0/24"
	siteB, siteB2           = "10.2.0.0/24", "10.2.1.0/24"
	outsideA                = "192.0.2.1"
	outsideB, outsideB2     = "198.51.100.1", "198.51.100.2"
	insideA, insideB        = "169.254.10.2", "169.254.10.1"
)

// laid is how the namespaces are joined when nothing stands between the
// gateways, in ip's words.
const laid = `
netns add client
netns add gwA
netns add gwB
netns add server
-n client link add eth0 type veth peer name lan netns gwA
-n server link add eth0 type veth peer name lan netns gwB
-n client address add 10.1.0.2/24 dev eth0
-n client address add 10.1.1.2/24 dev eth0
-n server address add 10.2.0.2/24 dev eth0
-n server address add 10.2.1.2/24 dev eth0
-n gwA address add 10.1.0.1/24 dev lan
-n gwA address add 10.1.1.1/24 dev lan
-n gwB address add 10.2.0.1/24 dev lan
-n gwB address add 10.2.1.1/24 dev lan
-n client link set eth0 up
-n server link set eth0 up
-n gwA link set lan up
-n gwB link set lan up
-n client route add default via 10.1.0.1
-n server route add default via 10.2.0.1
`

// outside is put on the link wan of either gateway, whatever it leads to.
const outside = `
-n gwA address add 192.0.2.1/32 dev wan
-n gwB address add 198.51.100.1/32 dev wan
-n gwB address add 198.51.100.2/32 dev wan
-n gwA link set wan up
-n gwB link set wan up
-n gwA route add 198.51.100.0/24 dev wan src 192.0.2.1
-n gwB route add 192.0.2.0/24 dev wan src 198.51.100.1
`

// A path is the network of one session.
type path struct {
	dir string // for files
	end func() // of the impairment
}

// lay makes the namespaces. Those of the session before are gone.
func lay(impair impairment) (*path, error) {
	dir, err := os.MkdirTemp("", "benchdata")
	if err != nil {
		return nil, err
	}
	p := &path{dir: dir, end: func() {}}
	for _, lines := range []string{laid, impair.cable(), outside} {
		if err := world.Lines(lines); err != nil {
			p.close()
			return nil, err
		}
	}
	for _, ns := range []string{gwA, gwB} {
		if err := world.Run("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.ip_forward=1"); err != nil {
			p.close()
			return nil, err
		}
	}
	if p.end, err = impair.begin(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *path) close() {
	if p.end != nil {
		p.end()
	}
	for _, ns := range []string{client, gwA, mid, gwB, server} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			_ = world.Run("ip", "netns", "del", ns)
		}
	}
	_ = os.RemoveAll(p.dir)
}

// route leads a site into a link of a gateway.
func route(gateway, site, link string) error {
	return world.Run("ip", "-n", gateway, "route", "replace", netip.MustParsePrefix(site).String(), "dev", link)
}
