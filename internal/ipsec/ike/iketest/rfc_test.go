package iketest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// internalRoot is the folder of all packages, from this one.
const internalRoot = "../../.."

// testNames are the tests and fuzz targets under internal, as package.Name.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(internalRoot, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			names[filepath.Base(filepath.Dir(path))+"."+string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// scriptFile is where a script of a package is: those of ikev1 and ikev2 have a
// rogue end.
func scriptFile(pkg, name string) string {
	folders := map[string]string{"iketest": "testdata/", "ikev2": "../ikev2/testdata/rogue/", "ikev1": "../ikev1/testdata/rogue/"}
	return folders[pkg] + name + ".txt"
}

func TestEveryTestNamedInTheRFCTableExists(t *testing.T) {
	doc, err := os.ReadFile(internalRoot + "/../docs/rfc.md")
	if err != nil {
		t.Fatal(err)
	}
	names := testNames(t)
	named := regexp.MustCompile("`((\\w+)\\.(?:Test|Fuzz)\\w+)(?:/(\\w+))?`").FindAllStringSubmatch(string(doc), -1)
	if len(named) < 50 {
		t.Fatalf("got %d tests named in docs/rfc.md, want at least 50: has its form changed?", len(named))
	}
	for _, m := range named {
		if !names[m[1]] {
			t.Errorf("docs/rfc.md names %s, which does not exist", m[1])
		}
		if m[3] == "" {
			continue
		}
		if _, err := os.Stat(scriptFile(m[2], m[3])); err != nil {
			t.Errorf("docs/rfc.md names the script %s: %v", m[3], err)
		}
	}
}

func TestEveryScriptServesTheRFCTable(t *testing.T) {
	doc, err := os.ReadFile(internalRoot + "/../docs/rfc.md")
	if err != nil {
		t.Fatal(err)
	}
	races, err := os.ReadFile(internalRoot + "/../docs/races.md")
	if err != nil {
		t.Fatal(err)
	}
	doc = append(doc, races...)
	// These show what no clause of the RFC asks for.
	own := map[string]bool{"both_initiate": true, "esn": true, "malformed": true}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		if strings.Contains(string(doc), "`iketest.TestScripts/"+name+"`") == own[name] {
			t.Errorf("%s: named in docs/rfc.md: %v; want the other", name, !own[name])
		}
	}
}
