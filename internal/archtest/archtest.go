// Package archtest holds the repository to docs/ARCHITECTURE.md.
//
// Check reads the tables of that page and every Go file of a tree, and reports
// what breaks a rule: imports that point up or sideways, a library outside its
// door, a missing contract, an exceeded budget, global state, a clock in an
// engine, a test that sleeps. It only parses; it neither builds nor runs
// anything. Its own tests are its only caller.
package archtest

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module that is checked.
const Module = "seikan"

// Page is where the tables stand, from the root of the tree.
const Page = "docs/ARCHITECTURE.md"

// A Finding is one breach of a rule, or with Warning set one that is near.
type Finding struct {
	Pos     string // file or folder, from the root of the tree
	Line    int    // in the file, from 1; 0 when the whole of it is meant
	Rule    string // one word, such as "layer"
	Text    string // what is wrong and what to do
	Warning bool
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.where(), f.Rule, f.Text) }

func (f Finding) where() string {
	if f.Line == 0 {
		return f.Pos
	}
	return fmt.Sprintf("%s:%d", f.Pos, f.Line)
}

// Check applies every rule to the tree and returns the findings in the order of
// their positions. The error is that of reading or parsing.
func Check(tree fs.FS) ([]Finding, error) {
	t, err := load(tree)
	if err != nil {
		return nil, err
	}
	for _, pkg := range t.packages {
		t.checkPlace(pkg)
		t.checkComment(pkg)
		t.checkGlobals(pkg)
		for _, f := range pkg.files {
			t.checkImports(pkg, f)
			t.checkSuppressions(f)
			if f.test {
				t.checkTestCalls(f)
				continue
			}
			t.checkEngine(pkg, f)
			if !ast.IsGenerated(f.syntax) {
				t.checkBudgets(f)
			}
		}
	}
	t.checkRows()
	slices.SortStableFunc(t.findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Pos, b.Pos), cmp.Compare(a.Line, b.Line))
	})
	return t.findings, nil
}

// A tree is what the rules look at.
type tree struct {
	page     page
	fset     *token.FileSet
	packages []*pkg
	findings []Finding
}

// A pkg is one folder with Go files.
type pkg struct {
	dir   string // from the root: "internal/ipsec/esp"
	files []*file
}

// name is how the tables call the package.
func (p *pkg) name() string { return tableName(p.dir) }

// tableName is a folder as the tables write it: without internal/, or with a
// slash before it when it lies elsewhere.
func tableName(dir string) string {
	if name, inside := strings.CutPrefix(dir, "internal/"); inside {
		return name
	}
	return "/" + dir
}

// testOnly reports whether nothing but tests may import the package: the table
// says so, or it belongs to e2e.
func (t *tree) testOnly(p *pkg) bool {
	return t.page.rows[p.name()].kind == testOnly || p.dir == "e2e" || strings.HasPrefix(p.dir, "e2e/")
}

type file struct {
	path   string
	test   bool
	lines  int
	syntax *ast.File
}

// imports returns the paths that f imports, with their positions.
func (f *file) imports() (out []ast.ImportSpec) {
	for _, spec := range f.syntax.Imports {
		out = append(out, *spec)
	}
	return out
}

func load(root fs.FS) (*tree, error) {
	text, err := fs.ReadFile(root, Page)
	if err != nil {
		return nil, err
	}
	t := &tree{fset: token.NewFileSet()}
	if t.page, err = parsePage(string(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", Page, err)
	}
	byDir := map[string]*pkg{}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name() == "testdata" || d.Name() == "bin" || d.Name()[0] == '.' || d.Name()[0] == '_'):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		f, err := t.parse(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walked
		}
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
			t.packages = append(t.packages, byDir[dir])
		}
		byDir[dir].files = append(byDir[dir].files, f)
		return nil
	})
	return t, err
}

func (t *tree) parse(root fs.FS, name string) (*file, error) {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{path: name, test: strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(string(src), "\n"), syntax: syntax}, nil
}

// importPath is the unquoted path of an import.
func importPath(spec ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// fail reports a breach at a position.
func (t *tree) fail(at token.Pos, rule, format string, args ...any) {
	p := t.fset.Position(at)
	t.findings = append(t.findings, Finding{Pos: p.Filename, Line: p.Line, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// A budget is a number that must not be passed, and one that had better not be.
type budget struct {
	rule       string
	soft, hard int
}

// limit reports when got is over the hard limit, or over the soft one as a
// warning.
func (t *tree) limit(at token.Pos, b budget, got int, what string) {
	switch {
	case got > b.hard:
		t.fail(at, b.rule, "%s has %d %s, at most %d are allowed", what, got, b.rule, b.hard)
	case got > b.soft:
		t.fail(at, b.rule, "%s has %d %s, better at most %d", what, got, b.rule, b.soft)
		t.findings[len(t.findings)-1].Warning = true
	}
}
