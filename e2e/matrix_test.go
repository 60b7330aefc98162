//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"seikan/e2e/libreswan"
	"seikan/e2e/openiked"
	"seikan/e2e/ourgateway"
	"seikan/e2e/pki"
	"seikan/e2e/pump"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// A cell is one field of the matrix: who is at the other end, how the two prove
// who they are, who begins, and whether a NAT is between them.
type cell struct {
	peer     string
	version  int // of IKE
	auth     string
	initiate bool // we begin
	nat      bool
}

// The peers, as the table names them.
const (
	peerStrongSwan = "strongSwan"
	peerLibreswan  = "libreswan"
	peerOpenIKED   = "OpenIKED"
)

// Ways to prove who one is.
const (
	authPSK   = "PSK"
	authRSA   = "RSA"
	authECDSA = "ECDSA"
)

// Names in certificates, and so the identities of those who show one.
const (
	customerName  = "cgw.site.example"
	responderName = "resp.cloud.example"
)

// cells are all of the matrix, those included that a peer cannot do.
func cells() (out []cell) {
	for _, peer := range []string{peerStrongSwan, peerLibreswan, peerOpenIKED} {
		for _, way := range []cell{{version: 2, auth: authPSK}, {version: 2, auth: authRSA}, {version: 2, auth: authECDSA}, {version: 1, auth: authPSK}, {version: 1, auth: authRSA}} {
			for _, initiate := range []bool{true, false} {
				for _, nat := range []bool{true, false} {
					out = append(out, cell{peer, way.version, way.auth, initiate, nat})
				}
			}
		}
	}
	return out
}

// cannot says why there is nothing to run in a cell, or nothing.
func (c cell) cannot() string {
	if c.peer == peerOpenIKED && c.version == 1 {
		return "OpenIKED has no IKEv1"
	}
	return ""
}

// name is the cell's test.
func (c cell) name() string {
	role, path := "responder", "direct"
	if c.initiate {
		role = "initiator"
	}
	if c.nat {
		path = "nat"
	}
	return strings.ToLower(fmt.Sprintf("%s-v%d-%s-%s-%s", c.peer, c.version, c.auth, role, path))
}

// phases are the suites of a cell: each way has another, so that the matrix has
// some variety; TestMatrix's suites have all.
func (c cell) phases() phases {
	out := phases{one: suite{"", "AES256", "SHA2-256", 14}, two: suite{"", "AES256", "SHA2-256", 14}}
	switch {
	case c.version == 1 && c.auth == authRSA:
		out.two = suite{"", "AES128-GCM-16", "SHA2-256", 14}
	case c.version == 1:
	case c.auth == authPSK:
		out = phases{one: suite{"", "AES128-GCM-16", "SHA2-256", 19}, two: suite{"", "AES128-GCM-16", "SHA2-256", 19}}
	case c.auth == authECDSA:
		out = phases{one: suite{"", "AES256-GCM-16", "SHA2-384", 20}, two: suite{"", "AES256-GCM-16", "SHA2-384", 20}}
	}
	if c.peer == peerOpenIKED { // all that Debian's build can do in phase 2
		out.two.encryption, out.two.integ = "AES256", "SHA1"
	}
	return out
}

// carrier is what ESP travels in, as world.Seen names it. strongSwan's user
// space wants UDP, NAT or not.
func (c cell) carrier() string {
	if c.nat || c.peer == peerStrongSwan {
		return "natt"
	}
	return "plain"
}

// A peer is the other end of a cell. Each method fails the test when the peer
// refuses; Current's error is world.ErrNoSA while there is no tunnel.
type peer interface {
	end
	Initiate()
	RekeyChild()
	RekeyIKE()
	Terminate()
}

// A matrix runs cells and keeps what came of them.
type matrix struct {
	rsa, ecdsa [2]pki.Files // the customer's and the responder's

	mu       sync.Mutex
	outcomes []outcome
	suites   []outcome
}

// An outcome is what became of one cell. Where a field is empty the cell did
// not come so far.
type outcome struct {
	cell
	suites          phases
	failed          bool
	ike, esp, proof string // what was agreed
	up, down        int64  // octets moved and found equal
	sent, answered  int    // pings, during rekeys too
	rekeys          []string
	dpd, deleted    string
	took            time.Duration
}

// moved is how much a cell moves each way.
const moved = 4_000_000

