package worker

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// roaming is one tunnel of config, by certificate, whose cloud does not know
// where the customer is.
func roaming(t *testing.T, customer bool, ca *certtest.Authority) gateway.Config {
	t.Helper()
	cfg := config(customer, key)
	cfg.Tunnels = cfg.Tunnels[:1]
	tunnel := &cfg.Tunnels[0]
	chain, private := ca.Issue(certtest.Request{Name: cfg.Name})
	tunnel.PSK = secret.Secret{}
	tunnel.Certificates = gateway.Certificates{Own: chain, Key: secret.New(private), CA: ca.PEM()}
	if customer {
		tunnel.Outside.RemoteID = "O=Example, CN=cloud"
	} else {
		tunnel.Outside.Remote, tunnel.Outside.RemoteID = netip.Addr{}, ""
	}
	return cfg
}

// A download is a transfer from the server to the client that goes on until
// the test ends.
type download struct {
	t   *testing.T
	got atomic.Int64 // octets that have arrived, each as it was sent
}

// download begins one.
func (w *world) download() *download {
	w.t.Helper()
	var server net.Listener
	var client net.Conn
	err := w.net.In("far", func() (err error) { server, err = net.Listen("tcp4", "10.0.1.20:8080"); return err })
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { server.Close() })
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		tick := time.NewTicker(2 * time.Millisecond) // 4 MB/s at most
		defer tick.Stop()
		chunk := make([]byte, 8192)
		for n := 0; ; {
			for i := range chunk {
				chunk[i] = byte(n / 251)
				n++
			}
			if _, err := conn.Write(chunk); err != nil {
				return
			}
			<-tick.C
		}
	}()
	err = w.net.In("lan", func() (err error) { client, err = net.DialTimeout("tcp4", "10.0.1.20:8080", patience); return err })
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { client.Close() })
	d := &download{t: w.t}
	go func() {
		buf := make([]byte, 1<<16)
		for n := 0; ; {
			k, err := client.Read(buf)
			for _, b := range buf[:k] {
				if b != byte(n/251) {
					w.t.Errorf("octet %d of the download: got %d, want %d", n, b, byte(n/251))
					return
				}
				n++
			}
			d.got.Add(int64(k))
			if err != nil {
				if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
					w.t.Errorf("the download broke: %v", err)
				}
				return
			}
		}
	}()
	return d
}

// more waits until a megabyte more has arrived and returns how long that took.
func (d *download) more(what string) time.Duration {
	d.t.Helper()
	start, want := time.Now(), d.got.Load()+1<<20
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for d.got.Load() < want {
		if <-tick.C; time.Since(start) > patience {
			d.t.Fatalf("%s: got %d octets in %v, want a megabyte", what, d.got.Load()-want+1<<20, patience)
		}
	}
	return time.Since(start)
}

// TestCustomerRoamsDuringADownload changes the customer's address, then that
// of the NAT before it, under a TCP connection. The cloud knows the customer by
// its certificate alone, or by the address that it had at first.
func TestCustomerRoamsDuringADownload(t *testing.T) {
	for _, tt := range []struct {
		name                string
		mobike, certificate bool
		version             int
	}{
		{"certificate and MOBIKE", true, true, 2},
		{"certificate without MOBIKE", false, true, 2},
		{"key and MOBIKE", true, false, 2},
		{"certificate and IKEv1", false, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, ca := newWorld(t), certtest.New(t, "CA")
			there, here := roaming(t, true, ca), roaming(t, false, ca)
			proof := "ECDSA-P256"
			if !tt.certificate {
				there, here, proof = config(true, key), config(false, key), "PSK"
				there.Tunnels, here.Tunnels = there.Tunnels[:1], here.Tunnels[:1]
			}
			there.Tunnels[0].Extensions.NoMOBIKE = !tt.mobike
			there.Tunnels[0].Versions = []int{tt.version}
			for _, cfg := range []*gateway.Config{&there, &here} {
				cfg.Tunnels[0].IKE = append(cfg.Tunnels[0].IKE, suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 19})
			}
			cloud := w.start("right", here, w.sockets(), nil)
			customer := w.start("left", there, nil, nil)
			upAndRouted := func(st gateway.Status) bool { return up(st) == "tunnel-1" && carrier(st) != "" }
			first := customer.until("the tunnel", upAndRouted)
			cloud.until("the tunnel", upAndRouted)
			if got := cloud.Status().Tunnels[0].IKE.Auth; got != proof {
				t.Errorf("got a peer that proved itself by %q, want %s", got, proof)
			}
			if got := slices.Contains(first.Tunnels[0].IKE.Extensions, "MOBIKE"); got != tt.mobike {
				t.Errorf("MOBIKE: got %v (%v), want %v", got, first.Tunnels[0].IKE.Extensions, tt.mobike)
			}
			d := w.download()
			t.Logf("a megabyte at rest: %v", d.more("at rest"))

			w.run("left", "ip", "addr", "del", "192.168.2.2/24", "dev", "wan0")
			w.run("left", "ip", "addr", "add", "192.168.2.77/24", "dev", "wan0")
			w.run("left", "ip", "route", "replace", "default", "via", "192.168.2.1", "dev", "wan0")
			t.Logf("a megabyte after a new address: %v", d.more("after a new address of the customer"))
			moved := customer.until("the new address in the status", func(st gateway.Status) bool {
				return up(st) == "tunnel-1" && st.Tunnels[0].IKE.Local.Addr() == addr("192.168.2.77")
			})
			if got, want := spis(moved), spis(first); slices.Equal(got, want) != tt.mobike {
				t.Errorf("SPIs: got %v, before %v; they stay with MOBIKE only", got, want)
			}

			w.run("nat", "ip", "addr", "del", "198.51.100.2/24", "dev", "out0")
			w.run("nat", "ip", "addr", "add", "198.51.100.3/24", "dev", "out0")
			t.Logf("a megabyte behind another NAT address: %v", d.more("after a new address of the NAT"))
			cloud.until("the peer at the NAT's new address", func(st gateway.Status) bool {
				return up(st) == "tunnel-1" && st.Tunnels[0].IKE.Remote.Addr() == addr("198.51.100.3")
			})
			if tt.mobike {
				if got, want := spis(*customer.Status()), spis(first); !slices.Equal(got, want) {
					t.Errorf("SPIs at the end: got %v, want %v as at the beginning", got, want)
				}
			}
		})
	}
}
