package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// checkBudgets measures files, functions, structs, interfaces and parameters.
func (t *tree) checkBudgets(f *file) {
	t.limit(f.syntax.Package, budget{"lines", 400, 700}, f.lines, f.path)
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			lines := t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
			t.limit(n.Pos(), budget{"lines", 70, 100}, lines, "function "+n.Name.Name)
			if n.Name.Name == "init" && n.Recv == nil {
				t.fail(n.Pos(), "init", "no init function: what has to happen first is called by name")
			}
			t.limit(n.Pos(), budget{"parameters", 5, 5}, n.Type.Params.NumFields(), "function "+n.Name.Name)
		case *ast.TypeSpec:
			switch typ := n.Type.(type) {
			case *ast.StructType:
				t.limit(n.Pos(), budget{"fields", 20, 20}, typ.Fields.NumFields(), "struct "+n.Name.Name)
			case *ast.InterfaceType:
				t.limit(n.Pos(), budget{"methods", 5, 5}, methods(typ), "interface "+n.Name.Name)
			}
		}
		return true
	})
}

// methods counts the methods that an interface names; an interface embedded in
// it counts as one, a set of types as none.
func methods(typ *ast.InterfaceType) (n int) {
	for _, field := range typ.Methods.List {
		switch field.Type.(type) {
		case *ast.FuncType, *ast.Ident, *ast.SelectorExpr:
			n++
		}
	}
	return n
}

// checkSuppressions refuses comments that switch a linter off.
func (t *tree) checkSuppressions(f *file) {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			for _, mark := range []string{"//no" + "lint", "// no" + "lint", "//lint:" + "ignore", "//lint:" + "file-ignore"} {
				if strings.HasPrefix(c.Text, mark) {
					t.fail(c.Pos(), "suppression", "mend what the linter says instead")
				}
			}
		}
	}
}

// forbidden are the calls that make an engine depend on more than its
// arguments: "*" stands for every exported function.
var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"},
	"fmt":  {"Print", "Printf", "Println"},
	"os":   {"*"},
	"log":  {"*"},
}

// checkEngine refuses clocks, printing and the environment where the table, or
// the package's own comment, says that there is none.
func (t *tree) checkEngine(p *pkg, f *file) {
	if t.page.rows[p.name()].kind != engine && !saysPure(p) {
		return
	}
	eachSelector(f, func(sel *ast.SelectorExpr, from string) {
		for _, name := range forbidden[from] {
			if name == "*" || name == sel.Sel.Name {
				t.fail(sel.Pos(), "engine", "an engine must not use %s.%s: take the time, the text or the value as an argument", from, sel.Sel.Name)
			}
		}
	})
}

// saysPure reports whether the package's comment claims that it "is pure".
func saysPure(p *pkg) bool {
	for _, f := range p.files {
		text := strings.Join(strings.Fields(f.syntax.Doc.Text()), " ")
		if !f.test && strings.Contains(text, " is pure") {
			return true
		}
	}
	return false
}

// checkTestCalls refuses tests that sleep or that do not run.
func (t *tree) checkTestCalls(f *file) {
	var bubbles []ast.Node // calls of synctest, in which a sleep takes no time
	eachSelector(f, func(sel *ast.SelectorExpr, from string) {
		if from == "testing/synctest" {
			bubbles = append(bubbles, around(f, sel))
		}
		inBubble := slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= sel.Pos() && sel.End() <= b.End() })
		if from == "time" && sel.Sel.Name == "Sleep" && !inBubble {
			t.fail(sel.Pos(), "sleep", "a test waits for what it expects, or runs in a synctest bubble; it does not sleep")
		}
	})
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if ok && (sel.Sel.Name == "Skip" || sel.Sel.Name == "Skipf" || sel.Sel.Name == "SkipNow") {
			t.fail(sel.Pos(), "skip", "a test that is skipped proves nothing; make what it needs, or fail with what is missing")
		}
		return true
	})
}

// around finds the call whose function sel is; sel itself if there is none.
func around(f *file, sel *ast.SelectorExpr) (found ast.Node) {
	found = sel
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && call.Fun == sel {
			found = call
		}
		return true
	})
	return found
}

// eachSelector calls do for every x.Name where x is an imported package of the
// standard library; from is that package's path.
func eachSelector(f *file, do func(sel *ast.SelectorExpr, from string)) {
	names := map[string]string{}
	for _, spec := range f.imports() {
		target := importPath(spec)
		name := target[strings.LastIndex(target, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = target
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && names[id.Name] != "" && token.IsExported(sel.Sel.Name) {
				do(sel, names[id.Name])
			}
		}
		return true
	})
}