// TestMatrix is every kind of peer in every role, and every suite. With
// SEIKAN_INTEROP it writes docs/interop.md.
func TestMatrix(t *testing.T) {
	m := &matrix{}
	for algorithm, ends := range map[pki.Algorithm]*[2]pki.Files{pki.RSA: &m.rsa, pki.ECDSA: &m.ecdsa} {
		authority := pki.NewAuthority(t, algorithm)
		ends[0], ends[1] = authority.Issue(customerName), authority.Issue(responderName)
	}
	t.Run("peers", func(t *testing.T) {
		for _, c := range cells() {
			if c.cannot() != "" {
				m.add(outcome{cell: c})
				continue
			}
			t.Run(c.name(), func(t *testing.T) {
				t.Parallel()
				m.run(t, c)
			})
		}
	})
	t.Run("suites", func(t *testing.T) {
		for _, c := range suiteCells() {
			t.Run(c.name(), func(t *testing.T) {
				t.Parallel()
				m.runSuite(t, c)
			})
		}
	})
	m.show(t)
}

func (m *matrix) add(o outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes = append(m.outcomes, o)
}

// run does one cell from the first message to the last.
func (m *matrix) run(t *testing.T, c cell) {
	r := &trial{t: t, w: world.New(t), outcome: outcome{cell: c, suites: c.phases()}}
	begun := time.Now()
	defer func() {
		r.failed, r.took = t.Failed(), time.Since(begun)
		m.add(r.outcome)
	}()
	if c.peer == peerLibreswan && c.version == 2 {
		r.peerAsks = libreswanAsks // see libreswanQuestions
	}
	if !c.nat {
		r.w.WithoutNAT()
	}
	r.files = m.files(c)
	r.begin()
	r.traffic()
	r.rekeyed("CHILD by us", r.ours.RekeyChild)
	r.rekeyed("CHILD by them", r.peer.RekeyChild)
	r.rekeyed("IKE by us", r.ours.RekeyIKE)
	r.rekeyed("IKE by them", r.peer.RekeyIKE)
	r.traffic()
	r.idle()
	r.peerDeletes()
	r.weDelete()
	r.cut()
	if packets, _ := r.w.Seen("clear"); packets != 0 {
		t.Errorf("the internet saw %d packets in clear, want none", packets)
	}
}

func (m *matrix) files(c cell) [2]*pki.Files {
	switch c.auth {
	case authRSA:
		return [2]*pki.Files{&m.rsa[0], &m.rsa[1]}
	case authECDSA:
		return [2]*pki.Files{&m.ecdsa[0], &m.ecdsa[1]}
	}
	return [2]*pki.Files{}
}

// A trial is a cell that is being run.
type trial struct {
	outcome
	t     *testing.T
	w     *world.World
	files [2]*pki.Files // nil: PSK
	ours  *ourgateway.Gateway
	peer  peer
	// peerAsks is after how much silence libreswan asks whether we live; 0: dpdInterval.
	peerAsks time.Duration
	// weAsk is after how much silence we do; 0: dpdInterval.
	weAsk time.Duration
}

// An endpoint is one end's place in the world.
type endpoint struct {
	namespace, inside, site, local, remote, localID, remoteID string
	files                                                     *pki.Files
}

// at is the place of one end of the cell: the customer's, which begins, or the
// responder's.
func (r *trial) at(customer bool) endpoint {
	e := endpoint{"resp", world.InsideFirst + world.InsideBits, world.CustomerSite, world.Responder, world.NAT, world.Responder, customerID, r.files[1]}
	if !r.nat {
		e.remote = world.Customer
	}
	if customer {
		e = endpoint{"cgw", world.InsideSecond + world.InsideBits, world.ServerSite, world.Customer, world.Responder, customerID, world.Responder, r.files[0]}
	}
	switch {
	case e.files != nil && customer:
		e.localID, e.remoteID = customerName, responderName
	case e.files != nil:
		e.localID, e.remoteID = responderName, customerName
	case r.version == 1 && customer: // main mode finds the key by address, and its identity is the own one
		e.localID = world.Customer
	case r.version == 1:
		e.remoteID = world.Customer
	}
	return e
}

// begin starts both ends, the one that answers first.
func (r *trial) begin() {
	r.t.Helper()
	if r.initiate {
		r.peer = r.startPeer()
		r.ours = r.startOurs()
	} else {
		r.ours = r.startOurs()
		r.peer = r.startPeer()
		r.peer.Initiate()
	}
	r.established()
}

func (r *trial) startOurs() *ourgateway.Gateway {
	r.t.Helper()
	e, s := r.at(r.initiate), r.suites
	cfg := ourgateway.Config{Namespace: e.namespace, Initiate: r.initiate, Inside: e.inside, Site: e.site, Local: e.local, Remote: e.remote,
		LocalID: e.localID, RemoteID: e.remoteID, Version: r.version, Certificates: e.files,
		Encryption: s.one.encryption, Integrity: s.one.integ, DH: s.one.dh,
		Phase2: ourgateway.Phase2{Encryption: s.two.encryption, Integrity: s.two.integ, DH: s.two.dh}, Interval: cmp.Or(r.weAsk, dpdInterval), Timeout: max(r.weAsk, dpdTimeout)}
	if e.files == nil {
		cfg.PSK = psk
	}
	return ourgateway.Start(r.t, r.w, cfg)
}

