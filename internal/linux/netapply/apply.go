package netapply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"seikan/internal/linux/netspec"
)

// passes bounds how often Apply looks again: the kernel answers some changes
// with others, as when the first address of a link takes the rest with it.
const passes = 5

// Apply makes this machine match want. After an error, a cancelled ctx or a
// crash, call it again. What was done before the error is in the Report.
// An invalid want changes nothing. Errors begin with the namespace:
// "apply vpc-1: add route 10.0.0.0/16 dev eth0: …". What fails in one namespace
// ends the work there, and no link into it is made; the others go on, and the
// error joins all failures.
//
// New packet filters stand before the first new link does, and old ones stand
// until the last old link has gone.
func (h *Host) Apply(ctx context.Context, want netspec.Spec) (Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var report Report
	want = want.Normalize()
	if err := want.Validate(); err != nil {
		return report, fmt.Errorf("apply: %w", err)
	}
	for range passes {
		before, unknown := h.fingerprintLocked(ctx)
		p := newPass(h)
		for _, n := range want.Namespaces {
			p.want[n.Name] = n
		}
		err := p.run(ctx)
		report.Changes = append(report.Changes, p.changes...)
		report.Pending = p.pending
		if len(p.changes) == 0 && err == nil && unknown == nil {
			report.Fingerprint = before
		}
		if ctx.Err() != nil || len(p.changes) == 0 || err != nil && len(p.failed) == len(p.want) {
			return report, err
		}
	}
	return report, fmt.Errorf("apply: not settled after %d passes: somebody else keeps changing it: last: %s",
		passes, report.Changes[len(report.Changes)-1])
}

// A pass compares everything once with what is wanted and changes what
// differs.
type pass struct {
	host    *Host
	want    map[string]netspec.Namespace
	spaces  []*space // by name; those wanted and those only recorded
	changes []string
	pending []string
	failed  map[string]bool // namespaces where something went wrong in this pass
	errs    []error
	lookups map[string]*lookup    // by namespace, made when needed
	routes  map[string]*ownRoutes // the same
}

func newPass(h *Host) *pass {
	return &pass{
		host: h, want: map[string]netspec.Namespace{}, failed: map[string]bool{},
		lookups: map[string]*lookup{}, routes: map[string]*ownRoutes{},
	}
}

// A step is one kind of work in one namespace.
type step func(context.Context, *space) error

// run takes the steps in the order that leaks nothing, and returns what went
// wrong.
func (p *pass) run(ctx context.Context) error {
	err := p.steps(ctx)
	if err != nil {
		return err
	}
	return errors.Join(p.errs...)
}

// steps does the work of run; its error is one that ends the pass.
func (p *pass) steps(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	steps := []step{
		p.setSysctls,
		p.putTables,
	}
	if err := p.each(ctx, steps...); err != nil {
		return err
	}
	if err := p.makeLinks(ctx); err != nil {
		return err
	}
	steps = []step{
		p.setLinks,
		p.addAddrs,
		p.addRoutes,
		p.addRules,
		p.deleteRules,
		p.deleteRoutes,
		p.deleteAddrs,
		p.deleteLinks,
		p.removeTables,
		p.restoreSysctls,
		p.finish,
	}
	return p.each(ctx, steps...)
}

