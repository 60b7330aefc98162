package iketest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// storms is how many storms each script of a race sees; docs/races.md says
// after how many it was last known to hold.
var storms = flag.Int("storms", 15, "bad wires for each script")

// inStorm are the scripts whose ends are both up when all is over.
var inStorm = regexp.MustCompile(`^(race|cross|collide|followup|rekey|both_initiate|impair_(dup|replay)|v1_(rekey|collide|impair|lifetimes|both_initiate)|lifetimes|retransmit|mobike_twice|mlkem_loss)`)

// TestRacesOnABadWire plays what the ends do in each script of a race on wires
// that lose, repeat and reorder at random: whatever was lost on the way, both
// ends are left with one IKE SA and one CHILD SA, the same ones.
func TestRacesOnABadWire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if !inStorm.MatchString(name) || name == "cross_interleaved_delete" {
			continue // the last ends with one end closed for good
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			all := stories(script)
			for seed := range *storms {
				storm(t, all[seed%len(all)], uint64(seed))
			}
		})
	}
}

// stories are the blocks of a script, those together that are about one pair.
func stories(s Script) []Block {
	var out []Block
	for _, b := range s.Blocks {
		begins := slices.ContainsFunc(b.Commands, func(line string) bool { return strings.HasPrefix(line, "pair") })
		if begins {
			out = append(out, Block{})
		}
		last := &out[len(out)-1]
		last.Commands = append(last.Commands, b.Commands...)
	}
	return out
}

// storm plays one block in the weather of one seed.
func storm(t *testing.T, b Block, seed uint64) {
	t.Helper()
	b.Commands = slices.Clone(b.Commands)
	for i, line := range b.Commands {
		if strings.HasPrefix(line, "pair") {
			b.Commands[i] = fmt.Sprintf("%s a.flag=restart a.seed=%d b.seed=%d", line, seed%251, (seed+7)%251)
		}
	}
	r := rand.New(rand.NewPCG(seed, 2))
	n, err := b.Storm(makePair, Weather{Rand: r, Loss: 0.35 * r.Float64()})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	checkUp(t, n)
	for _, e := range n.Ends {
		k, ok := e.Machine.(Kept)
		if !ok {
			continue
		}
		if ikes, children := k.Kept(); ikes != 1 || children != 1 {
			t.Errorf("%s holds %d IKE SAs and %d CHILD SAs, want one of each", e.Name, ikes, children)
		}
	}
	if a, b := n.Ends[0].Machine.State(), n.Ends[1].Machine.State(); a.SPIi != b.SPIi || a.SPIr != b.SPIr {
		t.Errorf("a is on IKE SA %016x %016x, b on %016x %016x", a.SPIi, a.SPIr, b.SPIi, b.SPIr)
	}
	if t.Failed() {
		t.Fatalf("seed %d:\n%s", seed, n.Log.String())
	}
}
