package device

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seikan/internal/ipsec/ike/suite"
)

// A phase is what a template writes of the suites of one phase, in the
// device's words.
type phase struct {
	Suites []algorithms
	// Proposals are the suites as lists: one for AES-GCM and one for the rest,
	// since integrity goes with the latter only.
	Proposals []proposal
	// Lifetime is the end of an SA; Rekey is when the device renews it, before the
	// other end would, or up to Rand earlier, at random, which is Fuzz percent of the
	// margin between the two. In seconds.
	Lifetime, Rekey, Rand, Fuzz int
}

// algorithms are one suite. With AEAD Integrity is the word of the PRF's hash.
type algorithms struct {
	AEAD                         bool
	Encryption, Integrity, Group string
	// AWS are the names that AWS has for the three.
	AWS choice
}

// A proposal is all suites that are alike in AEAD.
type proposal struct {
	AEAD                            bool
	Encryption, Integrity, Group    []string
	N                               int // 1 or 2
	FirstIntegrity, FirstEncryption string
}

// A choice is a suite by AWS's names. Integrity is empty for AES-GCM in phase 2.
type choice struct {
	Encryption, Integrity string
	Group                 int
}

func (c choice) aead() bool { return strings.Contains(c.Encryption, "GCM") }

// preferred are all names, the better first: AES-GCM is fast, the curves are, and
// SHA2-256 is what everybody has.
func preferred() (encryption, integrity []string, groups []int) {
	return []string{"AES256-GCM-16", "AES128-GCM-16", "AES256", "AES128"},
		[]string{"SHA2-256", "SHA2-384", "SHA2-512", "SHA1"},
		[]int{20, 19, 21, 14, 15, 16, 17, 18, 24, 23, 22, 5, 2}
}

func (c choice) compare(d choice) int {
	encryption, integrity, groups := preferred()
	for _, n := range []int{
		// A strong group and integrity go before a fast cipher.
		slices.Index(groups, c.Group)/weakGroups - slices.Index(groups, d.Group)/weakGroups,
		slices.Index(integrity, c.Integrity)/weakIntegrity - slices.Index(integrity, d.Integrity)/weakIntegrity,
		slices.Index(encryption, c.Encryption) - slices.Index(encryption, d.Encryption),
		slices.Index(groups, c.Group) - slices.Index(groups, d.Group),
		slices.Index(integrity, c.Integrity) - slices.Index(integrity, d.Integrity),
	} {
		if n != 0 {
			return n
		}
	}
	return 0
}

// Where the weak begin in the lists of preferred.
const (
	weakGroups    = 8
	weakIntegrity = 3
)

// phase1Of and phase2Of are the suites of a tunnel that AWS's names can express.
func phase1Of(list []suite.IKE) (out []choice) {
	for _, s := range list {
		if s.AddKE != (suite.MoreKE{}) {
			continue
		}
		c := choice{Encryption: s.EncrKey().String(), Integrity: s.Integ.String(), Group: int(s.Group)}
		if s.Encr.AEAD() {
			c.Integrity = strings.TrimPrefix(s.PRF.String(), "PRF-")
		}
		out = append(out, c)
	}
	return out
}

func phase2Of(list []suite.ESP) (out []choice) {
	for _, s := range list {
		if s.AddKE != (suite.MoreKE{}) {
			continue
		}
		c := choice{Encryption: suite.EncrKey{Encr: s.Encr, KeyBits: s.KeyBits}.String(), Integrity: s.Integ.String(), Group: int(s.Group)}
		if s.Encr.AEAD() {
			c.Integrity = ""
		}
		out = append(out, c)
	}
	return out
}

// mostGroups bounds the groups that are offered where it is not known which are
// allowed. The first message must fit into a packet, since fragments of it are lost on
// the way to many (vpn §9), and in IKEv1 each suite is a part of its own.
func mostGroups(version int) int {
	if version == 1 {
		return 4
	}
	return 6
}

