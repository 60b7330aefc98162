//go:build e2e

package e2e

import (
	"fmt"
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

// A suite is the same algorithms in both sides' words.
type suite struct {
	name              string
	swanIKE, swanESP  string // strongSwan's proposals
	encryption, integ string // AWS's names
	dh                int
}

var suites = []suite{
	{"AES-128-GCM", "aes128gcm16-prfsha256-ecp256", "aes128gcm16-ecp256", "AES128-GCM-16", "SHA2-256", 19},
	{"AES-256-CBC, SHA2-256", "aes256-sha256-modp2048", "aes256-sha256-modp2048", "AES256", "SHA2-256", 14},
}

func swanCustomer(t *testing.T, w *world.World, s suite) *strongswan.Charon {
	return strongswan.Start(t, w, strongswan.Config{Namespace: "cgw", Inside: world.InsideSecond + world.InsideBits, Site: world.ServerSite,
		Remote: world.Responder, LocalID: customerID, RemoteID: world.Responder, PSK: psk, IKE: s.swanIKE, ESP: s.swanESP, DPDDelay: time.Second})
}

func swanResponder(t *testing.T, w *world.World, s suite) *strongswan.Charon {
	return strongswan.Start(t, w, strongswan.Config{Namespace: "resp", Inside: world.InsideFirst + world.InsideBits, Site: world.CustomerSite,
		Local: world.Responder, LocalID: world.Responder, RemoteID: customerID, PSK: psk, IKE: s.swanIKE, ESP: s.swanESP, DPDDelay: time.Second})
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
