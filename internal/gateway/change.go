package gateway

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"seikan/internal/secret"
)

// What a Change did.
const (
	Added     = "added"
	Removed   = "removed"   // the peer was told
	Rebuilt   = "rebuilt"   // closed and started anew, for its SAs depend on what changed
	Changed   = "changed"   // its SAs go on
	Unchanged = "unchanged" // all of it goes on, its BGP session and counters too
)

// A Change is what another configuration did to one tunnel, or, without Tunnel,
// to what all tunnels have in common.
type Change struct {
	Tunnel string `json:"tunnel,omitempty"`
	What   string `json:"change"`
	// Fields are those of Config or Tunnel that differ, such as
	// "Lifetime.Phase1". Values are not told: some are secret.
	Fields []string `json:"fields,omitempty"`
	// Failed is why the tunnel does not run though it shall; it is tried again.
	Failed string `json:"failed,omitempty"`
}

// Change is Set for an operator: it waits until the tunnels that run are those of
// cfg and says of each, in the order of cfg, what became of it; those that were
// removed are last. When ctx ends first the change goes on.
func (g *Gateway) Change(ctx context.Context, cfg Config) ([]Change, error) {
	if err := check(cfg, g.opts); err != nil {
		return nil, err
	}
	g.mu.Lock()
	changes := compare(g.want, cfg)
	seen := g.setLocked(cfg)
	g.mu.Unlock()
	signal(g.kick)
	select {
	case <-seen:
	case <-ctx.Done():
		return nil, fmt.Errorf("the new configuration is taken, and not all of it in force yet: %w; look at the status", ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range changes {
		if f, ok := g.failed[c.Tunnel]; ok && f.err != nil {
			changes[i].Failed = f.err.Error()
		}
	}
	return changes, nil
}

// setLocked has cfg taken up by the next converge, which closes seen. The caller
// holds g.mu.
func (g *Gateway) setLocked(cfg Config) (seen <-chan struct{}) {
	g.want = cfg
	if g.unseen == nil {
		g.unseen = make(chan struct{})
	}
	return g.unseen
}

// seenLocked is after the tunnels that run have become those that are wanted.
// The caller holds g.mu.
func (g *Gateway) seenLocked() {
	if g.unseen != nil {
		close(g.unseen)
		g.unseen = nil
	}
}

// compare says what cfg in the place of old does.
func compare(old, cfg Config) []Change {
	before := map[string]Tunnel{}
	for _, t := range old.Tunnels {
		before[t.ID] = t
	}
	var out []Change
	common, commonBefore := cfg, old
	common.Tunnels, commonBefore.Tunnels = nil, nil
	if fields := differ(reflect.ValueOf(commonBefore), reflect.ValueOf(common)); len(fields) > 0 {
		out = append(out, Change{What: Changed, Fields: fields})
	}
	for _, t := range cfg.Tunnels {
		was, ok := before[t.ID]
		delete(before, t.ID)
		c := Change{Tunnel: t.ID, What: Added}
		if ok {
			c.Fields = differ(reflect.ValueOf(was), reflect.ValueOf(t))
			switch {
			case !was.sameSession(t):
				c.What = Rebuilt
			case len(c.Fields) > 0:
				c.What = Changed
			default:
				c.What = Unchanged
			}
		}
		out = append(out, c)
	}
	for _, t := range old.Tunnels {
		if _, gone := before[t.ID]; gone {
			out = append(out, Change{Tunnel: t.ID, What: Removed})
		}
	}
	return out
}

// differ names the fields of a and b, two structs of one type, that differ.
func differ(a, b reflect.Value) (out []string) {
	for i := range a.NumField() {
		name, x, y := a.Type().Field(i).Name, a.Field(i), b.Field(i)
		if s, ok := x.Interface().(secret.Secret); ok {
			if !s.Equal(y.Interface().(secret.Secret)) {
				out = append(out, name)
			}
			continue
		}
		if x.Kind() == reflect.Struct && strings.HasPrefix(x.Type().PkgPath(), a.Type().PkgPath()) {
			for _, within := range differ(x, y) {
				out = append(out, name+"."+within)
			}
			continue
		}
		if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			out = append(out, name)
		}
	}
	return slices.Clip(out)
}
