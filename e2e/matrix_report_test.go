//go:build e2e

package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seikan/e2e/libreswan"
	"seikan/e2e/openiked"
	"seikan/e2e/strongswan"
)

// interopEnv names the file that a whole run of the matrix writes.
const interopEnv = "SEIKAN_INTEROP"

// show prints what came of the cells, and writes docs/interop.md where that is
// asked for. A part of the matrix makes no document.
func (m *matrix) show(t *testing.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.outcomes, func(a, b outcome) int { return cmp.Compare(a.order(), b.order()) })
	slices.SortFunc(m.suites, func(a, b outcome) int { return cmp.Compare(a.suiteName(), b.suiteName()) })
	var out bytes.Buffer
	m.peers(&out)
	m.algorithms(&out)
	fmt.Print(out.String())
	path := os.Getenv(interopEnv)
	if path == "" {
		return
	}
	if len(m.outcomes) != len(cells()) || len(m.suites) != len(suiteCells()) || t.Failed() {
		t.Errorf("%s: not written: %d of %d cells and %d of %d suites were run, failed: %v", path, len(m.outcomes), len(cells()), len(m.suites), len(suiteCells()), t.Failed())
		return
	}
	head, err := preface()
	if err == nil {
		err = os.WriteFile(path, append(head, out.Bytes()...), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// order sorts cells as cells makes them.
func (o outcome) order() int { return slices.Index(cells(), o.cell) }

func (o outcome) suiteName() string { return suiteCell{o.cell, o.suites}.name() }

// preface says what the tables show and what was run.
func preface() ([]byte, error) {
	var versions [3]string
	for i, of := range []func() (string, error){strongswan.Version, libreswan.Version, openiked.Version} {
		v, err := of()
		if err != nil {
			return nil, err
		}
		versions[i] = v
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, err
	}
	kernel := strings.SplitN(unix.ByteSliceToString(uts.Release[:]), ".", 3)
	return fmt.Appendf(nil, `# Interoperability

Written by `+"`make interop`"+` on %s: strongSwan %s, libreswan %s, OpenIKED %s; Linux %s, %s. Do not edit.

**A cell** brings a tunnel up, moves %d octets each way through TCP and compares their SHA-256, replaces the CHILD SA and the IKE SA, each by us and by
the peer, while pings flow every 10 ms, moves as much again, leaves the tunnel to dead peer detection for three intervals, has the peer delete it, brings it up again, ends our
gateway, brings it up a third time and cuts the path. *Dead after* is how long we took then (interval 1 s, timeout 3 s). *Deletes* says who deleted and was obeyed.
No packet in clear crosses the internet in between. `+"`nat`"+`: the initiator is behind a NAT that rewrites addresses; `+"`direct`"+`: none is between them.

**What carries the packets.** Ours: our own data plane. strongSwan: its user space, kernel-libipsec, which puts ESP into UDP 4500 even without a NAT. libreswan and OpenIKED leave ESP to a kernel;
here a shim answers in the kernel's place and a small ESP on Go's standard library, which shares nothing with ours, carries the packets and counts whatever it could not open or saw twice (none).
Both ends use real keys: the peer's as it handed them to the kernel.

**What differs.** OpenIKED has no command for a rekey: its CHILD SA is replaced because the shim tells it that the SA's lifetime is over, its IKE SA by a lifetime of 8 s. Debian's build knows no integrity for ESP but
HMAC-SHA1 and MD5. libreswan has no command for a rekey with IKEv1: its own timer is made to fire; it does not delete what it has replaced but lets it expire. Both, when they answer a rekey of the CHILD SA, send with the new SA
before their answer is on the wire, and so before the keys can be known to us, and OpenIKED, when it begins, deletes the old one before it uses the new one: up to two pings may be lost in such a rekey, none in any other.%s Certificates: root, intermediate CA, leaf; RSA with 2048 bits, ECDSA with P-256.
`, time.Now().UTC().Format("2006-01-02"), versions[0], versions[1], versions[2], strings.Join(kernel[:2], "."), runtime.Version(), moved, libreswanQuestions()), nil
}

// result is a cell in one word.
func (o outcome) result() string {
	switch {
	case o.cannot() != "":
		return o.cannot()
	case o.failed:
		return "FAILED"
	}
	return "works"
}

// peers writes a table for each peer.
func (m *matrix) peers(out *bytes.Buffer) {
	last := ""
	for _, o := range m.outcomes {
		if o.cell.peer != last {
			last = o.cell.peer
			fmt.Fprintf(out, "\n## %s\n\n| IKE | proof | we are | path | result | IKE suite | ESP suite | octets up | down | pings answered | rekeys | dead after | deletes |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n", last)
		}
		role, path := "responder", "direct"
		if o.initiate {
			role = "initiator"
		}
		if o.nat {
			path = "nat"
		}
		fmt.Fprintf(out, "| v%d | %s | %s | %s | %s |", o.version, cmp.Or(o.proof, o.auth), role, path, o.result())
		if o.cannot() != "" {
			fmt.Fprintln(out, " | | | | | | | |")
			continue
		}
		fmt.Fprintf(out, " %s | %s | %d | %d | %d of %d | %s | %s | %s |\n", o.ike, o.esp, o.up, o.down, o.answered, o.sent, strings.Join(o.rekeys, ", "), o.dpd, o.deleted)
	}
}

// algorithms writes the table of suites, both roles in one row.
func (m *matrix) algorithms(out *bytes.Buffer) {
	if len(m.suites) == 0 {
		return
	}
	fmt.Fprintf(out, `
## Every algorithm, with strongSwan

Each row is a tunnel behind a NAT, in either role: data both ways, a rekey of either SA by us, data again, three intervals of dead peer detection, a delete by the peer and one by us, with a new tunnel after each, and a cut path (*dead after*).
%s. IKEv1 has no AES-GCM in phase 1 and no X25519.

| IKE | phase 1 | phase 2, after its rekey | we are initiator | responder | deletes | dead after |
|---|---|---|---|---|---|---|
`, suitesSaid())
	type key struct {
		version int
		suites  phases
	}
	rows := map[key]map[bool]outcome{}
	var order []key
	for _, o := range m.suites {
		k := key{o.version, o.suites}
		if rows[k] == nil {
			rows[k] = map[bool]outcome{}
			order = append(order, k)
		}
		rows[k][o.initiate] = o
	}
	for _, k := range order {
		initiator, responder := rows[k][true], rows[k][false]
		fmt.Fprintf(out, "| v%d | %s | %s | %s, %d octets up, %d down | %s, %d, %d | %s; %s | %s; %s |\n", k.version, initiator.ike, initiator.esp,
			initiator.result(), initiator.up, initiator.down, responder.result(), responder.up, responder.down,
			initiator.deleted, responder.deleted, initiator.dpd, responder.dpd)
	}
}
