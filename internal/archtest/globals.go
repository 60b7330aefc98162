package archtest

import (
	"go/ast"
	"go/token"
	"strings"
)

// checkGlobals lets package variables be errors, tables that nothing assigns,
// and embedded files; everything else is state that no caller can see.
func (t *tree) checkGlobals(p *pkg) {
	names := map[string]bool{}
	for _, f := range p.files {
		if f.test {
			continue
		}
		for _, decl := range f.syntax.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				t.checkGlobal(gen, spec.(*ast.ValueSpec), names)
			}
		}
	}
	for _, f := range p.files {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && !f.test {
				t.checkAssignments(fn, names)
			}
		}
	}
}

func (t *tree) checkGlobal(gen *ast.GenDecl, spec *ast.ValueSpec, names map[string]bool) {
	embedded := embeds(gen.Doc) || embeds(spec.Doc)
	for i, id := range spec.Names {
		names[id.Name] = true
		var value ast.Expr
		if i < len(spec.Values) {
			value = spec.Values[i]
		}
		isError := strings.HasPrefix(id.Name, "Err") || strings.HasPrefix(id.Name, "err")
		if id.Name == "_" || embedded || isError && value != nil || isTable(value) {
			continue
		}
		t.fail(id.Pos(), "global", "package variable %s is neither an error, a table nor an embedded file: pass it, or make it a field", id.Name)
	}
}

func embeds(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// isTable reports whether a value is written out in the source: a literal with
// elements, a conversion of one, or a constructor of something immutable.
func isTable(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CompositeLit:
		return len(v.Elts) > 0 && !strings.HasPrefix(typeName(v.Type), "sync.") && !strings.HasPrefix(typeName(v.Type), "atomic.")
	case *ast.CallExpr:
		if _, conversion := v.Fun.(*ast.ArrayType); conversion {
			return true
		}
		name := typeName(v.Fun)
		name = name[strings.LastIndex(name, ".")+1:]
		return strings.HasPrefix(name, "Must") || strings.HasPrefix(name, "must") || name == "NewReplacer" || name == "NewEncoding"
	case *ast.SelectorExpr, *ast.Ident:
		return false // another name for something: write that
	}
	return false
}

// typeName is "pkg.Name", "Name" or "".
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

// checkAssignments refuses what changes a package variable. A function that
// declares the same name itself is taken to mean its own.
func (t *tree) checkAssignments(fn *ast.FuncDecl, names map[string]bool) {
	own := declared(fn)
	refuse := func(e ast.Expr) {
		id := variable(e)
		if id != nil && names[id.Name] && id.Name != "_" && !own[id.Name] {
			t.fail(e.Pos(), "global", "package variable %s is changed here; a table is written once", id.Name)
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if n.Tok != token.DEFINE {
					refuse(e)
				}
			}
		case *ast.IncDecStmt:
			refuse(n.X)
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear" || f.Name == "copy") && len(n.Args) > 0 {
				refuse(n.Args[0])
			}
		}
		return true
	})
}

// variable is the identifier that an assignable expression begins with.
func variable(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// declared returns every name that a function declares anywhere in itself.
func declared(fn *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				own[id.Name] = true
			}
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					own[id.Name] = true
				}
			}
		}
		return true
	})
	return own
}
