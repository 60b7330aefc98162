package iketest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// mortalPair is a pair whose ends can be killed and go on.
func mortalPair(t testing.TB, seed byte, change func(*policy.Config)) *Net {
	t.Helper()
	configs := [2]policy.Config{config(0, seed), config(1, seed)}
	var machines [2]Machine
	for i := range configs {
		if change != nil {
			change(&configs[i])
		}
		m, err := ikev2.New(configs[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		machines[i] = m
	}
	n := NewNet(start, machines[0], machines[1])
	lives := byte(0)
	n.Revive = func(i int, state secret.Secret) (Machine, error) {
		c := configs[i]
		lives++
		c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i), seed, lives})
		return ikev2.Restore(c, nil, n.Now, state)
	}
	return n
}

// checkNothingRepeats fails if two different messages were sent on one IKE SA
// with the same message id in the same direction, or with the same counted IV.
func checkNothingRepeats(t testing.TB, n *Net) {
	t.Helper()
	checkRepeats(t, n, "message id", "IV")
}

// checkRepeats is checkNothingRepeats for some of what must not.
func checkRepeats(t testing.TB, n *Net, kinds ...string) {
	t.Helper()
	type key struct {
		from int
		kind string
		id   [24]byte
	}
	seen := map[key][]byte{}
	for _, p := range n.Sent {
		if len(p.Data) < ike.HeaderLen+12 || p.Data[18] == 34 { // keepalive, IKE_SA_INIT
			continue
		}
		id, iv := key{from: p.From, kind: "message id"}, key{from: p.From, kind: "IV"}
		copy(id.id[:], p.Data[:16])
		copy(id.id[16:], []byte{p.Data[19], p.Data[20], p.Data[21], p.Data[22], p.Data[23]})
		copy(iv.id[:], p.Data[:16])
		copy(iv.id[16:], p.Data[ike.HeaderLen+4:][:8])
		for _, k := range []key{id, iv} {
			if before, ok := seen[k]; ok && !bytes.Equal(before, p.Data) && slices.Contains(kinds, k.kind) {
				t.Errorf("end %d: two messages have %s %x", k.from, k.kind, k.id)
			}
			seen[k] = p.Data
		}
	}
}

// steps counts the steps and the rekeys of a whole story, by end.
func steps(t testing.TB, pairOf func() *Net) (count [2]int, rekeys [2]uint64) {
	t.Helper()
	n := pairOf()
	n.Crash = func(i int) Moment { count[i]++; return Never }
	tellCalmly(n)
	checkUp(t, n)
	return count, rekeysOf(n)
}

// tellCalmly plays the story, each event once that before it is over, whatever
// had to be sent again.
func tellCalmly(n *Net) {
	for _, s := range story {
		n.Step(s.end, s.ev)
		n.Wait(3 * time.Second)
	}
	n.Wait(8 * time.Second)
}

func rekeysOf(n *Net) [2]uint64 {
	return [2]uint64{n.Ends[0].Machine.State().Rekeys, n.Ends[1].Machine.State().Rekeys}
}

// TestMachineKilledAtAnyPointGoesOn kills each end at each step of a life with
// every kind of rekey, before and after it has sent. Nobody may notice: the
// IKE SAs are those of the undisturbed life, and nothing repeats.
func TestMachineKilledAtAnyPointGoesOn(t *testing.T) {
	for _, c := range []struct {
		name   string
		stride int // every so many steps one is tried
		change func(*policy.Config)
	}{
		{"pfs", 1, nil},
		{"no pfs", 1, func(c *policy.Config) { c.ESP = []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128}} }},
		{"modp", 5, func(c *policy.Config) { c.IKE[0].Group, c.ESP[0].Group = 14, 14 }},
	} {
		pairOf := func() *Net { return mortalPair(t, 0, c.change) }
		count, rekeys := steps(t, pairOf)
		for end := range 2 {
			for _, moment := range []Moment{BeforeSend, AfterSend} {
				killed := 0
				for k := 0; k < count[end]; k += c.stride {
					n := pairOf()
					at := 0
					n.Crash = func(i int) Moment {
						if i != end {
							return Never
						}
						if at++; at != k+1 || n.Ends[i].Kept.IsZero() {
							return Never
						}
						killed++
						return moment
					}
					tellCalmly(n)
					checkUp(t, n)
					checkNothingRepeats(t, n)
					if got := attempts(n); got != 1 {
						t.Errorf("got %d IKE SAs negotiated, want 1", got)
					}
					if got := rekeysOf(n); got != rekeys {
						t.Errorf("got %d rekeys, want %d as without the crash", got, rekeys)
					}
					if t.Failed() {
						t.Fatalf("%s: end %d killed in step %d, moment %d:\n%s", c.name, end, k+1, moment, n.Log.String())
					}
				}
				if least := 10 / c.stride; killed < least {
					t.Errorf("%s: end %d, moment %d: killed %d times, want %d and more", c.name, end, moment, killed, least)
				}
			}
		}
	}
}

