//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/libreswan"
	"seikan/e2e/pki"
	"seikan/e2e/world"
)

// An impairment is something that libreswan does wrong on purpose, and what
// must come of it.
type impairment struct {
	how      string // in libreswan's words, + between two
	initiate bool   // we begin, so libreswan does it in its answers
	version  int    // of IKE; 0: 2
	rsa      bool   // certificates
	once     bool   // without rekeys: libreswan itself stumbles there, or breaks the rules in a way that ends the IKE SA
	refused  bool   // no tunnel may come of it
	// reason is a part of what we say then, and heard of what libreswan does.
	reason, heard string
}

// libreswanAsks keeps libreswan from asking whether we live. When libreswan 4.10
// begins such an exchange while its helper still computes the answer to our
// CREATE_CHILD_SA request, as on a busy machine, it mixes up the two: it makes
// the CHILD SA, but repeats its question instead of sending that answer. Our
// request, once repeated, is new to it: it makes a second CHILD SA for the same
// SPI of ours, keeps the first, and begins nothing more on that IKE SA, where it
// waits for the answer to a message id that it never sent.
// TestLibreswanAsksWhetherWeLive has its questions, and no request of ours.
const libreswanAsks = time.Hour

// impairments are those of libreswan's that apply to a tunnel between two.
var impairments = []impairment{
	// What is repeated, replayed or lost changes nothing (RFC 7296 section 2.1).
	{how: "replay-duplicates"},
	{how: "replay-duplicates", initiate: true},
	{how: "replay-encrypted"},
	{how: "replay-encrypted", initiate: true},
	{how: "replay-forward"},
	{how: "replay-forward", initiate: true},
	{how: "replay-backward"},
	{how: "replay-backward", initiate: true},
	{how: "jacob-two-two", once: true},
	{how: "jacob-two-two", once: true, initiate: true},
	{how: "suppress-retransmits"},
	{how: "suppress-retransmits", initiate: true},
	{how: "drop-incoming:1"},
	{how: "drop-incoming:1", initiate: true},
	{how: "drop-incoming:2"},
	{how: "drop-incoming:2", initiate: true},
	{how: "drop-outgoing:1"},
	{how: "drop-outgoing:1", initiate: true},
	{how: "drop-outgoing:2"},
	{how: "drop-outgoing:2", initiate: true},
	// What is reserved is ignored, and so is a payload that is unknown and not critical (sections 2.5 and 3.2).
	{how: "minor-version-bump"},
	{how: "minor-version-bump", initiate: true},
	{how: "send-bogus-isakmp-flag"},
	{how: "send-bogus-isakmp-flag", initiate: true},
	{how: "send-bogus-payload-flag"},
	{how: "send-bogus-payload-flag", initiate: true},
	{how: "send-nonzero-reserved"},
	{how: "send-nonzero-reserved", initiate: true},
	{how: "send-nonzero-reserved-id"},
	{how: "send-nonzero-reserved-id", initiate: true},
	{how: "add-unknown-v2-payload-to:IKE_SA_INIT"},
	{how: "add-unknown-v2-payload-to:IKE_SA_INIT", initiate: true},
	{how: "add-unknown-v2-payload-to:IKE_AUTH"},
	{how: "add-unknown-v2-payload-to:IKE_AUTH", initiate: true},
	{how: "add-unknown-v2-payload-to-sk:IKE_AUTH"},
	{how: "add-unknown-v2-payload-to-sk:IKE_AUTH", initiate: true},
	{how: "send-bogus-dcookie"},
	{how: "send-bogus-dcookie", initiate: true},
	{how: "childless-ikev2-supported"},
	{how: "childless-ikev2-supported", initiate: true},
	{how: "send-no-idr"},
	{how: "send-no-idr", initiate: true},
	// INTEG and DH may say NONE; what an offer has that is unknown is passed over (section 3.3.6).
	{how: "v2-proposal-integ:allow-none"},
	{how: "v2-proposal-integ:allow-none", initiate: true},
	{how: "v2-proposal-integ:omit"},
	{how: "v2-proposal-integ:omit", initiate: true},
	{how: "v2-proposal-dh:allow-none"},
	{how: "v2-proposal-dh:allow-none", initiate: true},
	{how: "ikev2-add-ike-transform:262243", once: true}, // its answer to a rekey has it, too
	{how: "ikev2-add-ike-transform:65999", once: true},
	{how: "ikev2-add-child-transform:65999", once: true},
	// An unknown type of transform makes its proposal unacceptable; an answer may not hold more than was offered.
	{how: "ikev2-add-ike-transform:2621441", refused: true, reason: "offers IKE", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ikev2-add-child-transform:2621441", refused: true, reason: "offers ESP", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ikev2-add-ike-transform:262243", initiate: true, refused: true},
	{how: "ikev2-add-ike-transform:65999", initiate: true, refused: true},
	{how: "ikev2-add-ike-transform:2621441", initiate: true, refused: true, reason: "did not offer"},
	{how: "ikev2-add-child-transform:65999", initiate: true, refused: true, reason: "answer about the CHILD SA"},
	{how: "ikev2-add-child-transform:2621441", initiate: true, refused: true, reason: "did not offer"},
	// AES has a key length, and one.
	{how: "ike-key-length-attribute:omit", refused: true, reason: "offers IKE", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ike-key-length-attribute:omit", initiate: true, refused: true, reason: "did not offer"},
	{how: "child-key-length-attribute:omit", refused: true, reason: "offers ESP", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "child-key-length-attribute:omit", initiate: true, refused: true, reason: "did not offer"},
	{how: "ike-key-length-attribute:duplicate", refused: true, reason: "offers IKE", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ike-key-length-attribute:duplicate", initiate: true, refused: true, reason: "did not offer"},
	{how: "child-key-length-attribute:duplicate", refused: true, reason: "offers ESP", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "child-key-length-attribute:duplicate", initiate: true, refused: true, reason: "did not offer"},
	{how: "ike-key-length-attribute:0", refused: true, reason: "offers IKE", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ike-key-length-attribute:0", initiate: true, refused: true, reason: "did not offer"},
	{how: "child-key-length-attribute:0", refused: true, reason: "offers ESP", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "child-key-length-attribute:0", initiate: true, refused: true, reason: "did not offer"},
	{how: "ike-key-length-attribute:empty", refused: true},
	{how: "child-key-length-attribute:empty", initiate: true, refused: true, reason: "INVALID_SYNTAX"},
	// A key exchange needs a public value, and a valid one.
	{how: "ke-payload:omit", refused: true, heard: "INVALID_SYNTAX"},
	{how: "ke-payload:omit", initiate: true, refused: true},
	{how: "ke-payload:empty", refused: true},
	{how: "ke-payload:0", refused: true, reason: "key exchange value is not valid", heard: "INVALID_SYNTAX"},
	{how: "ke-payload:0", initiate: true, refused: true, reason: "key exchange value is not valid"},
	{how: "ke-payload:255", refused: true, reason: "key exchange value is not valid", heard: "INVALID_SYNTAX"},
	{how: "ke-payload:255", initiate: true, refused: true, reason: "key exchange value is not valid"},
	{how: "v2-proposal-dh:omit", refused: true, reason: "no DH group", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "v2-proposal-dh:omit", initiate: true, refused: true, reason: "did not offer"},
	// Another major version, a critical payload that is unknown, an exchange of the wrong type, a wrong seal.
	{how: "major-version-bump", refused: true, heard: "INVALID_MAJOR_VERSION"},
	{how: "major-version-bump", initiate: true, refused: true},
	{how: "add-unknown-v2-payload-to:IKE_SA_INIT+unknown-v2-payload-critical", refused: true, heard: "UNSUPPORTED_CRITICAL_PAYLOAD"},
	{how: "add-unknown-v2-payload-to:IKE_SA_INIT+unknown-v2-payload-critical", initiate: true, refused: true},
	{how: "add-unknown-v2-payload-to-sk:IKE_AUTH+unknown-v2-payload-critical", refused: true, reason: "payload type 255", heard: "UNSUPPORTED_CRITICAL_PAYLOAD"},
	{how: "add-unknown-v2-payload-to-sk:IKE_AUTH+unknown-v2-payload-critical", initiate: true, refused: true, reason: "unknown type 255"},
	{how: "bad-ikev2-auth-xchg", initiate: true, refused: true},
	{how: "corrupt-encrypted", initiate: true, refused: true},
	// No CHILD SA asked for, another way to prove who one is.
	{how: "omit-v2-ike-auth-child", refused: true, reason: "asks for no CHILD SA"},
	{how: "omit-v2-ike-auth-child", initiate: true, refused: true, reason: "INVALID_SYNTAX"},
	{how: "force-v2-auth-method:null", refused: true, reason: "method 13", heard: "AUTHENTICATION_FAILED"},
	{how: "force-v2-auth-method:null", initiate: true, refused: true, reason: "method 13"},
	// Signatures: a peer without RFC 7427 signs with SHA-1, one that has it may not.
	{how: "omit-v2n-signature-hash-algorithms", rsa: true},
	{how: "omit-v2n-signature-hash-algorithms", initiate: true, rsa: true},
	{how: "ignore-v2n-signature-hash-algorithms", rsa: true, refused: true, reason: "SHA-1", heard: "AUTHENTICATION_FAILED"},
	{how: "ignore-v2n-signature-hash-algorithms", initiate: true, rsa: true, refused: true, reason: "SHA-1"},
	{how: "send-pkcs7-thingie", rsa: true, refused: true, reason: "encoding 1 ", heard: "AUTHENTICATION_FAILED"},
	{how: "send-pkcs7-thingie", initiate: true, rsa: true, refused: true, reason: "encoding 1 "},
	// IKEv1 (RFC 2408 section 5 has a message discarded whose reserved fields are not zero).
	{how: "replay-duplicates", version: 1},
	{how: "replay-duplicates", initiate: true, version: 1},
	{how: "replay-forward", version: 1},
	{how: "replay-forward", initiate: true, version: 1},
	{how: "replay-backward", version: 1},
	{how: "replay-backward", initiate: true, version: 1},
	{how: "jacob-two-two", once: true, version: 1},
	{how: "jacob-two-two", once: true, initiate: true, version: 1},
	{how: "send-no-main-r2", version: 1},
	{how: "send-no-main-r2", initiate: true, version: 1},
	{how: "bust-mi2", version: 1},
	{how: "bust-mi2", initiate: true, version: 1},
	{how: "bust-mr2", version: 1},
	{how: "bust-mr2", initiate: true, version: 1},
	{how: "send-bogus-payload-flag", version: 1},
	{how: "send-bogus-payload-flag", initiate: true, version: 1},
	{how: "send-nonzero-reserved", version: 1, refused: true},
	{how: "send-nonzero-reserved", initiate: true, version: 1, refused: true},
	{how: "ke-payload:0", version: 1, refused: true, reason: "key exchange value is not valid", heard: "INVALID_KEY_INFORMATION"},
	{how: "ke-payload:0", initiate: true, version: 1, refused: true, reason: "key exchange value is not valid"},
	{how: "ke-payload:omit", version: 1, refused: true},
	{how: "ke-payload:omit", initiate: true, version: 1, refused: true},
	{how: "ike-key-length-attribute:omit", version: 1, refused: true, reason: "no encryption algorithm in common", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "ike-key-length-attribute:duplicate", version: 1, refused: true, reason: "offers IKEv1 phase 1", heard: "NO_PROPOSAL_CHOSEN"},
	{how: "v1-hash-exchange:quick+v1-hash-payload:omit", version: 1, refused: true},
	{how: "v1-hash-exchange:quick+v1-hash-payload:omit", initiate: true, version: 1, refused: true},
	{how: "v1-hash-exchange:quick+v1-hash-payload:empty", version: 1, refused: true},
	{how: "v1-hash-exchange:quick+v1-hash-payload:empty", initiate: true, version: 1, refused: true},
	{how: "v1-hash-exchange:quick+v1-hash-payload:0", version: 1, refused: true},
	{how: "v1-hash-exchange:quick+v1-hash-payload:0", initiate: true, version: 1, refused: true},
}

// TestImpairedPeer lets libreswan break the rules. What the RFCs let pass must
// pass, rekeys included; everything else must be refused, and the same two ends
// must come together once libreswan behaves.
func TestImpairedPeer(t *testing.T) {
	m := &matrix{}
	authority := pki.NewAuthority(t, pki.RSA)
	m.rsa = [2]pki.Files{authority.Issue(customerName), authority.Issue(responderName)}
	for _, im := range impairments {
		t.Run(im.name(), func(t *testing.T) {
			t.Parallel()
			m.impaired(t, im)
		})
	}
}

func (im impairment) name() string {
	who := "initiator"
	if im.initiate {
		who = "responder"
	}
	return strings.NewReplacer(":", "-", "+", "-").Replace(strings.ToLower(fmt.Sprintf("v%d-%s-%s", im.cell().version, who, im.how)))
}

func (im impairment) cell() cell {
	c := cell{peerLibreswan, 2, authPSK, im.initiate, true}
	if im.version != 0 {
		c.version = im.version
	}
	if im.rsa {
		c.auth = authRSA
	}
	return c
}

func (m *matrix) impaired(t *testing.T, im impairment) {
	c := im.cell()
	r := &trial{t: t, w: world.New(t), outcome: outcome{cell: c, suites: c.phases()}, files: m.files(c), peerAsks: libreswanAsks}
	if !r.initiate {
		r.ours = r.startOurs()
	}
	r.peer = r.startPeer()
	pluto := r.peer.(*libreswan.Pluto)
	for how := range strings.SplitSeq(im.how, "+") {
		if _, err := pluto.Whack("--impair", how); err != nil {
			t.Fatal(err)
		}
	}
	if r.initiate {
		r.ours = r.startOurs()
	} else {
		pluto.Begin()
	}
	if !im.refused {
		r.established()
		for _, rekey := range []func(){r.ours.RekeyChild, r.peer.RekeyChild, r.ours.RekeyIKE, r.peer.RekeyIKE} {
			if !im.once {
				r.replaced(rekey)
			}
		}
		r.move(100_000)
		return
	}
	r.refused(im, pluto)
	for _, args := range [][]string{{"--impair", "none"}, {"--name", "t1", "--terminate"}} {
		if _, err := pluto.Whack(args...); err != nil {
			t.Fatal(err)
		}
	}
	if r.initiate { // else we might go on repeating what libreswan has forgotten
		r.ours.Stop()
		r.ours = r.startOurs()
	} else {
		pluto.Begin()
	}
	r.established()
}

// refused waits a while for what both ends say, and demands that no tunnel
// comes up.
func (r *trial) refused(im impairment, pluto *libreswan.Pluto) {
	r.t.Helper()
	begun := time.Now()
	r.w.Until("the refusal in words", 8*time.Second, func() error {
		st, err := r.ours.Status()
		switch {
		case err != nil:
			return err
		case st.Up:
			r.t.Fatalf("got a tunnel with a peer that does %s, want none", im.how)
		case !strings.Contains(st.Reason, im.reason):
			return fmt.Errorf("our reason is %q, want %q in it", st.Reason, im.reason)
		case !strings.Contains(pluto.Log(), im.heard):
			return fmt.Errorf("libreswan's log has no %s", im.heard)
		case time.Since(begun) < time.Second:
			return fmt.Errorf("no tunnel for %v", time.Since(begun))
		}
		return nil
	})
}

// replaced calls rekey and waits until both ends have new SAs and only them. A
// tunnel that was lost and made anew is no rekey.
func (r *trial) replaced(rekey func()) {
	r.t.Helper()
	old, err := r.ours.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	const established = `msg="tunnel established"`
	before := strings.Count(r.ours.Log(), established)
	rekey()
	r.w.Until("new SA", 20*time.Second, func() error {
		now, err := r.ours.Current()
		if err == nil && now == old {
			err = fmt.Errorf("still %v", old)
		}
		if err == nil {
			_, err = r.peer.Current()
		}
		return err
	})
	if n := strings.Count(r.ours.Log(), established) - before; n != 0 {
		r.t.Fatalf("the tunnel was lost and established %d times amid a rekey, want it to go on", n)
	}
}