// few keeps the suites of the first groups, at most.
func few(can []choice, most int) []choice {
	var groups []int
	for _, c := range can {
		if !slices.Contains(groups, c.Group) && len(groups) < most {
			groups = append(groups, c.Group)
		}
	}
	return slices.DeleteFunc(can, func(c choice) bool { return !slices.Contains(groups, c.Group) })
}

// choose keeps what the device can do, best first: one suite where that is enough
// or all that it takes, otherwise those of the best groups.
func (w words) choose(offered []choice, one bool, groups int) (phase, error) {
	var can []choice
	for _, c := range offered {
		if w.Encryption[c.Encryption] != "" && (c.Integrity == "" || w.Integrity[c.Integrity] != "") && w.Groups[strconv.Itoa(c.Group)] != "" {
			can = append(can, c)
		}
	}
	slices.SortFunc(can, choice.compare)
	can = slices.Compact(can)
	if len(can) == 0 {
		if len(offered) == 0 {
			return phase{}, errors.New("the connection allows no suite that is not weak, of AWS's or with this version of IKE; allow one in the tunnel options")
		}
		return phase{}, fmt.Errorf("none of the connection's suites (%s) is one that the device has: encryption %s; integrity %s; groups %s; allow one of these in the tunnel options", shown(offered), listed(w.Encryption), listed(w.Integrity), listed(w.Groups))
	}
	can = few(can, groups)
	if one {
		can = can[:1]
	}
	var p phase
	for _, c := range can {
		a := algorithms{AEAD: c.aead(), Encryption: w.Encryption[c.Encryption], Integrity: w.Integrity[c.Integrity], Group: w.Groups[strconv.Itoa(c.Group)], AWS: c}
		p.Suites = append(p.Suites, a)
		p.add(a)
	}
	return p, nil
}

// add puts a suite into the lists.
func (p *phase) add(a algorithms) {
	i := slices.IndexFunc(p.Proposals, func(q proposal) bool { return q.AEAD == a.AEAD })
	if i < 0 {
		i = len(p.Proposals)
		p.Proposals = append(p.Proposals, proposal{AEAD: a.AEAD, N: i + 1, FirstIntegrity: a.Integrity, FirstEncryption: a.Encryption})
	}
	q := &p.Proposals[i]
	q.Encryption, q.Integrity, q.Group = appendNew(q.Encryption, a.Encryption), appendNew(q.Integrity, a.Integrity), appendNew(q.Group, a.Group)
}

func appendNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// listed are AWS's names that a device has words for.
func listed(m map[string]string) string {
	return strings.Join(slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		x, errA := strconv.Atoi(a)
		y, errB := strconv.Atoi(b)
		if errA == nil && errB == nil {
			return x - y
		}
		return strings.Compare(a, b)
	}), ", ")
}

// shown are the first few suites.
func shown(list []choice) string {
	const most = 3
	var out []string
	for _, c := range list {
		if len(out) == most {
			out = append(out, "…")
			break
		}
		out = append(out, strings.Trim(fmt.Sprintf("%s/%s/DH%d", c.Encryption, c.Integrity, c.Group), "/"))
	}
	return strings.Join(out, ", ")
}

// mtu is the largest packet that the tunnel to an outside address carries in a
// packet of 1500 octets with ESP in UDP, whichever suite is chosen (vpn §3.5).
func (p phase) mtu(outside netip.Addr) int {
	const path, udp, esp, trailer = 1500, 8, 8, 2
	ip := 20
	if outside.Is6() {
		ip = 40
	}
	least := path
	for _, s := range p.Suites {
		block, iv, icv := 16, 16, map[string]int{"SHA1": 12, "SHA2-256": 16, "SHA2-384": 24, "SHA2-512": 32}[s.AWS.Integrity]
		if s.AEAD {
			block, iv, icv = 4, 8, 16
		}
		least = min(least, (path-ip-udp-esp-iv-icv)/block*block-trailer)
	}
	return least
}
