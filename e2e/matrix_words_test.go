//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// phases are a tunnel's suites.
type phases struct{ one, two suite }

// gcm reports whether a suite's cipher protects integrity itself, and its key's
// length.
func (s suite) gcm() (is bool, bits string) {
	is = strings.Contains(s.encryption, "GCM")
	return is, strings.TrimPrefix(strings.TrimSuffix(s.encryption, "-GCM-16"), "AES")
}

// libreswanQuestions says in docs/interop.md what libreswan is spared.
func libreswanQuestions() string {
	return " libreswan 4.10 on a busy machine may ask in IKEv2 whether we live amid its own answer to a request of ours,\nand then takes our repetition of that request for a new one; " +
		"so in its cells with IKEv2 only we ask, and its questions have a test of their own, in which we have none."
}

// libreIKE and libreESP are the suites as libreswan's proposals.
func (p phases) libreIKE() string {
	hash := strings.ReplaceAll(strings.ToLower(p.one.integ), "-", "_")
	if gcm, bits := p.one.gcm(); gcm {
		return fmt.Sprintf("aes_gcm%s-%s;dh%d", bits, hash, p.one.dh)
	}
	return fmt.Sprintf("%s-%s;dh%d", strings.ToLower(p.one.encryption), hash, p.one.dh)
}

func (p phases) libreESP() string {
	hash := strings.ReplaceAll(strings.ToLower(p.two.integ), "-", "_")
	if gcm, bits := p.two.gcm(); gcm {
		return fmt.Sprintf("aes_gcm%s-null;dh%d", bits, p.two.dh)
	}
	return fmt.Sprintf("%s-%s;dh%d", strings.ToLower(p.two.encryption), hash, p.two.dh)
}

// openGroups are OpenIKED's names of DH groups.
var openGroups = map[int]string{14: "modp2048", 19: "ecp256", 20: "ecp384", 21: "ecp521"}

// openIKE and openESP are the suites as OpenIKED's transforms.
func (p phases) openIKE() string {
	hash, group := "hmac-"+strings.ToLower(p.one.integ), openGroups[p.one.dh]
	if gcm, bits := p.one.gcm(); gcm {
		return fmt.Sprintf("enc aes-%s-gcm prf %s group %s", bits, hash, group)
	}
	return fmt.Sprintf("auth %s enc aes-%s prf %s group %s", hash, strings.TrimPrefix(p.one.encryption, "AES"), hash, group)
}

func (p phases) openESP() string {
	return fmt.Sprintf("auth hmac-%s enc aes-%s group %s", strings.ToLower(p.two.integ), strings.TrimPrefix(p.two.encryption, "AES"), openGroups[p.two.dh])
}
