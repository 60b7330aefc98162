package netapply

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"

	"seikan/internal/linux/netspec"
)

// tablePrefix begins the names of our nftables tables in namespaces that are
// not ours.
const tablePrefix = "seikan"

// A tableState is what is known of the nftables of one namespace.
type tableState struct {
	// clean is the generation at which loaded was seen to be true; known says
	// whether there is one.
	clean  uint32
	known  bool
	loaded map[string]loadedTable // by "family name"
}

// A loadedTable is a table as it was put into the kernel.
type loadedTable struct {
	digests
	want *netspec.Table // normalized; nil when another process loaded it
}

// restore takes over what an earlier process recorded.
func (t *tableState) restore(rec map[string]digests) {
	t.loaded = map[string]loadedTable{}
	for name, d := range rec {
		t.loaded[name] = loadedTable{digests: d}
	}
}

// record is the reverse of restore.
func (t *tableState) record() map[string]digests {
	out := map[string]digests{}
	for name, l := range t.loaded {
		out[name] = l.digests
	}
	return out
}

// matches reports whether present, digests by table, is what was loaded.
func (t *tableState) matches(present map[string]string) bool {
	for name, have := range present {
		if t.loaded[name].Have != have {
			return false
		}
	}
	return len(present) == len(t.loaded)
}

func tableName(t netspec.Table) string { return t.Family + " " + t.Name }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// A tablePlan is what one transaction in one namespace shall do.
type tablePlan struct {
	put, remove []string // table names
	script      strings.Builder
}

// planTables compares want with the kernel and writes the transaction. With
// removing unset it only adds and replaces, with it set it only removes: new
// tables must stand before the first link does, old ones must stand until the
// last has gone.
func (h *Host) planTables(ctx context.Context, s *space, want []netspec.Table, removing bool) (*tablePlan, error) {
	plan := &tablePlan{}
	gen, err := s.filter.generation()
	if err != nil {
		return nil, err
	}
	present := map[string]string{} // digest of what the kernel has of ours
	if s.tables.known && gen == s.tables.clean {
		for name, l := range s.tables.loaded {
			present[name] = l.Have
		}
	} else {
		if present, err = h.readTables(ctx, s, want); err != nil {
			return nil, err
		}
		s.tables.clean, s.tables.known = gen, s.tables.matches(present)
	}
	wanted := map[string]bool{}
	for _, t := range want {
		name := tableName(t)
		wanted[name] = true
		if removing {
			continue
		}
		loaded := s.tables.loaded[name]
		have, exists := present[name]
		intact := exists && loaded.Have == have
		switch {
		case intact && loaded.Want == digest(t.String()):
			continue
		case intact && loaded.want != nil && sameButElements(*loaded.want, t):
			writeElements(&plan.script, *loaded.want, t)
		default:
			// "add" first, for "delete" fails on what does not exist.
			fmt.Fprintf(&plan.script, "add table %s\ndelete table %s\n%s", name, name, t)
		}
		plan.put = append(plan.put, name)
	}
	if !removing {
		return plan, nil
	}
	for name := range present {
		if !wanted[name] {
			plan.remove = append(plan.remove, name)
			fmt.Fprintf(&plan.script, "delete table %s\n", name)
		}
	}
	slices.Sort(plan.remove)
	return plan, nil
}

// loadTables executes plan and remembers what the kernel then has.
func (h *Host) loadTables(ctx context.Context, s *space, plan *tablePlan, want []netspec.Table) error {
	before, err := s.filter.generation()
	if err != nil {
		return err
	}
	s.tables.known = false
	if _, err := h.nft(ctx, s, plan.script.String(), "-f", "-"); err != nil {
		return err
	}
	for _, name := range plan.remove {
		delete(s.tables.loaded, name)
	}
	present, err := h.readTables(ctx, s, want)
	if err != nil {
		return err
	}
	after, err := s.filter.generation()
	if err != nil {
		return err
	}
	for _, t := range want {
		if name := tableName(t); slices.Contains(plan.put, name) {
			s.tables.loaded[name] = loadedTable{digests{Want: digest(t.String()), Have: present[name]}, &t}
		}
	}
	// One transaction raises the generation by one. More means that somebody
	// else changed something meanwhile: then what was listed proves nothing.
	if after != before+1 {
		for _, name := range plan.put {
			delete(s.tables.loaded, name)
		}
		return nil
	}
	s.tables.clean, s.tables.known = after, s.tables.matches(present)
	return nil
}

