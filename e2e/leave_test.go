//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/pki"
	"seikan/e2e/world"
)

// withRoutes is a file for both tunnels with a route in the place of BGP.
func withRoutes(text, to string) string {
	_, rest, _ := strings.Cut(text, "tunnels:\n")
	var b strings.Builder
	b.WriteString("routes: [" + to + "]\ntunnels:\n")
	for line := range strings.Lines(rest) {
		if !strings.Contains(line, "bgp:") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestReloadOfTheTunnelInUseLosesNothing has the file of either end changed under
// traffic, for the tunnel that carries it: the other one takes over before that
// tunnel is rebuilt, or is no more.
func TestReloadOfTheTunnelInUseLosesNothing(t *testing.T) {
	for _, tt := range []struct{ name, customer, cloud string }{
		{"BGP", customerFile, cloudFile},
		{"static", withRoutes(customerFile, world.ServerSite), withRoutes(cloudFile, world.CustomerSite)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world.New(t)
			w.SecondAddress()
			cloud, customer := startText(t, w, "resp", tt.cloud), startText(t, w, "cgw", tt.customer)
			ready := func() error {
				if tt.name == "static" {
					return bothUp(customer)
				}
				return spoken(customer, 1, world.ServerSite, "t1")
			}
			w.Until("both tunnels", 60*time.Second, ready)
			w.Until("traffic", 10*time.Second, w.Reach)
			both := startStreams(t, w, "tun1", "tun1")
			for i, change := range []struct {
				end  *ourgateway.Gateway
				text string
			}{{customer, tt.customer}, {cloud, tt.cloud}} {
				text := strings.Replace(change.text, "  - name: t2\n", "    phase2: {lifetime: 50m}\n  - name: t2\n", 1)
				before := tunnel(t, customer, "t1")
				reloaded(t, w, change.end, text, "t1      rebuilt    phase2.lifetime", "t2      unchanged")
				w.Until("another SA of tunnel 1", 60*time.Second, func() error {
					if now := tunnel(t, customer, "t1").tunnel; !now.Up || now.Child == nil || now.Child.SPIIn == before.tunnel.Child.SPIIn {
						return fmt.Errorf("change %d: got %+v", i+1, now)
					}
					return ready()
				})
				both.more(t, w)
			}
			head, second, _ := strings.Cut(tt.customer, "  - name: t1\n")
			_, second, _ = strings.Cut(second, "  - name: t2\n")
			reloaded(t, w, customer, head+"  - name: t2\n"+second, "t1      removed", "t2      unchanged")
			both.more(t, w)
			for _, d := range both.stop(t) {
				t.Log(d)
				if d.Sent == 0 || d.Lost != 0 || d.Duplicated != 0 {
					t.Errorf("got %v, want none lost or duplicated", d)
				}
			}
		})
	}
}

// more waits until two seconds of each stream have gone.
func (s streams) more(t *testing.T, w *world.World) {
	t.Helper()
	w.Until("packets on their way", 20*time.Second, s.after(2*streamRate))
}

// TestReloadTakesOtherCertificatesOver changes what is in the files of a tunnel by
// certificate, whose names stay: a newer list of revocations and a renewed
// certificate cost no packet, and a peer that is revoked is gone with the answer.
func TestReloadTakesOtherCertificatesOver(t *testing.T) {
	ca := pki.NewAuthority(t, pki.ECDSA)
	theirs, ours := ca.Issue("cloud.example"), ca.Issue("customer.example")
	crl := ca.CRL()
	file := func(text string, own pki.Files, more string) string {
		head, _, _ := strings.Cut(text, "  - name: t2\n")
		head = strings.ReplaceAll(head, "_id: "+world.Responder, "_id: cloud.example")
		return strings.ReplaceAll(head, "    pre_shared_key_file: psk\n",
			fmt.Sprintf("    certificate_file: %s\n    private_key_file: %s\n    ca_file: %s\n%s", own.Chain, own.Key, own.Above, more))
	}
	cloudText, customerText := file(cloudFile, theirs, "    crl_file: "+crl+"\n"), file(customerFile, ours, "")
	w := world.New(t)
	cloud, customer := startText(t, w, "resp", cloudText), startText(t, w, "cgw", customerText)
	w.Until("the session", 60*time.Second, func() error { return established(customer, "t1") })
	w.Until("traffic", 10*time.Second, w.Reach)
	before := tunnel(t, customer, "t1")
	both := startStreams(t, w, "tun1", "tun1")
	ca.CRL(theirs.Serial) // which is not of the peer
	reloaded(t, w, cloud, cloudText, "t1      changed  crl_file")
	both.more(t, w)
	renewed := ca.Issue("customer.example")
	reloaded(t, w, customer, customerText, "t1      changed  certificate_file, private_key_file")
	both.more(t, w)
	for _, d := range both.stop(t) {
		t.Log(d)
		if d.Sent == 0 || d.Lost != 0 || d.Duplicated != 0 || d.Late != 0 {
			t.Errorf("got %v, want none lost, duplicated or late", d)
		}
	}
	if now := tunnel(t, customer, "t1"); now.tunnel.Child.SPIIn != before.tunnel.Child.SPIIn || !now.session.Since.Equal(before.session.Since) {
		t.Errorf("got %+v and %+v, want the SA and the session of before: %+v and %+v", now.tunnel, now.session, before.tunnel, before.session)
	}
	ca.CRL(ours.Serial, renewed.Serial)
	reloaded(t, w, cloud, cloudText, "t1      changed  crl_file")
	w.Until("the end of the revoked peer's tunnel", time.Second, func() error {
		if s := tunnel(t, cloud, "t1").tunnel; s.Up || !strings.Contains(s.Reason, "was revoked at") {
			return fmt.Errorf("up %v: %s", s.Up, s.Reason)
		}
		return nil
	})
}
