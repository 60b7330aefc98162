//go:build e2e

package e2e

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/pki"
	"seikan/e2e/world"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	algorithms "seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// floodRate is how many IKE_SA_INIT a second come from addresses that nobody
// has.
const floodRate = 20000

// TestSpoofedFlood has a responder whose peer may come from anywhere under a
// flood of IKE_SA_INIT, each from another address: the tunnel that is up loses
// nothing, and a customer gateway that begins anew gets in.
func TestSpoofedFlood(t *testing.T) {
	w := world.New(t)
	s := suites[0]
	authority := pki.NewAuthority(t, pki.ECDSA)
	responder, customer := authority.Issue(responderName), authority.Issue(customerName)
	respCfg, cgwCfg := ourConfig(s, false), ourConfig(s, true)
	respCfg.Remote, respCfg.LocalID, respCfg.RemoteID, respCfg.Certificates = "any", responderName, customerName, &responder
	cgwCfg.LocalID, cgwCfg.RemoteID, cgwCfg.Certificates = customerName, responderName, &customer
	resp, cgw := ourgateway.Start(t, w, respCfg), ourgateway.Start(t, w, cgwCfg)
	w.Until("the tunnel", 10*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	w.Until("first ping", 5*time.Second, w.Reach)
	r := newReport(t, w, "20,000 spoofed IKE_SA_INIT a second", s.name)

	var sent atomic.Int64
	stop, done := make(chan struct{}), make(chan error)
	go func() { done <- w.In("inet", func() error { return flood(initOf(t), &sent, stop) }) }()
	began := time.Now()
	r.pings(2500, 2*time.Millisecond)
	cgw.Stop()
	w.Until("the old tunnel gone", 5*time.Second, func() error { return down(resp) })
	again := time.Now()
	cgw = ourgateway.Start(t, w, cgwCfg)
	w.Until("the new tunnel", 20*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	r.line("an honest peer begins", "and is in after %v", time.Since(again).Round(10*time.Millisecond))
	r.pings(1000, 2*time.Millisecond)
	took := time.Since(began)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	rate := float64(sent.Load()) / took.Seconds()
	if rate < 0.8*floodRate {
		t.Errorf("got %.0f requests a second, want about %d: the flood was none", rate, floodRate)
	}
	r.line("the flood", "%d requests, %.0f a second", sent.Load(), rate)
	if got := datagramsOut(t, w); got < sent.Load()/2 {
		t.Errorf("the responder sent %d datagrams, want a cookie for most of %d requests: the flood did not get there", got, sent.Load())
	} else {
		r.line("the responder sent", "%d datagrams, cookies nearly all", got)
	}
	if got, err := resp.PeakMemory(); err != nil || got > peakMemory {
		t.Errorf("memory: got %d octets, %v, want at most %d", got, err, peakMemory)
	}
}

// datagramsOut is how many UDP datagrams the responder's namespace has sent.
func datagramsOut(t *testing.T, w *world.World) int64 {
	t.Helper()
	for line := range strings.Lines(w.Exec("resp", "cat", "/proc/net/snmp")) {
		if words := strings.Fields(line); len(words) > 4 && words[0] == "Udp:" && words[4] != "OutDatagrams" {
			n, err := strconv.ParseInt(words[4], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no UDP counters")
	return 0
}

// initOf is the IKE_SA_INIT of some initiator.
func initOf(t *testing.T) []byte {
	m, err := ikev2.New(policy.Config{
		Initiator: true, Local: netip.MustParseAddrPort("192.0.2.1:500"), Remote: netip.MustParseAddrPort(world.Responder + ":500"),
		Auth: policy.Auth{PSK: secret.FromString("of.a.stranger")},
		IKE:  []algorithms.IKE{{Encr: algorithms.AESGCM16, KeyBits: 128, PRF: algorithms.PRFSHA256, Group: 19}},
		ESP:  []algorithms.ESP{{Encr: algorithms.AESGCM16, KeyBits: 128, Group: 19}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out ike.Outputs
	if err := m.Step(time.Now(), ike.Initiate{}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Datagrams[0].Data
}

// flood sends request to the responder until stop, each time with another SPI
// from another address, and counts.
func flood(request []byte, sent *atomic.Int64, stop <-chan struct{}) error {
	return spray(request, func(packet []byte) {
		binary.BigEndian.PutUint32(packet[12:], 11<<24|rand.Uint32()>>8)
		binary.BigEndian.PutUint64(packet[28:], rand.Uint64()|1)
	}, sent, stop)
}