// attempts counts the IKE SAs begun by IKE_SA_INIT.
func attempts(n *Net) int {
	seen := map[string]bool{}
	for _, p := range n.Sent {
		if len(p.Data) >= ike.HeaderLen && p.Data[18] == 34 && p.From == 0 {
			seen[string(p.Data[:8])] = true
		}
	}
	return len(seen)
}

// TestMachinesKilledOverAndOverUnderLossGoOn kills at random while messages are
// lost.
func TestMachinesKilledOverAndOverUnderLossGoOn(t *testing.T) {
	for seed := range byte(40) {
		// Killed before its peer has the answer to IKE_AUTH, a responder asks
		// somebody who does not know it yet; then the initiator begins anew.
		n := mortalPair(t, seed, func(c *policy.Config) { c.Restart, c.Tuning.RestartMax = c.Initiator, time.Second })
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		killed := 0
		n.Crash = func(i int) Moment {
			if n.Ends[i].Kept.IsZero() || r.IntN(8) > 0 || killed > 200 {
				return Never
			}
			killed++
			return Moment(1 + r.IntN(2))
		}
		tell(n, func(int) bool { return r.IntN(10) == 0 })
		n.Crash = nil
		n.Wait(time.Minute)
		checkNothingRepeats(t, n)
		if err := n.Traffic(); err != nil || n.Err() != nil {
			t.Errorf("traffic: %v, net: %v", err, n.Err())
		}
		if t.Failed() {
			t.Fatalf("seed %d, killed %d times:\n%s", seed, killed, n.Log.String())
		}
	}
}

// TestCompleteStateIsTheSameAfterARestart exports what was restored: nothing may
// get lost on the way, or a second restart would go on with less.
func TestCompleteStateIsTheSameAfterARestart(t *testing.T) {
	n := mortalPair(t, 3, nil)
	tell(n, func(int) bool { return false })
	for i, e := range n.Ends {
		m, err := n.Revive(i, e.Kept)
		if err != nil {
			t.Fatal(err)
		}
		again, ok := m.(ike.Exporter).Export()
		if !ok || len(again.Reveal()) != e.Kept.Len() {
			t.Errorf("%s: got %d octets, ok %v, want %d", e.Name, again.Len(), ok, e.Kept.Len())
		}
		if got, want := fmt.Sprint(m.State().SPIi), fmt.Sprint(e.Machine.State().SPIi); got != want {
			t.Errorf("%s: SPI %s, want %s", e.Name, got, want)
		}
	}
}

// TestEndThatHasLostCountAgreesOnMessageIDsAnew gives an end a state that lies
// some exchanges back, as a cluster's other member may have it. It is not
// answered any more, until both agree on message ids (RFC 6311).
func TestEndThatHasLostCountAgreesOnMessageIDsAnew(t *testing.T) {
	for end := range 2 {
		agreed := 0
		for behind := range 12 {
			n := mortalPair(t, 1, func(c *policy.Config) { c.Extensions.NoMessageIDSync = false })
			n.Step(0, ike.Initiate{})
			n.Run()
			old := n.Ends[end].Kept
			for i := range behind { // exchanges of both ends, half of each
				n.Step(i%2, ike.RekeyChild{})
				n.Wait(6 * time.Second)
			}
			n.Ends[end].Kept = old
			if behind == 0 {
				n.Ends[end].Kept = secretOf(n.Ends[end])
			}
			n.Restart(end)
			n.Wait(10 * time.Second)
			if got := attempts(n); got != 1 {
				t.Errorf("end %d, %d exchanges behind: got %d IKE SAs negotiated, want 1:\n%s", end, behind, got, n.Log.String())
			}
			for i, e := range n.Ends {
				if got := e.Machine.State().Phase; got == ike.Failed || got == ike.Idle {
					t.Errorf("end %d, %d exchanges behind: end %d is %v:\n%s", end, behind, i, got, n.Log.String())
				}
			}
			agreed += strings.Count(n.Log.String(), "INFORMATIONAL response 0 {N(IKEV2_MESSAGE_ID_SYNC)}")
			// Ids repeat: that the one end does not know what it used is the point.
			checkRepeats(t, n, "IV")
		}
		if agreed < 10 {
			t.Errorf("end %d: message ids were agreed on %d times, want 10 and more", end, agreed)
		}
	}
}

func secretOf(e *End) secret.Secret {
	state, _ := e.Machine.(ike.Exporter).Export()
	return secret.New(state.Reveal())
}
