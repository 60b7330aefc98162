package iketest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFailuresSayWhatToDo reads every script's lines about a negotiation that
// failed: each says what to change at one of the ends or where to look, unless the
// peer has made a mistake that no option of anybody mends, or is only busy.
func TestFailuresSayWhatToDo(t *testing.T) {
	failure := regexp.MustCompile(`notice: (?:negotiation failed|no CHILD SA|peer's \S+(?: mode)? is refused|(?:CHILD|IKE) SA could not be rekeyed) reason="(.*)"$`)
	cure := regexp.MustCompile(`[:;,(] ?(?:or |and |so )?(?:add|set|make|let|check|see|configure|renew|issue|use|have|leave that out)\b|it must offer one of|our local identity$`)
	peersFault := regexp.MustCompile(`malformed: payload|key exchange value is not valid|sends no key exchange value|makes no sense|TEMPORARY_FAILURE|no longer knows the CHILD SA|asks for no CHILD SA` +
		`|not of the group it chose|STATE_NOT_FOUND|at the same time wins|has deleted the CHILD SA already`)
	var files []string
	for _, pattern := range []string{"testdata/*.txt", "../ikev1/testdata/rogue/*.txt", "../ikev2/testdata/rogue/*.txt"} {
		some, err := filepath.Glob(pattern)
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: got %v, %v, want scripts", pattern, some, err)
		}
		files = append(files, some...)
	}
	read := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			m := failure.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			read++
			if !cure.MatchString(m[1]) && !peersFault.MatchString(m[1]) {
				t.Errorf("%s: %q does not say what to do", file, m[1])
			}
		}
	}
	if read < 100 {
		t.Errorf("got %d failures in all scripts, want at least 100: has their form changed?", read)
	}
}
