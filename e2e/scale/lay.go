//go:build e2e

package scale

import (
	"fmt"
	"os/exec"
	"strings"
)

// The network: a core that routes, and each gateway's namespace behind a veth.
//
//	customer-i 100.64.i.2 ─ 100.64.i.1 core 100.65.j.1 ─ 100.65.j.2, .3 cloud-j

func customer(i int) string { return fmt.Sprintf("customer-%d", i) }
func cloud(j int) string    { return fmt.Sprintf("cloud-%d", j) }
func clouds(n int) int      { return (n + perCloud - 1) / perCloud }

const core = "core"

// lay makes the namespaces of n connections.
func lay(n int) error {
	for _, name := range names(n) {
		if err := ip("netns", "add", name); err != nil {
			return err
		}
	}
	if err := sysctl(core); err != nil {
		return err
	}
	for i := range n {
		if err := join(customer(i), fmt.Sprintf("c%d", i), fmt.Sprintf("100.64.%d", i), "2"); err != nil {
			return err
		}
	}
	for j := range clouds(n) {
		if err := join(cloud(j), fmt.Sprintf("v%d", j), fmt.Sprintf("100.65.%d", j), "2", "3"); err != nil {
			return err
		}
	}
	return nil
}

func sysctl(ns string) error {
	if out, err := exec.Command("ip", "netns", "exec", ns, "sysctl", "-qw", "net.ipv4.ip_forward=1").CombinedOutput(); err != nil {
		return fmt.Errorf("sysctl: %w: %s", err, out)
	}
	return nil
}

// join puts a veth between the core and a namespace, which gets the addresses
// net.host and a default route.
func join(ns, link, net string, hosts ...string) error {
	if err := ip("-n", core, "link", "add", link, "type", "veth", "peer", "name", "wan0", "netns", ns); err != nil {
		return err
	}
	if err := batch(core, fmt.Sprintf("address add %s.1/29 dev %s\nlink set %s up\n", net, link, link)); err != nil {
		return err
	}
	var lines strings.Builder
	lines.WriteString("link set lo up\nlink set wan0 up\n")
	for _, h := range hosts {
		fmt.Fprintf(&lines, "address add %s.%s/29 dev wan0\n", net, h)
	}
	fmt.Fprintf(&lines, "route add default via %s.1\n", net)
	return batch(ns, lines.String())
}

func names(n int) []string {
	out := []string{core}
	for i := range n {
		out = append(out, customer(i))
	}
	for j := range clouds(n) {
		out = append(out, cloud(j))
	}
	return out
}

// clean takes the namespaces away.
func clean(n int) error {
	for _, name := range names(n) {
		if err := ip("netns", "del", name); err != nil {
			return err
		}
	}
	return nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func batch(ns, lines string) error {
	cmd := exec.Command("ip", "-n", ns, "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -batch in %s: %w: %s", ns, err, out)
	}
	return nil
}

// customerFile is the gateway of connection i, with AWS's timers.
func customerFile(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "bgp: {asn: 65000, announce: [10.1.%d.0/24]}\ntunnels:\n", i)
	for t := range 2 {
		fmt.Fprintf(&b, `  - name: t%[1]d
    interface: tun%[1]d
    outside: {remote_address: 100.65.%[2]d.%[3]d, local_id: 100.64.%[4]d.2, remote_id: 100.65.%[2]d.%[3]d}
    pre_shared_key: Bench.Test_PreShared.Key0
    inside_address: 169.254.%[5]d.%[6]d/30
    bgp: {peer_asn: 64512}
`, t+1, i/perCloud, t+2, i, 10+i%perCloud, 4*t+2)
	}
	return b.String()
}

// cloudFile is gateway j of the cloud, which waits for its customers.
func cloudFile(j, n int) string {
	var b strings.Builder
	fmt.Fprint(&b, "bgp: {asn: 64512, announce: [10.20.0.0/16]}\ntunnels:\n")
	for i := j * perCloud; i < min(n, (j+1)*perCloud); i++ {
		for t := range 2 {
			fmt.Fprintf(&b, `  - name: c%[4]d-t%[1]d
    interface: c%[4]dt%[1]d
    startup_action: add
    dpd_action: clear
    outside: {local_address: 100.65.%[2]d.%[3]d, remote_address: 100.64.%[4]d.2, local_id: 100.65.%[2]d.%[3]d, remote_id: 100.64.%[4]d.2}
    pre_shared_key: Bench.Test_PreShared.Key0
    inside_address: 169.254.%[5]d.%[6]d/30
    bgp: {peer_asn: 65000, max_prefixes: 100, med: %[7]d}
`, t+1, j, t+2, i, 10+i%perCloud, 4*t+1, 100*(t+1))
		}
	}
	return b.String()
}
