package walk

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
)

// bulkBytes is how much the throughput is measured with.
const bulkBytes = 64 << 20

// stepService is the point of it all: name, web, file, ping, and what happens
// when a server stops.
func (p *picture) stepService(ctx context.Context, w lab.World, tell *Teller) error {
	for _, part := range []func(context.Context, lab.World, *Teller) error{p.resolves, p.serves, p.transfers, p.pings, p.streams, p.survives} {
		if err := part(ctx, w, tell); err != nil {
			return err
		}
	}
	return nil
}

// resolves: client → site's DNS server → forwarder → tunnel → private zone.
func (p *picture) resolves(ctx context.Context, w lab.World, tell *Teller) error {
	r, err := p.expect(ctx, w, probe.Question{Kind: probe.DNS, Target: p.zone.Name}, "the name to resolve", "seikan lab exec "+p.client.Name+" -- getent hosts "+p.zone.Name)
	if err != nil {
		return err
	}
	if len(r.DNS.Answers) == 0 {
		return &Failure{Expected: "an address for " + p.zone.Name, Seen: r.String(), Look: "seikan lab capture corp-lan"}
	}
	for _, a := range r.DNS.Answers {
		addr, err := netip.ParseAddr(strings.TrimPrefix(a, "A "))
		if err != nil || !p.consumer.CIDR.Contains(addr) {
			return &Failure{Expected: fmt.Sprintf("addresses of the endpoint, in %v", p.consumer.CIDR), Seen: r.String(), Look: "seikan lab status"}
		}
	}
	var via string
	for _, f := range p.dns.Forwarders {
		if f.Zone == p.zone.Name {
			via = " → " + addrs(f.To)
		}
	}
	tell.Show("name", "%s → %s, by %v%s, %s", p.zone.Name, strings.Join(r.DNS.Answers, ", "), p.dns.Address, via, probe.Short(r.Took))
	return nil
}

// get opens the service's page once.
func (p *picture) get(ctx context.Context, w lab.World, timeout time.Duration) (probe.Result, error) {
	return p.ask(ctx, w, p.client.Name, probe.Question{Kind: probe.HTTPS, Target: p.page(), Timeout: timeout})
}

// page is the URL of the service, or where there is none of the instance.
func (p *picture) page() string {
	if p.zone.Name == "" {
		return "https://" + p.app.Address.String() + "/"
	}
	return "https://" + p.zone.Name + "/"
}

// serves: the page comes, and in a dozen tries from both servers.
func (p *picture) serves(ctx context.Context, w lab.World, tell *Teller) error {
	count := map[string]int{}
	var first probe.Result
	const tries = 24
	for i := range tries {
		r, err := p.get(ctx, w, 5*time.Second)
		if err != nil {
			return err
		}
		if r.Outcome != probe.Answered || r.HTTP == nil {
			return &Failure{Expected: "an answer from " + p.zone.Name, Seen: r.String(), Look: "seikan lab exec " + p.client.Name + " -- curl -v https://" + p.zone.Name + "/"}
		}
		if i == 0 {
			first = r
		}
		if count[r.HTTP.Server]++; len(count) == len(p.web) && i >= 5 {
			break
		}
	}
	tell.Show("GET", "https://%s/ → %d from %s, %s, %d bytes, %s", p.zone.Name, first.HTTP.Status, first.HTTP.Server, first.HTTP.TLS, first.Bytes, probe.Short(first.Took))
	tell.Show("", "%v → %v; the server saw %s, the load balancer's", first.Local, first.Remote, first.HTTP.Client)
	if len(count) < len(p.web) {
		return &Failure{Expected: fmt.Sprintf("all %d servers to answer in %d tries", len(p.web), tries), Seen: fmt.Sprint(count), Look: "seikan lab status"}
	}
	var parts []string
	for _, i := range p.web {
		parts = append(parts, fmt.Sprintf("%s %d", i.Name, count[i.Name]))
	}
	tell.Show("flows", "%s", strings.Join(parts, ", "))
	return nil
}

// transfers: FTP in passive mode, through two translations and one listener for
// the data.
func (p *picture) transfers(ctx context.Context, w lab.World, tell *Teller) error {
	r, err := p.expect(ctx, w, probe.Question{Kind: probe.FTP, Target: "ftp://" + p.zone.Name + "/" + lab.FTPFile, Timeout: 10 * time.Second},
		"a passive FTP transfer", "seikan lab capture "+p.site.LAN.Name)
	if err != nil {
		return err
	}
	if r.Bytes != lab.FTPSize {
		return &Failure{Expected: fmt.Sprintf("%d bytes", lab.FTPSize), Seen: r.String()}
	}
	tell.Show("FTP", "%s, EPSV %v, %d bytes in %s", r.FTP.Greeting, r.FTP.Data, r.Bytes, probe.Short(r.Took))
	return nil
}

