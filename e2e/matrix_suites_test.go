//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// A suiteCell is one tunnel with strongSwan whose suites are the matter.
type suiteCell struct {
	cell
	suites phases
}

// name is the cell's test.
func (c suiteCell) name() string {
	role := "responder"
	if c.initiate {
		role = "initiator"
	}
	return strings.ToLower(fmt.Sprintf("v%d-%s-%s-%s", c.version, role, c.suites.one.short(), c.suites.two.short()))
}

// short is a suite in few letters.
func (s suite) short() string {
	return fmt.Sprintf("%s-%s-%d", strings.TrimSuffix(s.encryption, "-16"), strings.TrimPrefix(s.integ, "SHA2-"), s.dh)
}

// suitesEnv is set to everySuite to run the product of all algorithms.
const (
	suitesEnv  = "SEIKAN_SUITES"
	everySuite = "all"
)

// The algorithms of vpn §2.1, for either phase.
var (
	suiteCiphers = []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}
	suiteIntegs  = []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}
)

// suiteCells are those that are asked for, in either version and role.
func suiteCells() (out []suiteCell) {
	of := somePhases
	if os.Getenv(suitesEnv) == everySuite {
		of = allPhases
	}
	for _, version := range []int{2, 1} {
		for _, initiate := range []bool{true, false} {
			for _, p := range of(version) {
				out = append(out, suiteCell{cell{peerStrongSwan, version, authPSK, initiate, true}, p})
			}
		}
	}
	return out
}

// suitesSaid says which they are.
func suitesSaid() string {
	if os.Getenv(suitesEnv) == everySuite {
		return "In each version and role every suite of AWS is there: in either phase every cipher with every integrity and every DH group"
	}
	return "In each version, role and phase every cipher of AWS stands beside every integrity, and every DH group is there (pairs, not the product of all three)"
}

// somePhases cover what vpn §2.1 lets one choose: in each phase every cipher
// with every integrity, and every DH group. It is no product of all: which group
// stands beside which cipher is arbitrary. IKEv1 has no AES-GCM in phase 1
// (RFC 2409 knows no cipher that protects integrity itself) and no X25519, which
// is beyond AWS anyway.
func somePhases(version int) (out []phases) {
	groups1 := []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 31}
	groups2 := []int{24, 31, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}
	for i := range 16 {
		first, second := i/4, i%4
		p := phases{
			one: suite{"", suiteCiphers[first], suiteIntegs[second], groups1[i%len(groups1)]},
			two: suite{"", suiteCiphers[second], suiteIntegs[(first+second)%4], groups2[i%len(groups2)]},
		}
		if version == 1 {
			p.one.encryption = suiteCiphers[first%2]
			p.one.dh, p.two.dh = min(p.one.dh, 24), min(p.two.dh, 24)
		}
		out = append(out, p)
	}
	return out
}

// allPhases are all suites of vpn §2.1, those of phase 1 beside those of phase 2
// as long as either has some that were not there. With AES-GCM integrity says
// nothing in phase 2, and in phase 1 which PRF there is.
func allPhases(version int) (out []phases) {
	groups := []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}
	var one, two []suite
	for _, group := range append([]int{5}, groups...) {
		for _, cipher := range suiteCiphers {
			gcm := strings.HasSuffix(cipher, "GCM-16")
			for i, integ := range suiteIntegs {
				s := suite{"", cipher, integ, group}
				if group != 5 && (version == 2 || !gcm) {
					one = append(one, s)
				}
				if i == 0 || !gcm {
					two = append(two, s)
				}
			}
		}
	}
	for i := range max(len(one), len(two)) {
		out = append(out, phases{one: one[i%len(one)], two: two[i%len(two)]})
	}
	return out
}

// runSuite moves data before and after both SAs were replaced, which makes
// phase 2's group count: the first CHILD SA of IKEv2 has no exchange of its own.
// Then it does what every cell does: dead peer detection asks and is answered,
// either end deletes, and at last the path is cut.
func (m *matrix) runSuite(t *testing.T, c suiteCell) {
	r := &trial{t: t, w: world.New(t), outcome: outcome{cell: c.cell, suites: c.suites}}
	begun := time.Now()
	defer func() {
		r.failed, r.took = t.Failed(), time.Since(begun)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.suites = append(m.suites, r.outcome)
	}()
	r.begin()
	r.move(megabyte)
	r.replaceBoth()
	r.move(megabyte)
	ike, esp := r.agreedSuites()
	r.idle()
	r.peerDeletes()
	r.weDelete()
	r.cut()
	r.ike, r.esp = ike, esp // those after the rekeys
}

// replaceBoth has us replace both SAs.
func (r *trial) replaceBoth() {
	r.t.Helper()
	for _, rekey := range []func(){r.ours.RekeyChild, r.ours.RekeyIKE} {
		old, err := r.ours.Current()
		if err != nil {
			r.t.Fatal(err)
		}
		rekey()
		r.w.Until("new SA", 20*time.Second, func() error {
			now, err := r.ours.Current()
			if err == nil && now == old {
				err = fmt.Errorf("still %v", old)
			}
			return err
		})
	}
}

// agreedSuites are those in use, which must have the groups of the cell.
func (r *trial) agreedSuites() (ike, esp string) {
	r.t.Helper()
	st, err := r.ours.Status()
	if err != nil || st.Child == nil {
		r.t.Fatalf("status: got %+v, %v, want a tunnel", st, err)
	}
	ike, esp = st.IKE.Suite, st.Child.Suite
	if want := fmt.Sprintf("/DH%d", r.suites.one.dh); !strings.HasSuffix(ike, want) {
		r.t.Errorf("suite of IKE: got %s, want it to end in %s", ike, want)
	}
	if want := fmt.Sprintf("/DH%d", r.suites.two.dh); !strings.HasSuffix(esp, want) {
		r.t.Errorf("suite of ESP: got %s, want it to end in %s", esp, want)
	}
	return ike, esp
}
