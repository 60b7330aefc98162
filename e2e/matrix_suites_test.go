//go:build e2e

package e2e

import (
	"fmt"
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

// suiteCells cover what vpn §2.1 lets one choose: in each version, role and
// phase every cipher with every integrity, and every DH group. It is no
// product of all: which group stands beside which cipher is arbitrary. IKEv1
// has no AES-GCM in phase 1 (RFC 2409 knows no cipher that protects integrity
// itself) and no X25519, which is beyond AWS anyway.
func suiteCells() (out []suiteCell) {
	ciphers := []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}
	integs := []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}
	groups1 := []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 31}
	groups2 := []int{24, 31, 2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}
	for _, version := range []int{2, 1} {
		for _, initiate := range []bool{true, false} {
			for i := range 16 {
				first, second := i/4, i%4
				p := phases{
					one: suite{"", ciphers[first], integs[second], groups1[i%len(groups1)]},
					two: suite{"", ciphers[second], integs[(first+second)%4], groups2[i%len(groups2)]},
				}
				if version == 1 {
					p.one.encryption = ciphers[first%2]
					p.one.dh, p.two.dh = min(p.one.dh, 24), min(p.two.dh, 24)
				}
				out = append(out, suiteCell{cell{peerStrongSwan, version, authPSK, initiate, true}, p})
			}
		}
	}
	return out
}

// runSuite moves data before and after both SAs were replaced, which makes
// phase 2's group count: the first CHILD SA of IKEv2 has no exchange of its own.
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
	for _, rekey := range []func(){r.ours.RekeyChild, r.ours.RekeyIKE} {
		old, err := r.ours.Current()
		if err != nil {
			t.Fatal(err)
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
	r.move(megabyte)
	st, err := r.ours.Status()
	if err != nil || st.Child == nil {
		t.Fatalf("status: got %+v, %v, want a tunnel", st, err)
	}
	r.ike, r.esp = st.IKE.Suite, st.Child.Suite
	if want := fmt.Sprintf("/DH%d", c.suites.one.dh); !strings.HasSuffix(r.ike, want) {
		t.Errorf("suite of IKE: got %s, want it to end in %s", r.ike, want)
	}
	if want := fmt.Sprintf("/DH%d", c.suites.two.dh); !strings.HasSuffix(r.esp, want) {
		t.Errorf("suite of ESP: got %s, want it to end in %s", r.esp, want)
	}
}
