//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// natCustomer is our customer gateway that translates sources, and natCloud the
// other end, which has no route to the customer's site.
const (
	natCustomer = `
routes: [` + world.ServerSite + `]
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: ` + world.Responder + `, local_id: customer.example, remote_id: ` + world.Responder + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond + world.InsideBits + `
    liveness: {interval: 500ms, timeout: 1s}
    source_nat: true
  - name: t2
    interface: tun2
    outside: {remote_address: ` + world.Responder2 + `, local_id: customer.example, remote_id: ` + world.Responder2 + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond2 + world.InsideBits + `
    liveness: {interval: 500ms, timeout: 1s}
    source_nat: true
`
	natCloud = `
tunnels:
  - name: t1
    interface: tun1
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideFirst + world.InsideBits + `
  - name: t2
    interface: tun2
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder2 + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder2 + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideFirst2 + world.InsideBits + `
`
)

// TestSourceNAT has the server's side without any route to the client: answers
// find their way by the tunnel's inside address alone.
func TestSourceNAT(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	cloud := startText(t, w, "resp", natCloud)
	customer := startText(t, w, "cgw", natCustomer)
	w.Nft("server", `table ip watch {
		counter first { }
		counter second { }
		counter client { }
		chain in {
			type filter hook input priority 0
			ip saddr `+world.InsideSecond+` counter name first
			ip saddr `+world.InsideSecond2+` counter name second
			ip saddr `+world.Client+` counter name client
		}
	}`)
	seen := func(name string) (packets int) {
		_, numbers, _ := strings.Cut(w.Exec("server", "nft", "list", "counter", "ip", "watch", name), "packets ")
		if _, err := fmt.Sscan(numbers, &packets); err != nil {
			t.Fatal(err)
		}
		return packets
	}
	w.Until("both tunnels", 30*time.Second, func() error {
		st, err := customer.Whole()
		if err == nil && (!st.Tunnels[0].Up || !st.Tunnels[1].Up) {
			err = errors.New("not both up")
		}
		return err
	})
	w.Until("an answer", 10*time.Second, w.Reach)
	if got, err := w.Transfer(world.Load{Up: true, Octets: 4 << 20}); err != nil || !got.Whole(4<<20) {
		t.Errorf("transfer: got %+v, %v", got, err)
	}
	// Whichever was up first carries it all.
	used, other, path := "first", "second", world.Responder
	if seen(used) == 0 {
		used, other, path = other, used, world.Responder2
	}
	if seen(used) == 0 || seen(other) != 0 || seen("client") != 0 {
		t.Errorf("got %d packets from one tunnel's inside address, %d from the other's, %d from the client; want those of one tunnel alone", seen(used), seen(other), seen("client"))
	}

	// A flow that moves to the other tunnel has that one's address at once.
	stream, err := w.StartStream(true, streamRate)
	if err != nil {
		t.Fatal(err)
	}
	w.CutTo(path)
	w.Until("the flow over the other tunnel, with its address", 10*time.Second, func() error {
		if n := seen(other); n < streamRate/10 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
	if d, err := stream.Stop(); err != nil || d.Lost >= d.Sent {
		t.Errorf("got %v, %v", d, err)
	}
	w.Until("answers over the other tunnel", 10*time.Second, w.Reach)
	w.Mend()

	// Whoever comes in from the other end is answered as it was asked.
	reloaded(t, w, cloud, strings.ReplaceAll(natCloud, "    startup_action: add\n", "    startup_action: add\n    routes: ["+world.CustomerSite+"]\n"), "t1      changed  routes")
	w.Until("the server's ping of the client", 10*time.Second, func() error {
		if out, err := w.Command("server", "ping", "-q", "-c", "1", "-W", "1", world.Client).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})

	// Switched off, nothing is translated, and the SAs are those of before.
	reloaded(t, w, customer, strings.ReplaceAll(natCustomer, "    source_nat: true\n", ""), "t1      changed  source_nat", "t2      changed  source_nat")
	w.Until("an answer to the client itself", 10*time.Second, w.Reach)
	if st, err := customer.Whole(); err != nil || st.Tunnels[0].SourceNAT {
		t.Errorf("status: got %+v, %v, want no translation", st.Tunnels, err)
	}
	if seen("client") == 0 {
		t.Error("the server sees no packet from the client's own address")
	}
	if out := w.Exec("cgw", "nft", "list", "tables"); strings.Contains(out, "seikan") {
		t.Errorf("got the tables %s, want none of ours", out)
	}
	if packets, _ := w.Seen("clear"); packets != 0 {
		t.Errorf("%d packets crossed the internet in clear", packets)
	}
}