func (r *trial) startPeer() peer {
	r.t.Helper()
	e, s := r.at(!r.initiate), r.suites
	switch r.cell.peer {
	case peerLibreswan:
		cfg := libreswan.Config{Namespace: e.namespace, Inside: e.inside, Site: e.site, Local: e.local, Remote: e.remote, LocalID: e.localID, RemoteID: e.remoteID,
			Version: r.version, AuthBy: map[string]string{authPSK: "psk", authRSA: "rsasig", authECDSA: "ecdsa"}[r.auth],
			PSK: psk, IKE: s.libreIKE(), ESP: s.libreESP(), DPDDelay: cmp.Or(r.peerAsks, dpdInterval)}
		if e.files != nil {
			cfg.Certificates = *e.files
		}
		return libreswan.Start(r.t, r.w, cfg)
	case peerOpenIKED:
		cfg := openiked.Config{Namespace: e.namespace, Inside: e.inside, Site: e.site, Local: e.local, Remote: e.remote, LocalID: e.localID, RemoteID: e.remoteID,
			Initiate: !r.initiate, PSK: psk, IKE: s.openIKE(), ESP: s.openESP(), DPDDelay: dpdInterval, IKELifetime: 8 * time.Second}
		if e.files != nil {
			cfg.AuthBy, cfg.Certificates = "rfc7427", *e.files
		}
		return openiked.Start(r.t, r.w, cfg)
	}
	cfg := strongswan.Config{Namespace: e.namespace, Inside: e.inside, Site: e.site, Local: e.local, LocalID: e.localID, RemoteID: e.remoteID,
		Version: r.version, PSK: psk, Certificates: e.files, IKE: s.one.swanIKE(), ESP: s.two.swanESP(), DPDDelay: dpdInterval}
	if !r.initiate {
		cfg.Remote = e.remote
	}
	swan := strongswan.Start(r.t, r.w, cfg)
	swan.Route()
	return swan
}

// established waits for the tunnel and keeps what was agreed.
func (r *trial) established() {
	r.t.Helper()
	r.w.Until("our tunnel", 20*time.Second, func() error { return up(r.ours) })
	r.w.Until("first ping", 5*time.Second, r.w.Reach)
	st, err := r.ours.Status()
	if err != nil || st.Child == nil {
		r.t.Fatalf("status: got %+v, %v, want a tunnel", st, err)
	}
	if st.IKE.Version != r.version {
		r.t.Errorf("version of IKE: got %d, want %d", st.IKE.Version, r.version)
	}
	if got, want := st.Child.Encap, r.carrier() == "natt"; got != want {
		r.t.Errorf("ESP in UDP: got %v, want %v", got, want)
	}
	r.ike, r.esp, r.proof = st.IKE.Suite, st.Child.Suite, st.IKE.Auth
}

// traffic moves noise both ways and compares it.
func (r *trial) traffic() { r.t.Helper(); r.move(moved) }

// move moves so many octets each way.
func (r *trial) move(octets int64) {
	r.t.Helper()
	for _, up := range []bool{true, false} {
		_, before := r.w.Seen(r.carrier())
		tr, err := r.w.Transfer(world.Load{Up: up, Octets: octets})
		_, after := r.w.Seen(r.carrier())
		if err != nil || !tr.Whole(octets) {
			r.t.Fatalf("%s: got %d octets of %d, equal SHA-256: %v, %v, want all of them", tr.Direction, tr.Received, tr.Sent, tr.Same, err)
		}
		if after-before < octets {
			r.t.Errorf("%s: the internet saw %d octets of %s, want at least %d", tr.Direction, after-before, r.carrier(), octets)
		}
		if up {
			r.up += tr.Received
		} else {
			r.down += tr.Received
		}
	}
}