// readTables returns digests of how nft lists the tables of s that are ours.
func (h *Host) readTables(ctx context.Context, s *space, want []netspec.Table) (map[string]string, error) {
	texts, err := h.listTables(ctx, s, want)
	out := map[string]string{}
	for name, text := range texts {
		out[name] = digest(text)
	}
	return out, err
}

// listTables returns the tables of s that are ours as nft prints them.
func (h *Host) listTables(ctx context.Context, s *space, want []netspec.Table) (map[string]string, error) {
	names, err := s.filter.list()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, bare, _ := strings.Cut(name, " ")
		return !s.owned && !strings.HasPrefix(bare, tablePrefix)
	})
	if len(names) == 0 {
		return nil, nil
	}
	flags := []string{"-s", "list", "ruleset"}
	if slices.ContainsFunc(want, changesByItself) {
		flags = append([]string{"-t"}, flags...)
	}
	out, err := h.nft(ctx, s, "", flags...)
	if err != nil {
		return nil, err
	}
	all := splitRuleset(string(out))
	texts := map[string]string{}
	for _, name := range names {
		if text, ok := all[name]; ok {
			texts[name] = text
		}
	}
	return texts, nil
}

// changesByItself reports whether t has a set whose elements come and go with
// packets and time: then elements are no sign of drift.
func changesByItself(t netspec.Table) bool {
	return slices.ContainsFunc(t.Sets, func(s netspec.Set) bool {
		return slices.Contains(s.Flags, "timeout") || slices.Contains(s.Flags, "dynamic")
	})
}

// splitRuleset cuts the output of "nft list ruleset" into tables, by
// "family name".
func splitRuleset(text string) map[string]string {
	tables := map[string]string{}
	var name string
	var block strings.Builder
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "table "); ok {
			name = strings.TrimSuffix(strings.TrimSpace(rest), " {")
			block.Reset()
		}
		if name == "" {
			continue
		}
		block.WriteString(line)
		if line == "}\n" || line == "}" {
			tables[name] = block.String()
			name = ""
		}
	}
	return tables
}

// sameButElements reports whether two tables differ in set elements at most.
func sameButElements(a, b netspec.Table) bool {
	if len(a.Sets) != len(b.Sets) || changesByItself(b) {
		return false
	}
	for i := range a.Sets {
		x, y := a.Sets[i], b.Sets[i]
		x.Elements, y.Elements = nil, nil
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return a.Family == b.Family && a.Name == b.Name && reflect.DeepEqual(a.Chains, b.Chains)
}

// writeElements writes the commands that turn the sets of have into those of
// want and leave rules and their counters alone.
func writeElements(w *strings.Builder, have, want netspec.Table) {
	for i, set := range want.Sets {
		if slices.Equal(have.Sets[i].Elements, set.Elements) {
			continue
		}
		kind := "set"
		if set.Value != "" {
			kind = "map"
		}
		fmt.Fprintf(w, "flush %s %s %s\n", kind, tableName(want), set.Name)
		if len(set.Elements) > 0 {
			fmt.Fprintf(w, "add element %s %s { %s }\n", tableName(want), set.Name, strings.Join(set.Elements, ", "))
		}
	}
}

// errNoNft tells what to do where nft(8) is missing.
var errNoNft = errors.New("nft not found: install the package nftables")

// nft runs nft(8) inside s with script as its standard input.
func (h *Host) nft(ctx context.Context, s *space, script string, args ...string) ([]byte, error) {
	path, err := h.nftPath()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = inFile(s.file, cmd.Start)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoNft, err)
	}
	if err != nil {
		return nil, fmt.Errorf("start nft: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// nftPath finds nft(8), which lies outside the PATH of ordinary users.
func (h *Host) nftPath() (string, error) {
	if h.opts.Nft != "" {
		return h.opts.Nft, nil
	}
	if path, err := exec.LookPath("nft"); err == nil {
		return path, nil
	}
	for _, path := range []string{"/usr/sbin/nft", "/sbin/nft"} {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errNoNft
}
