package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/lab/capture"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/sandbox"
	"seikan/internal/lab/topology"
	"seikan/internal/linux/netapply"
)

// errNoHost is wrapped in errors about names that nothing in the lab has.
var errNoHost = errors.New("no such host or instance")

// namespace is where a host or an instance lives.
func (l *Lab) namespace(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ns := l.namespaces[name]; ns != "" {
		return ns, nil
	}
	return "", fmt.Errorf("%w: %q; there is %s", errNoHost, name, strings.Join(l.t.Machines(), ", "))
}

// Ask runs a test client inside the network of a host or an instance.
func (l *Lab) Ask(ctx context.Context, host string, q probe.Question) (probe.Result, error) {
	ns, err := l.namespace(host)
	if err != nil {
		return probe.Result{}, err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return probe.Result{}, err
	}
	out, err := l.net.CommandIn(ctx, ns, l.cfg.Self, ClientVerb, "ask", string(text))
	if err != nil {
		return probe.Result{}, fmt.Errorf("asking from %s: %w", host, err)
	}
	var r probe.Result
	if err := json.Unmarshal(out, &r); err != nil {
		return probe.Result{}, fmt.Errorf("asking from %s: reading %q: %w", host, out, err)
	}
	return r, nil
}

// Change does something to the world. It returns when that is done, not when
// the world has noticed.
func (l *Lab) Change(ctx context.Context, c Change) error {
	switch {
	case c.StopInstance != "":
		if err := l.programs.kill(c.StopInstance); err != nil {
			return fmt.Errorf("stop %s: %w", c.StopInstance, err)
		}
		return nil
	case c.StartInstance != "":
		p, serves := l.serverOf(c.StartInstance)
		if !serves {
			return fmt.Errorf("start %s: it serves nothing", c.StartInstance)
		}
		if l.programs.alive(c.StartInstance) {
			return fmt.Errorf("start %s: it runs", c.StartInstance)
		}
		return l.programs.start(ctx, p)
	case c.Cut.IsValid():
		if !l.onInternet(c.Cut) {
			return fmt.Errorf("cut %v: no link of the internet has this address; see `seikan lab status`", c.Cut)
		}
		l.fault(func(f *Faults) { f.Cut = append(slices.Clone(f.Cut), c.Cut) })
		return l.applyFaults(ctx)
	case c.Move != Move{}:
		return l.move(ctx, c.Move)
	case c.Replace.IsValid():
		l.mu.Lock()
		cloud := l.cloud
		l.mu.Unlock()
		if cloud == nil {
			return fmt.Errorf("replace %v: this lab has no cloud", c.Replace)
		}
		return cloud.Replace(ctx, c.Replace)
	case c.Mend.IsValid():
		l.fault(func(f *Faults) {
			f.Cut = slices.DeleteFunc(slices.Clone(f.Cut), func(a netip.Addr) bool { return a == c.Mend })
		})
		return l.applyFaults(ctx)
	}
	return errors.New("a change of nothing")
}

// move gives a router another address, as a provider does with a new lease: what
// it had translated under the old one is forgotten.
func (l *Lab) move(ctx context.Context, m Move) error {
	now := l.current()
	h, _, ok := now.Host(m.Router)
	if !ok || h.Role != topology.Router {
		return fmt.Errorf("move %s: it is no router of a site", m.Router)
	}
	if link := uplink(now, h.Uplink); !link.Subnet.Contains(m.To) || m.To == link.Router || m.To == link.Subnet.Addr() {
		return fmt.Errorf("move %s: %v is not an address that a customer of %s can have; choose another one of %v", m.Router, m.To, link.Name, link.Subnet)
	}
	l.mu.Lock()
	l.moved[m.Router] = m.To
	l.mu.Unlock()
	report, err := l.net.Apply(ctx, Plan(l.current()))
	l.logChanges(report)
	return err
}

// current is the topology with the addresses that routers have now.
func (l *Lab) current() *topology.Topology {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := *l.t
	t.Sites = slices.Clone(t.Sites)
	for i := range t.Sites {
		t.Sites[i].Hosts = slices.Clone(t.Sites[i].Hosts)
		for j, h := range t.Sites[i].Hosts {
			if a, ok := l.moved[h.Name]; ok {
				t.Sites[i].Hosts[j].Outside = a
			}
		}
	}
	return &t
}

// onInternet reports whether a is of a subnet of the internet.
func (l *Lab) onInternet(a netip.Addr) bool {
	return slices.ContainsFunc(l.t.Internet, func(link topology.Link) bool { return link.Subnet.Contains(a) || link.Subnet6.Contains(a) })
}

func (l *Lab) fault(set func(*Faults)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(&l.faults)
	slices.SortFunc(l.faults.Cut, netip.Addr.Compare)
	l.faults.Cut = slices.Compact(l.faults.Cut)
}

// Open captures on a link by its name.
func (l *Lab) Open(name string) (*capture.Source, error) {
	l.mu.Lock()
	p, err := findLink(l.t, l.namespaces, name)
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var src *capture.Source
	err = l.net.In(p.Namespace, func() error {
		src, err = capture.Open(p.Link)
		return err
	})
	return src, err
}

// OpenLink captures on a link of the running lab h, of which t is the topology,
// from a process that is inside the lab.
func OpenLink(t *topology.Topology, h sandbox.Handle, name string) (*capture.Source, error) {
	namespaces := map[string]string{}
	for _, host := range h.Hosts() {
		ns, err := h.Namespace(host)
		if err != nil {
			return nil, err
		}
		namespaces[host] = ns
	}
	p, err := findLink(t, namespaces, name)
	if err != nil {
		return nil, err
	}
	var src *capture.Source
	err = netapply.InNamespace(p.Namespace, func() error {
		src, err = capture.Open(p.Link)
		return err
	})
	return src, err
}

// Watch counts what passes a link until stop is called.
func (l *Lab) Watch(ctx context.Context, link string) (stop func() (LinkCount, error), err error) {
	src, err := l.Open(link)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var count capture.Count
	done := make(chan error, 1)
	go func() {
		done <- src.Each(ctx, func(f capture.Frame) bool {
			count.Add(f)
			return true
		})
	}()
	return func() (LinkCount, error) {
		cancel()
		err := <-done
		dropped, dropErr := src.Dropped()
		if err == nil && dropErr == nil && dropped > 0 {
			err = fmt.Errorf("the capture on %s missed %d packets", link, dropped)
		}
		return LinkCount{Packets: count.Packets, Bytes: count.Bytes, IKE: count.IKE, ESP: count.ESP, Clear: count.Clear, Sample: count.Sample},
			errors.Join(err, dropErr, src.Close())
	}, nil
}
