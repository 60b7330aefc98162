//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// megabytes100 is moved each way through every tunnel.
const megabytes100 = 100_000_000

// psk obeys the rule of vpn §2.1.
const psk = "Interop.Test_PreShared.Key0"

// customerID is how the customer gateway names itself: behind NAT its address
// says nothing.
const customerID = "cgw@site.example"

// A suite is what both phases use, in AWS's words.
type suite struct {
	name              string
	encryption, integ string
	dh                int
}

var suites = []suite{
	{"AES-128-GCM", "AES128-GCM-16", "SHA2-256", 19},
	{"AES-256-CBC, SHA2-256", "AES256", "SHA2-256", 14},
}

// swanWords are strongSwan's names.
var swanWords = map[string]string{
	"AES128": "aes128", "AES256": "aes256", "AES128-GCM-16": "aes128gcm16", "AES256-GCM-16": "aes256gcm16",
	"CHACHA20-POLY1305": "chacha20poly1305", "SHA1": "sha1", "SHA2-256": "sha256", "SHA2-384": "sha384", "SHA2-512": "sha512",
}

// swanGroups are strongSwan's names of DH groups.
var swanGroups = map[int]string{2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072", 16: "modp4096", 17: "modp6144", 18: "modp8192",
	19: "ecp256", 20: "ecp384", 21: "ecp521", 22: "modp1024s160", 23: "modp2048s224", 24: "modp2048s256", 31: "curve25519"}

// swanIKE and swanESP are the suite as strongSwan's proposals. A cipher that
// protects integrity itself has a PRF in phase 1 and nothing in phase 2.
func (s suite) swanIKE() string {
	if strings.Contains(s.encryption, "GCM") || strings.Contains(s.encryption, "CHACHA") {
		return swanWords[s.encryption] + "-prf" + swanWords[s.integ] + "-" + swanGroups[s.dh]
	}
	return swanWords[s.encryption] + "-" + swanWords[s.integ] + "-" + swanGroups[s.dh]
}

func (s suite) swanESP() string {
	return strings.Replace(s.swanIKE(), "-prf"+swanWords[s.integ], "", 1)
}

// swanConfig is strongSwan behind the NAT when it initiates, and otherwise the
// responder.
func swanConfig(s suite, initiate bool) strongswan.Config {
	cfg := strongswan.Config{Namespace: "resp", Inside: world.InsideFirst + world.InsideBits, Site: world.CustomerSite,
		Local: world.Responder, LocalID: world.Responder, RemoteID: customerID, PSK: psk, IKE: s.swanIKE(), ESP: s.swanESP(), DPDDelay: time.Second}
	if initiate {
		cfg.Namespace, cfg.Inside, cfg.Site = "cgw", world.InsideSecond+world.InsideBits, world.ServerSite
		cfg.Local, cfg.Remote, cfg.LocalID, cfg.RemoteID = "", world.Responder, customerID, world.Responder
	}
	return cfg
}

func swanCustomer(t *testing.T, w *world.World, s suite) *strongswan.Charon {
	return strongswan.Start(t, w, swanConfig(s, true))
}

func swanResponder(t *testing.T, w *world.World, s suite) *strongswan.Charon {
	return strongswan.Start(t, w, swanConfig(s, false))
}

// TestStrongSwanWithItself is the baseline: what fails here is the harness.
func TestStrongSwanWithItself(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			w := world.New(t)
			resp, cgw := swanResponder(t, w, s), swanCustomer(t, w, s)
			cgw.Initiate()
			resp.Route()
			cgw.Route()
			w.Until("first ping", 5*time.Second, w.Reach)

			r := newReport(t, w, "strongSwan → strongSwan", s.name)
			r.pings(200, 5*time.Millisecond)
			r.transfers()
			r.rekeyed("CHILD", resp, cgw.RekeyChild)
			r.rekeyed("IKE", resp, cgw.RekeyIKE)
			r.rekeyed("CHILD, by the responder", resp, resp.RekeyChild)
			r.rekeyed("IKE, by the responder", resp, resp.RekeyIKE)
			r.nothingClear()

			cgw.Terminate()
			w.Until("the responder drops what was deleted", 3*time.Second, func() error { return none(resp) })
			if err := w.Reach(); err == nil {
				t.Error("the server answers after the tunnel was deleted")
			}
			r.nothingClear()
			r.line("deleted", "the responder let go")
		})
	}
}

// TestHarnessSeesWhatIsClear proves the gate of nothingClear, and of Cut.
func TestHarnessSeesWhatIsClear(t *testing.T) {
	w := world.New(t)
	if _, answered, err := w.Ping("cgw", world.Responder, 1, time.Second); err != nil || answered != 1 {
		t.Fatalf("ping of the responder's outside address: got %d answered, %v, want 1", answered, err)
	}
	if packets, octets := w.Seen("clear"); packets != 2 || octets != 168 {
		t.Errorf("got %d packets of %d octets in clear, want 2 of 168", packets, octets)
	}
	if err := w.Reach(); err == nil {
		t.Error("the server answers the client without a tunnel")
	}
	w.Cut()
	if _, answered, err := w.Ping("cgw", world.Responder, 1, time.Second); err != nil || answered != 0 {
		t.Errorf("ping while the internet is cut: got %d answered, %v, want 0", answered, err)
	}
	w.Mend()
	if _, answered, err := w.Ping("cgw", world.Responder, 1, time.Second); err != nil || answered != 1 {
		t.Errorf("ping after it is mended: got %d answered, %v, want 1", answered, err)
	}
}

// none reports an SA that strongSwan still has.
func none(c *strongswan.Charon) error {
	if sas := c.SAs(); sas != "" {
		return fmt.Errorf("there is still %s", sas)
	}
	return nil
}