// rekeyed calls rekey while pings flow and demands that both ends have new SAs
// and only them, and that no more pings were lost than the peer must lose.
func (r *trial) rekeyed(what string, rekey func()) {
	r.t.Helper()
	old, err := r.ours.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	before := r.early()
	stop, pinged := make(chan struct{}), make(chan int, 1)
	go func() { pinged <- r.pings(stop) }()
	r.w.Until("pings", 5*time.Second, r.w.Reach)
	rekey()
	r.w.Until("new SA after the rekey of "+what, 20*time.Second, func() error {
		now, err := r.ours.Current()
		if err == nil && now == old {
			err = fmt.Errorf("still %v", old)
		}
		if err == nil {
			_, err = r.peer.Current()
		}
		return err
	})
	close(stop)
	lost := <-pinged
	// Each that is lost must be one that the counters tell of.
	mayLose := min(r.mayLose(what), int(r.early()-before))
	if lost > mayLose {
		st, _ := r.ours.Status()
		r.t.Errorf("pings during the rekey of %s: got %d lost, want at most %d; our drops %v, the peer's pump %+v", what, lost, mayLose, st.Traffic.Drops, r.pumped())
	}
	r.rekeys = append(r.rekeys, what)
}

// pumped is what the pump has seen, where the peer has one.
func (r *trial) pumped() (seen pump.Count) {
	if p, ok := r.peer.(interface{ Pump() *pump.Pump }); ok {
		seen = p.Pump().Count()
	}
	return seen
}

// early counts what came, at either end, for an SA that was not there yet or not
// any more, and what the peer would have sent by one.
func (r *trial) early() uint64 {
	r.t.Helper()
	st, err := r.ours.Whole()
	if err != nil {
		r.t.Fatal(err)
	}
	seen := r.pumped()
	return st.UnknownSPI + seen.Unknown + seen.NoSA
}

// mayLose is how many pings a rekey may cost. libreswan and OpenIKED, when they
// answer a rekey of the CHILD SA, send with the new one before their answer is on
// the wire, and so before we can know the keys. libreswan, when it begins, deletes
// the old one before we can know that it does: what is on its way then is lost.
// OpenIKED, when it begins, deletes the old one before it has put the new one into
// use. On a machine with a load of 18 that cost 16.
func (r *trial) mayLose(what string) int {
	if r.cell.peer != peerStrongSwan && strings.HasPrefix(what, "CHILD") {
		return 50
	}
	return 0
}

// pings sends a ping every 10 ms until stop is closed, and returns how many were
// lost.
func (r *trial) pings(stop <-chan struct{}) (lost int) {
	for {
		sent, answered, err := r.w.Ping("client", world.Server, 40, 10*time.Millisecond)
		r.sent += sent
		r.answered += answered
		lost += sent - answered
		if err != nil {
			r.t.Error(err)
			return lost
		}
		select {
		case <-stop:
			return lost
		default:
		}
	}
}

// idle demands that both ends stay as they are while nothing but questions and
// answers of dead peer detection crosses.
func (r *trial) idle() {
	r.t.Helper()
	old, err := r.ours.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	seen := func() int64 {
		ike, _ := r.w.Seen("ike")
		natt, _ := r.w.Seen("natt")
		return ike + natt
	}
	before, begun := seen(), time.Now()
	r.w.Until("questions of dead peer detection", 4*dpdTimeout, func() error {
		if n := seen() - before; n < 4 || time.Since(begun) < dpdTimeout {
			return fmt.Errorf("%d packets in %v", n, time.Since(begun))
		}
		return nil
	})
	// OpenIKED may have replaced its IKE SA by the clock.
	if now, err := r.ours.Current(); err != nil || now != old && r.cell.peer != peerOpenIKED {
		r.t.Errorf("after idling: got %v, %v, want %v", now, err, old)
	}
}

// peerDeletes makes the peer delete; who began before begins anew.
func (r *trial) peerDeletes() {
	r.t.Helper()
	old, err := r.ours.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	r.peer.Terminate()
	r.w.Until("what the peer deleted is gone", 5*time.Second, func() error {
		if now, err := r.ours.Current(); err == nil && now == old {
			return fmt.Errorf("still %s", now)
		}
		return nil
	})
	if !r.initiate {
		r.peer.Initiate()
	}
	r.established()
	r.deleted = "them"
}

// weDelete ends our gateway as an operator does, and starts it again.
func (r *trial) weDelete() {
	r.t.Helper()
	r.ours.Stop()
	r.w.Until("the peer drops what we deleted", 5*time.Second, func() error {
		if now, err := r.peer.Current(); err != world.ErrNoSA {
			return fmt.Errorf("got %q, %v, want none", now, err)
		}
		return nil
	})
	r.ours = r.startOurs()
	if !r.initiate {
		r.peer.Initiate()
	}
	r.established()
	r.deleted = "them, us"
}

// cut lets our dead peer detection find out that the peer cannot be heard.
func (r *trial) cut() {
	r.t.Helper()
	r.w.Cut()
	took := r.w.Until("our tunnel down after the cut", 4*dpdTimeout, func() error { return down(r.ours) })
	r.dpd = fmt.Sprintf("%.1f s", took.Seconds())
}
