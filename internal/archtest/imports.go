package archtest

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

// checkPlace demands that every package has a row. Commands and e2e have none:
// they stand above every layer.
func (t *tree) checkPlace(p *pkg) {
	if _, ok := t.page.rows[p.name()]; !ok && !strings.HasPrefix(p.dir, "cmd/") && !t.testOnly(p) {
		t.findings = append(t.findings, Finding{Pos: p.dir, Rule: "table",
			Text: "the package is not in the table of layers in " + Page + "; give it a row"})
	}
}

// checkRows demands that every row has its package.
func (t *tree) checkRows() {
	have := map[string]bool{}
	for _, p := range t.packages {
		have[p.name()] = true
	}
	for _, name := range slices.Sorted(maps.Keys(t.page.rows)) {
		if !have[name] {
			t.findings = append(t.findings, Finding{Pos: Page, Rule: "table", Text: "there is no package " + name + "; remove it from the table of layers"})
		}
	}
}

// checkImports holds the layers, the doors and the test-only packages.
func (t *tree) checkImports(p *pkg, f *file) {
	for _, spec := range f.imports() {
		target := importPath(spec)
		first, _, _ := strings.Cut(target, "/")
		switch {
		case target == Module || first == Module:
			if f.test {
				continue // tests may look up and sideways: the compiler forbids circles
			}
			t.checkLayer(p, spec, strings.TrimPrefix(target, Module+"/"))
		case strings.Contains(first, "."):
			t.checkDoor(p, f, spec, target)
		case target == "testing" && !f.test && !t.testOnly(p):
			t.fail(spec.Pos(), "testonly", "only tests and test-only packages may import testing")
		}
	}
}

func (t *tree) checkLayer(p *pkg, spec ast.ImportSpec, target string) {
	name := tableName(target)
	to, ok := t.page.rows[name]
	if !ok {
		above := strings.HasPrefix(target, "cmd/") || strings.HasPrefix(target, "e2e/") && !t.testOnly(p)
		if above {
			t.fail(spec.Pos(), "layer", "nothing may import %s, which stands above every layer", target)
		}
		return // otherwise checkPlace says that it has no row
	}
	from, ok := t.page.rows[p.name()]
	if to.kind == testOnly && !t.testOnly(p) {
		t.fail(spec.Pos(), "testonly", "%s is for tests; %s must not import it outside them", name, p.name())
		return
	}
	if !ok || strings.HasPrefix(name, p.name()+"/") {
		return // a command, or a package's own sub-package
	}
	if to.layer > from.layer || to.layer == from.layer && from.kind != testOnly {
		t.fail(spec.Pos(), "layer", "%s (layer %d) must not import %s (layer %d): imports point down", p.name(), from.layer, name, to.layer)
	}
}

func (t *tree) checkDoor(p *pkg, f *file, spec ast.ImportSpec, target string) {
	d, ok := t.page.door(target)
	switch {
	case !ok:
		t.fail(spec.Pos(), "door", "%s is not in the table of doors in %s", target, Page)
	case f.test || t.testOnly(p) || d.admits(p.name()):
	default:
		t.fail(spec.Pos(), "door", "%s may be imported only by %s", target, strings.Join(append(d.packages, "tests"), ", "))
	}
}

// checkComment demands the contract above one package clause, and only one.
func (t *tree) checkComment(p *pkg) {
	comments := 0
	for _, f := range p.files {
		if f.test || f.syntax.Doc == nil {
			continue
		}
		text := f.syntax.Doc.Text()
		want := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(p.dir) + " "
		}
		if !strings.HasPrefix(text, want) {
			t.fail(f.syntax.Doc.Pos(), "contract", "the package comment must begin with %q", want)
		}
		comments++
	}
	tests := true
	for _, f := range p.files {
		tests = tests && f.test
	}
	if comments != 1 && !tests {
		t.findings = append(t.findings, Finding{Pos: p.dir, Rule: "contract",
			Text: "one file, and only one, must carry the package comment: what it does, what it never does, who may call it"})
	}
}
