package conffile

import (
	"reflect"
	"strings"
	"testing"
)

func TestNotesStandAboveTheirKeysAndChangeNothing(t *testing.T) {
	f, err := Parse([]byte(minimal), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Annotate(f, []Note{{"", "At the top.\nTwo lines."}, {"tunnels.1.phase1", "Of phase 1."}, {"tunnels.0.outside.local_id", "Who we are."}, {"tunnels.1.phase1", "And more."}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{header + "# At the top.\n# Two lines.\n", "    # Of phase 1.\n    # And more.\n    phase1:\n", "      # Who we are.\n      local_id: 198.51.100.2\n"} {
		if strings.Count(string(b), want) != 1 {
			t.Errorf("got\n%s\nwant it to have once\n%s", b, want)
		}
	}
	if again, err := Parse(b, t.TempDir()); err != nil || !reflect.DeepEqual(again, f) {
		t.Errorf("read back: got %+v, %v, want %+v", again, err, f)
	}
	for _, key := range []string{"tunnels.2.phase1", "tunnels.x", "name.first", "nothing"} {
		if _, err := Annotate(f, []Note{{key, "x"}}); err == nil || !strings.Contains(err.Error(), "there is no "+key) {
			t.Errorf("%s: got %v, want a refusal", key, err)
		}
	}
}

func TestOurFileInJSONIsClaimed(t *testing.T) {
	for text, want := range map[string]bool{`{"name": "a", "tunnels" : []}`: true, `{"VpnConnections": []}`: false, `{"Tags": [{"Key": "tunnels"}]}`: false} {
		if got := Claims([]byte(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
