package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

// root is this repository as seen from this package.
const root = "../.."

// smallPage is the page of a bad tree that brings none of its own.
const smallPage = `
<!-- archtest: layers -->

| layer | engines | shells | test only |
|---|---|---|---|
| 0 | ` + "`calm` | `low` `/files` | `helper` `helper/more`" + ` |
| 1 | | ` + "`mid` `peer` `/files2`" + ` | |
| 2 | | ` + "`high` `high/part` `door/part`" + ` | |

<!-- archtest: doors -->

| library | doors | why |
|---|---|---|
| ` + "`example.com/lib` | `mid` `door/…`" + ` | |
| ` + "`example.com/check`" + ` | | tests only |
`

func TestRepositoryKeepsItsRules(t *testing.T) {
	findings, err := Check(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Warning {
			t.Log(f)
		} else {
			t.Error(f)
		}
	}
}

// TestEveryGateRefusesItsBadTree proves the gates: each archive under
// testdata/bad is a tree whose comment lists, line by line, the position and
// rule of everything that must be found in it, and nothing else may be.
func TestEveryGateRefusesItsBadTree(t *testing.T) {
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("got %d archives, %v, want some", len(archives), err)
	}
	rules := map[string]bool{}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			tree, want := bad(t, name)
			findings, err := Check(tree)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				line := f.where() + ": " + f.Rule
				if f.Warning {
					line += " (warning)"
				}
				if f.Pos != Page { // rows without a package: most trees have few packages
					got = append(got, line)
				}
				rules[f.Rule] = true
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
	for _, rule := range []string{"layer", "table", "door", "testonly", "contract", "lines", "parameters", "fields",
		"methods", "init", "global", "suppression", "engine", "sleep", "skip"} {
		if !rules[rule] {
			t.Errorf("no bad tree proves the rule %q", rule)
		}
	}
}

// bad reads an archive. A line "repeat N TEXT" in a file stands for N lines of
// TEXT, so that trees with long files stay short.
func bad(t *testing.T, name string) (tree fs.FS, want []string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(archive.Comment)) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	files := fstest.MapFS{Page: {Data: []byte(smallPage)}}
	for _, f := range archive.Files {
		files[f.Name] = &fstest.MapFile{Data: expand(f.Data)}
	}
	return files, want
}

func expand(b []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if fields[0] != "repeat" {
			out.WriteString(line)
			continue
		}
		n := 0
		for _, digit := range fields[1] {
			n = 10*n + int(digit-'0')
		}
		out.WriteString(strings.Repeat(fields[2]+"\n", n))
	}
	return []byte(out.String())
}

func TestRowWithoutPackageIsFound(t *testing.T) {
	findings, err := Check(fstest.MapFS{Page: {Data: []byte(smallPage)}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(findings), 11; got != want {
		t.Errorf("got %d findings %v, want %d: one for each row", got, findings, want)
	}
}

func TestMalformedPageIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no marker":        "| 0 | `a` | | |",
		"too few cells":    "<!-- archtest: layers -->\n| layer |\n|---|\n| 0 | `a` |\n",
		"layer not number": "<!-- archtest: layers -->\n| layer |\n|---|\n| low | `a` | | |\n",
		"package twice":    "<!-- archtest: layers -->\n| layer |\n|---|\n| 0 | `a` | `a` | |\n",
		"no doors":         "<!-- archtest: layers -->\n| layer |\n|---|\n| 0 | `a` | | |\n",
		"empty table":      "<!-- archtest: layers -->\n| layer |\n|---|\n",
		"two libraries":    strings.Replace(smallPage, "`example.com/lib`", "`example.com/lib` `x.com/y`", 1),
	} {
		if _, err := Check(fstest.MapFS{Page: {Data: []byte(text)}}); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}
