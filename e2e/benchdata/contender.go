//go:build e2e

package main

import (
	"fmt"
	"time"

	"seikan/e2e/world"
)

// What the contenders are called. Several builds of ours have names of their
// own.
const (
	veth       = "veth"
	ours       = "ours"
	wireguard  = "wireguard-go"
	openvpn    = "openvpn"
	strongswan = "strongswan"
	null       = "null"
)

// titles are the contenders in the head of the table.
var titles = map[string]string{
	veth: "no VPN", ours: "ours", wireguard: "wireguard-go", openvpn: "OpenVPN", strongswan: "strongSwan", null: "ours, copying instead of enciphering",
}

// title is what the column of a contender is called.
func title(label string) string {
	if t, ok := titles[label]; ok {
		return t
	}
	return "ours: " + label
}

// A variant is how a contender is to be run.
type variant struct {
	cbc     bool // AES-256-CBC with SHA2-256 instead of AES-128-GCM
	tunnels int  // 2: one a pair of sites
}

// A contender is a VPN between the gateways, or none.
type contender struct {
	label string
	own   bool // a build of ours
	// start starts both ends and returns their processes, those of gateway A
	// first, also with an error.
	start func(*path, variant) ([]*process, error)
}

// contenders are those of the plan, in the order of the table.
func (p plan) contenders() (list []contender) {
	if p.only.has(veth) {
		list = append(list, contender{label: veth, start: startVeth})
	}
	for _, b := range p.ours {
		if p.only.has(ours) || p.only.has(b.label) {
			list = append(list, contender{label: b.label, own: true, start: startOurs(b.path)})
		}
	}
	for _, c := range []contender{
		{label: wireguard, start: startWireguard(p.wire)},
		{label: openvpn, start: startOpenVPN},
		{label: strongswan, start: startSwan},
	} {
		if p.only.has(c.label) {
			list = append(list, c)
		}
	}
	if p.null != "" && p.measures.has("null") {
		list = append(list, contender{label: null, start: startOurs(p.null)})
	}
	return list
}

// startVeth routes through both gateways, and that is all.
func startVeth(*path, variant) ([]*process, error) {
	return nil, world.Lines(`
-n gwA route add 10.2.0.0/16 dev wan via 198.51.100.1 onlink
-n gwB route add 10.1.0.0/16 dev wan via 192.0.2.1 onlink
`)
}

// A session is one contender running on a path of its own.
type session struct {
	plan     plan
	path     *path
	gateways []*process
	iperf    []*process // servers
}

// open lays a path, starts a contender and waits until the server answers.
func (p plan) open(c contender, v variant, impair impairment) (*session, error) {
	path, err := lay(impair)
	if err != nil {
		return nil, err
	}
	s := &session{plan: p, path: path}
	if s.gateways, err = c.start(path, v); err != nil {
		s.close()
		return nil, err
	}
	probe := []string{serverAddr}
	if v.tunnels == 2 {
		probe = append(probe, serverAddr2)
	}
	for i, to := range probe {
		if err := s.answers([]string{clientAddr, clientAddr2}[i], to); err != nil {
			s.close()
			return nil, err
		}
		if err := s.serve(to); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *session) close() {
	stopAll(s.iperf)
	stopAll(s.gateways)
	s.path.close()
}

// answers waits until a ping is answered. A path may lose some.
func (s *session) answers(from, to string) error {
	began := time.Now()
	for {
		err := world.Run("ip", "netns", "exec", client, "ping", "-n", "-q", "-c", "1", "-W", "1", "-I", from, to)
		if err == nil {
			return nil
		}
		if time.Since(began) > 15*time.Second {
			return fmt.Errorf("%s does not answer %s: %w%s", to, from, err, s.said())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// said is what the gateways printed.
func (s *session) said() (all string) {
	for _, g := range s.gateways {
		all += "\n" + g.printed()
	}
	return all
}
