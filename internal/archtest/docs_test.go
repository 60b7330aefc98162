package archtest

import (
	"go/ast"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// testName is a test, fuzz target or benchmark as a page names it.
var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9_]*`)

// TestPagesNameTestsThatExist reads every page and demands that each test
// named there is in the tree.
func TestPagesNameTestsThatExist(t *testing.T) {
	tree, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, p := range tree.packages {
		for _, f := range p.files {
			for _, decl := range f.syntax.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && f.test {
					have[fn.Name.Name] = true
				}
			}
		}
	}
	pages := 0
	err = fs.WalkDir(os.DirFS(root), "docs", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".md") {
			return err
		}
		pages++
		b, err := fs.ReadFile(os.DirFS(root), name)
		for n, line := range strings.Split(string(b), "\n") {
			for _, test := range testName.FindAllString(line, -1) {
				if !have[test] {
					t.Errorf("%s:%d: there is no test %s", name, n+1, test)
				}
			}
		}
		return err
	})
	if err != nil || pages < 3 {
		t.Errorf("got %d pages, %v, want at least 3", pages, err)
	}
}
