//go:build e2e

package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1"
	"seikan/internal/ipsec/ike/policy"
	algorithms "seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A spoof is a flood of first messages that says it comes from somebody else.
type spoof struct {
	name    string
	version int    // of the flood and of the tunnel
	port    uint16 // that it goes to
	peer    bool   // it has the address of the tunnel's peer, else of strangers
}

// TestFloodInThePeersName has a responder, with a peer at a configured address,
// under floods from that address and from others: the tunnel that is up loses
// nothing of 2,000 packets a second, and the peer, begun anew, gets in.
func TestFloodInThePeersName(t *testing.T) {
	for _, sp := range []spoof{
		{"IKEv2 from strangers", 2, 500, false},
		{"IKEv2 in the peer's name", 2, 500, true},
		{"IKEv2 in the peer's name, port 4500", 2, 4500, true},
		{"IKEv1 from strangers, port 4500", 1, 4500, false},
		{"IKEv1 in the peer's name", 1, 500, true},
	} {
		t.Run(sp.name, func(t *testing.T) { underFlood(t, sp) })
	}
}

func underFlood(t *testing.T, sp spoof) {
	w := world.New(t)
	s := suites[1]
	respCfg, cgwCfg := ourConfig(s, false), ourConfig(s, true)
	respCfg.Version, cgwCfg.Version = sp.version, sp.version
	if sp.peer { // the answers to the flood go to the peer itself, not to a NAT whose table they would fill
		w.WithoutNAT()
		respCfg.Remote = world.Customer
	}
	resp, cgw := ourgateway.Start(t, w, respCfg), ourgateway.Start(t, w, cgwCfg)
	w.Until("the tunnel", 20*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	w.Until("first ping", 5*time.Second, w.Reach)
	r := newReport(t, w, fmt.Sprintf("%d first messages a second", floodRate), sp.name)

	var sent atomic.Int64
	stop, done := make(chan struct{}), make(chan error)
	before, err := resp.CPU()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	go func() { done <- w.In("inet", func() error { return sp.flood(t, &sent, stop) }) }()
	r.pings(20000, 500*time.Microsecond)
	r.line("that is", "%.0f a second, and as many answers", 20000/time.Since(began).Seconds())
	after, err := resp.CPU()
	if err != nil {
		t.Fatal(err)
	}
	r.line("the responder's CPU", "%.0f %% of one core, %.1f µs per message of the flood, the stream included",
		100*(after-before).Seconds()/time.Since(began).Seconds(), float64((after-before).Microseconds())/float64(sent.Load()))
	cgw.Stop()
	w.Until("the old tunnel gone", 10*time.Second, func() error { return down(resp) })
	again := time.Now()
	cgw = ourgateway.Start(t, w, cgwCfg)
	w.Until("the new tunnel", 20*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	r.line("an honest peer begins", "and is in after %v", time.Since(again).Round(10*time.Millisecond))
	w.Until("first ping", 5*time.Second, w.Reach)
	r.pings(2000, 500*time.Microsecond)
	took := time.Since(began)
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	rate := float64(sent.Load()) / took.Seconds()
	if rate < 0.8*floodRate {
		t.Errorf("got %.0f messages a second, want about %d: the flood was none", rate, floodRate)
	}
	st, err := resp.Status()
	if err != nil {
		t.Fatal(err)
	}
	r.line("the flood", "%d messages, %.0f a second; the responder dropped %d, sent %d datagrams", sent.Load(), rate, st.IKE.Dropped, datagramsOut(t, w))
	if got, err := resp.PeakMemory(); err != nil || got > peakMemory {
		t.Errorf("memory: got %d octets, %v, want at most %d", got, err, peakMemory)
	}
}

// message is the first message of an attempt.
func (sp spoof) message(t *testing.T) []byte {
	if sp.version == 2 {
		return initOf(t)
	}
	m, err := ikev1.New(policy.Config{
		Initiator: true, Local: netip.MustParseAddrPort("192.0.2.1:500"), Remote: netip.MustParseAddrPort(world.Responder + ":500"),
		Auth: policy.Auth{PSK: secret.FromString("of.a.stranger")},
		IKE:  []algorithms.IKE{{Encr: algorithms.AESCBC, KeyBits: 256, PRF: algorithms.PRFSHA256, Integ: algorithms.IntegSHA256, Group: 14}},
		ESP:  []algorithms.ESP{{Encr: algorithms.AESCBC, KeyBits: 256, Integ: algorithms.IntegSHA256, Group: 14}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out ike.Outputs
	if err := m.Step(time.Now(), ike.Initiate{}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Datagrams[0].Data
}

// flood sends messages until stop, each with another SPI and from another port
// or address, and counts.
func (sp spoof) flood(t *testing.T, sent *atomic.Int64, stop <-chan struct{}) error {
	message := sp.message(t)
	if sp.port == 4500 {
		message = append(make([]byte, 4), message...)
	}
	return spray(message, func(packet []byte) {
		from := 11<<24 | rand.Uint32()>>8
		if sp.peer {
			from = binary.BigEndian.Uint32(netip.MustParseAddr(world.Customer).AsSlice())
		}
		binary.BigEndian.PutUint32(packet[12:], from)
		port := sp.port
		if rand.N(2) == 0 {
			port = uint16(rand.Uint32() | 1024)
		}
		binary.BigEndian.PutUint16(packet[20:], port)
		binary.BigEndian.PutUint16(packet[22:], sp.port)
		spi := 28
		if sp.port == 4500 {
			spi += 4
		}
		binary.BigEndian.PutUint64(packet[spi:], rand.Uint64()|1)
	}, sent, stop)
}

// spray sends payload to the responder in UDP from and to port 500, as change
// has it for each packet, at floodRate until stop, and counts.
func spray(payload []byte, change func(packet []byte), sent *atomic.Int64, stop <-chan struct{}) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	to := &syscall.SockaddrInet4{Addr: netip.MustParseAddr(world.Responder).As4()}
	// IPv4 without options, whose length and checksum the kernel fills in, and
	// UDP without a checksum.
	packet := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, syscall.IPPROTO_UDP, 0, 0, 0, 0, 0, 0}, to.Addr[:]...)
	packet = append(packet, 500>>8, 500&0xff, 500>>8, 500&0xff)
	packet = binary.BigEndian.AppendUint16(packet, uint16(8+len(payload)))
	packet = append(append(packet, 0, 0), payload...)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		for due := int64(time.Since(began).Seconds() * floodRate); sent.Load() < due; sent.Add(1) {
			change(packet)
			if err := syscall.Sendto(fd, packet, 0, to); err != nil {
				return err
			}
		}
	}
}