// each takes every step in all namespaces before the next; a namespace where
// one fails is left out from then on. The error is that of the context.
func (p *pass) each(ctx context.Context, steps ...step) error {
	for _, one := range steps {
		for _, s := range p.spaces {
			if p.failed[s.name] {
				continue
			}
			if err := one(ctx, s); err != nil {
				if err := p.fail(ctx, s.name, err); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fail notes that err happened in the namespace name. It returns the error
// when that is the end of the whole pass.
func (p *pass) fail(ctx context.Context, name string, err error) error {
	err = fmt.Errorf("apply %s: %w", netspec.Namespace{Name: name}.Label(), err)
	if ctx.Err() != nil {
		return err
	}
	p.failed[name] = true
	p.errs = append(p.errs, err)
	return nil
}

// do performs one change of s and reports it as "verb object".
func (p *pass) do(ctx context.Context, s *space, change string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", change, err)
	}
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", change, err)
	}
	p.changes = append(p.changes, s.label()+": "+change)
	return nil
}

// wait reports that object of s waits for a link.
func (p *pass) wait(s *space, object string) {
	p.pending = append(p.pending, s.label()+": "+object)
}

// doomed reports whether s is a namespace of ours that nobody wants any more.
func (p *pass) doomed(s *space) bool {
	_, ok := p.want[s.name]
	return !ok && s.owned
}

// open opens the namespaces that are wanted, making those that do not exist,
// and those that an earlier Apply left something in.
func (p *pass) open(ctx context.Context) error {
	names, err := p.host.recorded()
	if err != nil {
		return fmt.Errorf("apply: read records: %w", err)
	}
	for name := range p.want {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		s, err := p.openOne(ctx, name)
		if err == nil && s != nil {
			p.spaces = append(p.spaces, s)
			err = s.read(ctx)
		}
		if err == nil {
			continue
		}
		if err := p.fail(ctx, name, err); err != nil {
			return err
		}
	}
	return nil
}

// openOne returns the space of name; nil when it neither exists nor is wanted.
func (p *pass) openOne(ctx context.Context, name string) (*space, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := p.host.openLocked(name)
	if err != nil {
		return nil, err
	}
	n, wanted := p.want[name]
	if s == nil && !wanted {
		return nil, p.host.dropRecord(name)
	}
	if s == nil {
		if s, err = p.host.createLocked(name); err != nil {
			return nil, fmt.Errorf("add namespace: %w", err)
		}
		p.changes = append(p.changes, s.label()+": add namespace")
	}
	if s.owned {
		return s, nil
	}
	for _, t := range n.Tables {
		if !strings.HasPrefix(t.Name, tablePrefix) {
			return nil, fmt.Errorf("table %s: in a namespace that is not ours the name must begin with %q", tableName(t), tablePrefix)
		}
	}
	return s, nil
}

// putTables adds and replaces nftables tables.
func (p *pass) putTables(ctx context.Context, s *space) error { return p.tables(ctx, s, false) }

// removeTables deletes the nftables tables that are not wanted. Those of a
// doomed namespace go with it.
func (p *pass) removeTables(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return nil
	}
	return p.tables(ctx, s, true)
}

func (p *pass) tables(ctx context.Context, s *space, removing bool) error {
	if p.doomed(s) {
		return nil
	}
	want := p.want[s.name].Tables
	plan, err := p.host.planTables(ctx, s, want, removing)
	if err != nil || plan.script.Len() == 0 {
		return err
	}
	change := "load table " + strings.Join(plan.put, ", ")
	if removing {
		change = "delete table " + strings.Join(plan.remove, ", ")
	}
	return p.do(ctx, s, change, func() error { return p.host.loadTables(ctx, s, plan, want) })
}

// finish writes the record of s, or deletes s when it is doomed.
func (p *pass) finish(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return p.do(ctx, s, "delete namespace", func() error { return p.host.removeLocked(s) })
	}
	s.rec.Tables = s.tables.record()
	return p.host.saveRecord(s.name, s.rec)
}

// Read returns what this Host owns now, normalized, with the MTU and MAC of
// every link filled in and nftables rules in the words of nft(8). Sysctls are
// those that Apply set. Of a namespace that is not ours it has only our part;
// External links are not ours and not in it.
func (h *Host) Read(ctx context.Context) (netspec.Spec, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	names, err := h.recorded()
	if err != nil {
		return netspec.Spec{}, fmt.Errorf("read records: %w", err)
	}
	var open []*space
	for _, name := range names {
		s, err := h.openLocked(name)
		if err == nil && s != nil {
			open = append(open, s)
			err = s.read(ctx)
		}
		if err != nil {
			return netspec.Spec{}, fmt.Errorf("read %s: %w", netspec.Namespace{Name: name}.Label(), err)
		}
	}
	var out netspec.Spec
	for _, s := range open {
		n, err := h.readNamespace(ctx, s, open)
		if err != nil {
			return netspec.Spec{}, fmt.Errorf("read %s: %w", s.label(), err)
		}
		out.Namespaces = append(out.Namespaces, n)
	}
	return out.Normalize(), nil
}

// errForeign is the reason why Apply does not touch something.
var errForeign = errors.New("exists and is not ours")
