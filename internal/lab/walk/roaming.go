package walk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/server"
	"seikan/internal/lab/topology"
)

// A download that lasts for about five seconds, and when in it the address
// changes.
const (
	roamBytes = 24 << 20
	roamRate  = 5 << 20 // octets a second
	roamAfter = 2 * time.Second
	roamPause = 10 * time.Second // the longest that it may stand still
)

// Roaming returns the steps over a site whose gateway the cloud knows by its
// certificate alone.
func Roaming(t *topology.Topology, caFile string) ([]Step, error) {
	p := &picture{caFile: caFile}
	if err := p.find(t, p.findSite); err != nil {
		return nil, err
	}
	return []Step{
		{"A site behind NAT, the internet, the cloud's edge", p.stepSite},
		{"The VPN connection: certificates, and no address", p.stepConnection},
		{"From the client to the instance", p.stepInstance},
		{"The address changes during a download", p.stepRoam},
	}, nil
}

// stepRoam gives the router another address while the client downloads, and back
// in the end.
func (p *picture) stepRoam(ctx context.Context, w lab.World, tell *Teller) (err error) {
	before, err := p.seenFrom(ctx, w)
	if err != nil {
		return err
	}
	next, err := p.freeAddress(w.Topology())
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, w.Change(context.WithoutCancel(ctx), lab.Change{Move: lab.Move{Router: p.router.Name, To: p.router.Outside}}))
	}()
	r, err := p.downloadOver(ctx, w, tell, next)
	if err != nil {
		return err
	}
	tell.Show("moved", "%s: %v → %v, %v into the download", p.router.Name, p.router.Outside, next, roamAfter)
	var after map[int]netip.AddrPort
	err = await(ctx, tell, wait{what: "the cloud to see both tunnels at the new address", limit: 20 * time.Second, every: 200 * time.Millisecond, look: func() (bool, string, error) {
		var err error
		after, err = p.seenFrom(ctx, w)
		return after[1].Addr() == next && after[2].Addr() == next, fmt.Sprint(after), err
	}})
	if err != nil {
		return lookAt(err, "seikan lab status")
	}
	for n := 1; n <= len(p.vpn.Tunnels); n++ {
		tell.Show(fmt.Sprintf("tunnel %d", n), "the cloud saw %v, and now sees %v", before[n], after[n])
	}
	want := noiseSum(roamBytes)
	if r.Bytes != roamBytes || r.HTTP.Sum != want {
		return &Failure{Expected: fmt.Sprintf("%d octets with SHA-256 %s", roamBytes, want), Seen: fmt.Sprintf("%d with %s", r.Bytes, r.HTTP.Sum)}
	}
	tell.Show("download", "%d octets in %s on one connection, %v → %v", r.Bytes, probe.Short(r.Took), r.Local, r.Remote)
	tell.Show("", "SHA-256 %s…, as sent; it stood still for at most %s", want[:16], probe.Short(r.HTTP.Pause))
	if r.HTTP.Pause > roamPause {
		return &Failure{Expected: fmt.Sprintf("a pause of at most %v", roamPause), Seen: r.HTTP.Pause.String(), Look: "seikan lab status"}
	}
	return nil
}

// downloadOver downloads and moves the router while that lasts.
func (p *picture) downloadOver(ctx context.Context, w lab.World, tell *Teller, next netip.Addr) (probe.Result, error) {
	type answer struct {
		r   probe.Result
		err error
	}
	done := make(chan answer, 1)
	go func() {
		r, err := p.ask(ctx, w, p.client.Name, probe.Question{Kind: probe.HTTPS, Target: fmt.Sprintf("%snoise?n=%d&rate=%d", p.page(), roamBytes, roamRate), Sum: true, Timeout: time.Minute})
		done <- answer{r, err}
	}()
	stop := tell.Waiting("downloading while the address changes")
	defer stop()
	select {
	case <-time.After(roamAfter):
	case <-ctx.Done():
	}
	moveErr := w.Change(ctx, lab.Change{Move: lab.Move{Router: p.router.Name, To: next}})
	a := <-done
	if err := errors.Join(moveErr, a.err); err != nil {
		return a.r, err
	}
	if a.r.Outcome != probe.Answered || a.r.HTTP == nil {
		return a.r, &Failure{Expected: "the download to be completed", Seen: a.r.String(), Look: "seikan lab status; seikan lab capture internet"}
	}
	return a.r, nil
}

// seenFrom is where the cloud sees the customer's end of each tunnel, by number.
func (p *picture) seenFrom(ctx context.Context, w lab.World) (map[int]netip.AddrPort, error) {
	st, err := w.Status(ctx)
	out := map[int]netip.AddrPort{}
	for _, t := range st.Tunnels {
		if t.Connection == p.vpn.Name && t.End == "cloud" {
			out[t.Number] = t.Remote
		}
	}
	return out, err
}

// freeAddress is one of the router's link that nobody has.
func (p *picture) freeAddress(t *topology.Topology) (netip.Addr, error) {
	for _, l := range t.Internet {
		if l.Name != p.router.Uplink {
			continue
		}
		for a := p.router.Outside.Next(); l.Subnet.Contains(a.Next()); a = a.Next() {
			if a != l.Router {
				return a, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("the link of %s has no free address above %v", p.router.Name, p.router.Outside)
}

// noiseSum is the SHA-256 of the first n octets of the web server's noise.
func noiseSum(n int64) string {
	sum := sha256.New()
	_, _ = io.CopyN(sum, server.Noise(), n) // neither fails
	return hex.EncodeToString(sum.Sum(nil))
}
