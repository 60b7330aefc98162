package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReadmeCommandsExist reads the shell blocks of the pages for users and
// demands that make has each target and the binary each verb they show.
func TestReadmeCommandsExist(t *testing.T) {
	targets, verbs := makeTargets(t), cliVerbs(t)
	checked := 0
	for _, page := range []string{"README.md", "docs/contributing.md"} {
		for _, line := range shellLines(t, page) {
			words := strings.Fields(line)
			switch {
			case words[0] == "make":
				for _, w := range words[1:] {
					if !strings.Contains(w, "=") && !targets[w] {
						t.Errorf("%s: %q: the Makefile has no target %s", page, line, w)
					}
				}
			case strings.HasSuffix(words[0], "seikan") && len(words) > 1:
				use, known := verbs[words[1]]
				if !known {
					t.Errorf("%s: %q: the command line has no verb %s", page, line, words[1])
				}
				// What follows a verb is a verb, too, or an argument of its.
				if len(words) > 2 && words[2][0] != '-' && len(use) == 1 && verbs[words[2]] == nil {
					t.Errorf("%s: %q: %s has no verb %s", page, line, words[1], words[2])
				}
			default:
				continue
			}
			checked++
		}
	}
	if checked < 5 {
		t.Errorf("got %d commands in the pages' sh blocks, want at least 5", checked)
	}
}

// shellLines returns the commands of a page's sh blocks: no comments, no
// output, sudo and variables in front taken away.
func shellLines(t *testing.T, page string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
		if strings.HasPrefix(line, "```") {
			inside = line == "```sh"
			continue
		}
		for _, command := range strings.Split(line, "&&") {
			command = strings.TrimPrefix(strings.TrimSpace(command), "sudo ")
			if inside && command != "" && command[0] != '#' {
				lines = append(lines, command)
			}
		}
	}
	return lines
}

func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9]+):`).FindAllStringSubmatch(string(b), -1) {
		targets[m[1]] = true
	}
	return targets
}

// cliVerbs finds the verbs in the command line's package, the first words of
// all Use fields and of texts given to a function that makes a command, with
// all words of these.
func cliVerbs(t *testing.T) map[string][]string {
	t.Helper()
	verbs := map[string][]string{}
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if use, err := strconv.Unquote(lit.Value); err == nil && use != "" {
				words := strings.Fields(use)
				verbs[words[0]] = words
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "internal/cli/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files, %v, want the command line's", len(files), err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Use" {
					add(n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && strings.HasPrefix(f.Name, "new") && len(n.Args) > 1 {
					add(n.Args[1]) // after the streams
				}
			}
			return true
		})
	}
	return verbs
}
