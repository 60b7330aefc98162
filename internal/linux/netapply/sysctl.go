package netapply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"seikan/internal/linux/netspec"
)

// A setting is one sysctl of a namespace, or of one link when link is set.
type setting struct{ link, key string }

// path returns the file of s. What lies below /proc/sys/net shows the
// namespace of the thread that opens it.
func (s setting) path() string {
	if s.link != "" {
		return "/proc/sys/net/ipv4/conf/" + s.link + "/" + s.key
	}
	if strings.Contains(s.key, "/") {
		return "/proc/sys/" + s.key
	}
	return "/proc/sys/" + strings.ReplaceAll(s.key, ".", "/")
}

// String names s as sysctl(8) does.
func (s setting) String() string {
	if s.link != "" {
		return "net.ipv4.conf." + s.link + "." + s.key
	}
	return s.key
}

// settings lists the entries of m in the order to set them: net.ipv4.ip_forward
// first, for it resets those of all links.
func settings(link string, m map[string]string) []setting {
	var out []setting
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, setting{link, key})
	}
	slices.SortStableFunc(out, func(a, b setting) int {
		return cmp.Compare(rank(a.key), rank(b.key))
	})
	return out
}

// rank orders sysctls from general to particular.
func rank(key string) int {
	switch {
	case strings.HasSuffix(key, "forward") || strings.HasSuffix(key, "forwarding"):
		return 0
	case strings.Contains(key, "conf.all.") || strings.Contains(key, "conf.default."):
		return 1
	}
	return 2
}

// readSetting reads s in the namespace of the thread.
func readSetting(s setting) (string, error) {
	raw, err := os.ReadFile(s.path())
	return strings.Join(strings.Fields(string(raw)), " "), err
}

// setSysctls sets the sysctls of the namespace itself.
func (p *pass) setSysctls(ctx context.Context, s *space) error {
	return p.setAll(ctx, s, map[string]map[string]string{"": p.want[s.name].Sysctls})
}

// setLinkSysctls sets those of the links that exist.
func (p *pass) setLinkSysctls(ctx context.Context, s *space, links []netspec.Link) error {
	want := map[string]map[string]string{}
	for _, l := range links {
		if _, exists := s.have.links[l.Name]; exists {
			want[l.Name] = l.Sysctls
		}
	}
	return p.setAll(ctx, s, want)
}

// setAll sets the sysctls of want, which are by link, that differ, and records
// what they were. The namespace is entered and the record written once for all
// of them.
func (p *pass) setAll(ctx context.Context, s *space, want map[string]map[string]string) error {
	var all, wrong []setting
	for _, link := range slices.Sorted(maps.Keys(want)) {
		all = append(all, settings(link, want[link])...)
	}
	if len(all) == 0 {
		return nil
	}
	err := inFile(s.file, func() error {
		for _, set := range all {
			got, err := readSetting(set)
			if err != nil {
				return fmt.Errorf("read sysctl %v: %w", set, err)
			}
			s.rec.keep(set, got)
			if got != strings.Join(strings.Fields(want[set.link][set.key]), " ") {
				wrong = append(wrong, set)
			}
		}
		return nil
	})
	if err != nil || len(wrong) == 0 {
		return err
	}
	if err := p.host.saveRecord(s.name, s.rec); err != nil {
		return err
	}
	return inFile(s.file, func() error {
		for _, set := range wrong {
			if err := p.writeSetting(ctx, s, set, want[set.link][set.key]); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeSetting sets set; the caller's thread is in its namespace.
func (p *pass) writeSetting(ctx context.Context, s *space, set setting, value string) error {
	return p.do(ctx, s, fmt.Sprintf("set sysctl %v = %s", set, value), func() error {
		return os.WriteFile(set.path(), []byte(value), 0)
	})
}

// keep records value as that of set before us, unless one is recorded.
func (r *record) keep(set setting, value string) {
	if _, ok := r.Sysctls[set.link][set.key]; ok {
		return
	}
	if r.Sysctls == nil {
		r.Sysctls = map[string]map[string]string{}
	}
	if r.Sysctls[set.link] == nil {
		r.Sysctls[set.link] = map[string]string{}
	}
	r.Sysctls[set.link][set.key] = value
}

// forget drops what keep recorded.
func (r *record) forget(set setting) {
	delete(r.Sysctls[set.link], set.key)
	if len(r.Sysctls[set.link]) == 0 {
		delete(r.Sysctls, set.link)
	}
}

// restoreSysctls gives sysctls that are not wanted any more their old values.
func (p *pass) restoreSysctls(ctx context.Context, s *space) error {
	if p.doomed(s) {
		return nil
	}
	n := p.want[s.name]
	want := map[string]map[string]string{"": n.Sysctls}
	for _, l := range n.Links {
		want[l.Name] = l.Sysctls
	}
	for _, link := range slices.Sorted(maps.Keys(s.rec.Sysctls)) {
		for _, set := range settings(link, s.rec.Sysctls[link]) {
			if _, ok := want[link][set.key]; ok {
				continue
			}
			if err := p.restoreOne(ctx, s, set); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pass) restoreOne(ctx context.Context, s *space, set setting) error {
	old := s.rec.Sysctls[set.link][set.key]
	var got string
	err := inFile(s.file, func() (err error) {
		got, err = readSetting(set)
		return err
	})
	if err == nil && got != old {
		err = inFile(s.file, func() error { return p.writeSetting(ctx, s, set, old) })
	}
	// A link that has gone took its sysctls with it.
	if err != nil && !(set.link != "" && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	s.rec.forget(set)
	return nil
}

// readSysctls fills in the sysctls that we set in s.
func readSysctls(s *space, n *netspec.Namespace) error {
	return inFile(s.file, func() error {
		for _, link := range slices.Sorted(maps.Keys(s.rec.Sysctls)) {
			into := map[string]string{}
			for key := range s.rec.Sysctls[link] {
				value, err := readSetting(setting{link, key})
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return err
				}
				into[key] = value
			}
			if link == "" {
				n.Sysctls = into
				continue
			}
			for i := range n.Links {
				if n.Links[i].Name == link {
					n.Links[i].Sysctls = into
				}
			}
		}
		return nil
	})
}