// pings: through the tunnel to an instance, fast and without loss.
func (p *picture) pings(ctx context.Context, w lab.World, tell *Teller) error {
	q := probe.Question{Kind: probe.Ping, Target: p.app.Address.String(), Count: 1000, Interval: 2 * time.Millisecond, Timeout: 2 * time.Second}
	done := tell.Waiting("pinging " + p.app.Name)
	r, err := p.expect(ctx, w, q, "ping to "+p.app.Name, "seikan lab exec "+p.client.Name+" -- ping "+p.app.Address.String())
	done()
	if err != nil {
		return err
	}
	tell.Show("ping", "%v (%s): %d of %d, every 2 ms, loss %.2f %%, rtt %s / %s / %s", p.app.Address, p.app.Name, r.Ping.Received, r.Ping.Sent, r.Ping.Loss(),
		probe.Short(r.Ping.Min), probe.Short(r.Ping.Avg), probe.Short(r.Ping.Max))
	if r.Ping.Received != r.Ping.Sent {
		return &Failure{Expected: "no loss", Seen: r.String(), Look: "drops in seikan lab status"}
	}
	return nil
}

// streams measures; how much is not judged.
func (p *picture) streams(ctx context.Context, w lab.World, tell *Teller) error {
	q := probe.Question{Kind: probe.HTTPS, Target: fmt.Sprintf("https://%s/bytes?n=%d", p.zone.Name, bulkBytes), Timeout: 60 * time.Second}
	before, err := p.tunnelled(ctx, w)
	if err != nil {
		return err
	}
	done := tell.Waiting("measuring the throughput")
	r, err := p.expect(ctx, w, q, "a large download", "seikan lab status")
	done()
	if err != nil {
		return err
	}
	if r.Bytes != bulkBytes {
		return &Failure{Expected: fmt.Sprintf("%d bytes", bulkBytes), Seen: r.String()}
	}
	after, err := p.tunnelled(ctx, w)
	if err != nil {
		return err
	}
	if through := after - before; through < bulkBytes {
		return &Failure{Expected: fmt.Sprintf("at least %d bytes to come through the tunnels", bulkBytes), Seen: fmt.Sprint(through), Look: "seikan lab status"}
	}
	tell.Show("throughput", "%.0f Mbit/s: %d MiB in %s through TLS, load balancer, endpoint and tunnel", float64(r.Bytes)*8/1e6/r.Took.Seconds(), r.Bytes>>20, probe.Short(r.Took))
	tell.Show("", "%.1f MiB came out of the customer gateway's tunnels", float64(after-before)/(1<<20))
	return nil
}

// tunnelled is how many inner octets came out of the connection's tunnels at
// the customer's end.
func (p *picture) tunnelled(ctx context.Context, w lab.World) (sum uint64, err error) {
	st, err := w.Status(ctx)
	for _, t := range st.Tunnels {
		if t.Connection == p.vpn.Name && t.End == "customer" {
			sum += t.BytesIn
		}
	}
	return sum, err
}

// survives: one server stops, the others answer; it comes back.
func (p *picture) survives(ctx context.Context, w lab.World, tell *Teller) (err error) {
	victim := p.web[0].Name
	if err := w.Change(ctx, lab.Change{StopInstance: victim}); err != nil {
		return err
	}
	defer func() {
		// The lab goes on after the demonstration's failure too.
		if e := w.Change(context.WithoutCancel(ctx), lab.Change{StartInstance: victim}); err == nil {
			err = e
		}
	}()
	start := time.Now()
	_, err = p.awaitTargets(ctx, w, tell, "the health checks to notice that "+victim+" stopped", func(s lab.TargetStatus) bool {
		return s.Instance != victim || s.Health == "unhealthy" || s.Health == "unused"
	})
	if err != nil {
		return err
	}
	noticed := time.Since(start)
	failed, err := p.others(ctx, w, tell, victim)
	if err != nil {
		return err
	}
	if failed > 0 {
		tell.Show("meanwhile", "%d connections failed before the load balancer followed the health checks", failed)
	}
	tell.Show("stopped", "%s: unhealthy after %s, then %d of %d answered by %s", victim, probe.Short(noticed), inARow, inARow, p.web[1].Name)
	return nil
}

// inARow is how many answers from the other servers convince us.
const inARow = 6

// others waits until only the other servers answer, and counts the tries that
// failed meanwhile: what the health checks say and what packets meet is not
// true in the same instant.
func (p *picture) others(ctx context.Context, w lab.World, tell *Teller, victim string) (failed int, err error) {
	good := 0
	err = await(ctx, tell, wait{what: fmt.Sprintf("%d answers in a row from the other server", inARow), limit: 10 * time.Second, every: 50 * time.Millisecond,
		look: func() (bool, string, error) {
			r, err := p.get(ctx, w, 3*time.Second)
			if err != nil {
				return false, "", err
			}
			if good++; r.Outcome != probe.Answered || r.HTTP == nil || r.HTTP.Server == victim {
				failed, good = failed+1, 0
			}
			return good == inARow, r.String(), nil
		}})
	return failed, lookAt(err, "seikan lab status")
}
