package iketest

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRaceTable compares docs/races.md with the tests and scripts that there
// are, and its counts with its rows.
func TestRaceTable(t *testing.T) {
	doc, err := os.ReadFile(internalRoot + "/../docs/races.md")
	if err != nil {
		t.Fatal(err)
	}
	names := testNames(t)
	heading := regexp.MustCompile(`^## .* \((\d+)\)$`)
	script := regexp.MustCompile("`(\\w+)\\.(\\w+)(?:/(\\w+))?`")
	title, want, rows := "", 0, 0
	for line := range strings.SplitSeq(string(doc)+"\n## end (0)", "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			if rows != want {
				t.Errorf("%s: got %d rows, want %d", title, rows, want)
			}
			title, rows = line, 0
			want, _ = strconv.Atoi(m[1])
			continue
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| case |") {
			continue
		}
		rows++
		refs := script.FindAllStringSubmatch(line, -1)
		if len(refs) == 0 && !strings.Contains(line, "| cannot apply: ") {
			t.Errorf("%s: want a script, a test or a reason", line)
		}
		for _, m := range refs {
			if !names[m[1]+"."+m[2]] {
				t.Errorf("%s: there is no test %s.%s", line, m[1], m[2])
			}
			if m[3] == "" {
				continue
			}
			if _, err := os.Stat(scriptFile(m[1], m[3])); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}
