package bgp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// A raw peer says what it likes: AWS's end at 127.0.0.2, for the customer's of
// pair.
type raw struct {
	t      *testing.T
	conn   net.Conn
	asn    uint16        // what we said in our OPEN
	opened *wire.BGPOpen // which is this
}

// dial opens a session from 127.0.0.2 with a hold time in seconds, and returns
// it established.
func dial(t *testing.T, hold uint16) raw {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: time.Second}
	late := time.Now().Add(patience)
	for time.Now().Before(late) {
		conn, err := d.Dial("tcp", "127.0.0.1:179")
		if errors.Is(err, syscall.ECONNREFUSED) { // it begins anew
			<-time.After(100 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r := raw{t: t, conn: conn}
		r.send(open(hold))
		r.send(wire.NewBGPKeepAliveMessage())
		// It may be idle for five seconds after a session and close at once.
		if m, err := r.read(); err == nil && m.Header.Type == wire.BGP_MSG_OPEN {
			t.Cleanup(func() { conn.Close() })
			r.opened = m.Body.(*wire.BGPOpen)
			r.asn = r.opened.MyAS
			return r
		}
		conn.Close()
		<-time.After(100 * time.Millisecond) // as a router retries
	}
	t.Fatalf("no session in %v", patience)
	return raw{}
}

// open is an OPEN of AS 64512 that can restart gracefully.
func open(hold uint16) *wire.BGPMessage {
	caps := []wire.ParameterCapabilityInterface{
		wire.NewCapMultiProtocol(wire.RF_IPv4_UC), wire.NewCapFourOctetASNumber(64512),
		wire.NewCapGracefulRestart(false, false, 120, []*wire.CapGracefulRestartTuple{wire.NewCapGracefulRestartTuple(wire.RF_IPv4_UC, true)}),
	}
	m, _ := wire.NewBGPOpenMessage(64512, hold, addr("127.0.0.2"), []wire.OptionParameterInterface{wire.NewOptionParameterCapability(caps)})
	return m
}

func (r raw) send(m *wire.BGPMessage) {
	r.t.Helper()
	b, err := m.Serialize()
	if err == nil {
		_, err = r.conn.Write(b)
	}
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) { // whoever reads sees those
		r.t.Error(err)
	}
}

// read is the next message.
func (r raw) read() (*wire.BGPMessage, error) {
	r.conn.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, wire.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(r.conn, head); err != nil {
		return nil, err
	}
	h := &wire.BGPHeader{}
	if err := h.DecodeFromBytes(head); err != nil {
		return nil, err
	}
	body := make([]byte, int(h.Len)-wire.BGP_HEADER_LENGTH)
	if _, err := io.ReadFull(r.conn, body); err != nil {
		return nil, err
	}
	return wire.ParseBGPBody(h, body)
}

// refusal waits for a NOTIFICATION and names it.
func (r raw) refusal() string {
	for {
		m, err := r.read()
		if err != nil {
			return err.Error()
		}
		if n, ok := m.Body.(*wire.BGPNotification); ok {
			return notification(int64(n.ErrorCode), int64(n.ErrorSubcode))
		}
	}
}

// update announces p with a next hop and an AS path.
func (r raw) update(p, hop string, path ...uint32) {
	nlri, _ := wire.NewIPAddrPrefix(netip.MustParsePrefix(p))
	next, _ := wire.NewPathAttributeNextHop(addr(hop))
	r.send(wire.NewBGPUpdateMessage(nil, []wire.PathAttributeInterface{
		wire.NewPathAttributeOrigin(wire.BGP_ORIGIN_ATTR_TYPE_INCOMPLETE), next,
		wire.NewPathAttributeAsPath([]wire.AsPathParamInterface{wire.NewAs4PathParam(wire.BGP_ASPATH_ATTR_TYPE_SEQ, path)}),
	}, []wire.PathNLRI{{NLRI: nlri}}))
}

// customer is the customer's end, which runs, and a raw peer with one route.
func customer(t *testing.T, hold uint16, change func(*Peer)) (*runner, raw) {
	t.Helper()
	cgw, _ := pair()
	if change != nil {
		change(&cgw.Peers[0])
	}
	us := run(t, cgw)[0]
	peer := dial(t, hold)
	peer.update("10.0.0.0/16", "127.0.0.2", 64512)
	us.until(t, "aws", "its route", func(p PeerStatus) bool { return p.Established && p.Accepted == 1 })
	return us, peer
}

// The other end is no speaker of this process, for GoBGP writes package variables
// when it starts.
func TestSetOfAnotherASNBeginsAnew(t *testing.T) {
	us, peer := customer(t, 30, nil)
	cgw, _ := pair()
	cgw.ASN = 65001
	us.set(t, cgw)
	if got := peer.refusal(); got != "6/2 (Cease/Administrative Shutdown)" {
		t.Errorf("the peer was told %q", got)
	}
	if peer = dial(t, 30); peer.asn != 65001 {
		t.Errorf("ASN afterwards: got %d, want 65001", peer.asn)
	}
	us.until(t, "aws", "a session without the route of before", func(p PeerStatus) bool { return p.Established && len(p.Routes) == 0 })
}

// vpn §4.2: what AWS's log calls DENIED.
func TestRoutesThatAWSWouldDenyAreRefused(t *testing.T) {
	us, peer := customer(t, 30, nil)
	peer.update("10.1.0.0/16", "127.0.0.2", 64512, 65000, 64512)
	peer.update("10.2.0.0/16", "127.0.0.9", 64512)
	peer.update("169.254.10.0/30", "127.0.0.2", 64512)
	p := us.until(t, "aws", "four routes", func(p PeerStatus) bool { return p.Received == 4 })
	for i, want := range []string{"", "as-path contains our own AS", "next hop 127.0.0.9 is not the connected peer", "martian prefix"} {
		if got := p.Routes[i].Refused; got != want {
			t.Errorf("%v: got %q, want %q", p.Routes[i].Prefix, got, want)
		}
	}
	if p.Accepted != 1 || p.Routes[0].Origin != "incomplete" {
		t.Errorf("got %+v, want one accepted, of origin incomplete", p)
	}
}

// RFC 4724 section 4.2: routes are kept when the connection breaks without a
// word, and not after a NOTIFICATION.
func TestRoutesAreKeptWhilePeerRestartsAndOnlyThen(t *testing.T) {
	us, peer := customer(t, 30, nil)
	peer.conn.Close()
	p := us.until(t, "aws", "the break", func(p PeerStatus) bool { return !p.Established })
	if p.Accepted != 1 || !p.Routes[0].Stale || p.LastError != "the connection broke" {
		t.Errorf("after the break: got %+v, want the route kept as stale", p)
	}
	peer = dial(t, 30)
	peer.update("10.9.0.0/16", "127.0.0.2", 64512)
	peer.send(wire.NewEndOfRib(wire.RF_IPv4_UC))
	us.until(t, "aws", "the new route alone", func(p PeerStatus) bool {
		return p.Established && len(p.Routes) == 1 && p.Routes[0].Prefix == prefix("10.9.0.0/16") && !p.Routes[0].Stale
	})
	peer.send(wire.NewBGPNotificationMessage(wire.BGP_ERROR_CEASE, wire.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, nil))
	p = us.until(t, "aws", "the end", func(p PeerStatus) bool { return !p.Established })
	if want := "received 6/2 (Cease/Administrative Shutdown)"; len(p.Routes) != 0 || p.LastError != want {
		t.Errorf("after a NOTIFICATION: got %+v, want no route and %q", p, want)
	}
}

// A peer that can restart gracefully keeps our routes when the connection closes
// without a word (RFC 4724 section 4.2), so that there must be one each time.
func TestGoodbyeIsHeardEachTime(t *testing.T) {
	for range 20 {
		us, peer := customer(t, 30, nil)
		stopped := make(chan error, 1)
		go func() { stopped <- us.stop() }()
		if got := peer.refusal(); got != "6/2 (Cease/Administrative Shutdown)" {
			t.Fatalf("the peer was told %q", got)
		}
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
	}
}

// What ended an earlier session says nothing of one that breaks later.
func TestRoutesAreKeptThoughAnEarlierSessionWasEnded(t *testing.T) {
	us, peer := customer(t, 30, nil)
	peer.send(wire.NewBGPNotificationMessage(wire.BGP_ERROR_CEASE, wire.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, nil))
	us.until(t, "aws", "the end", func(p PeerStatus) bool { return !p.Established && len(p.Routes) == 0 })
	peer = dial(t, 30)
	peer.update("10.9.0.0/16", "127.0.0.2", 64512)
	peer.send(wire.NewEndOfRib(wire.RF_IPv4_UC))
	us.until(t, "aws", "the new route", func(p PeerStatus) bool { return p.Established && p.Accepted == 1 })
	peer.conn.Close()
	p := us.until(t, "aws", "the break", func(p PeerStatus) bool { return !p.Established })
	if p.Accepted != 1 || !p.Routes[0].Stale || p.Routes[0].Prefix != prefix("10.9.0.0/16") {
		t.Errorf("after the break: got %+v, want the new route kept as stale", p)
	}
}

func TestSilentPeerLosesItsRoutes(t *testing.T) {
	us, peer := customer(t, 3, nil)
	p := us.until(t, "aws", "the end of its patience", func(p PeerStatus) bool { return !p.Established })
	if want := "sent 4/0 (Hold Timer Expired)"; len(p.Routes) != 0 || p.LastError != want {
		t.Errorf("got %+v, want no route, though the peer can restart gracefully, and %q", p, want)
	}
	if got := peer.refusal(); got != "4/0 (Hold Timer Expired)" {
		t.Errorf("the peer was told %q", got)
	}
	dial(t, 30)
	us.until(t, "aws", "a new session without the old route", func(p PeerStatus) bool { return p.Established && len(p.Routes) == 0 })
}

func TestBadMessageEndsOrSparesTheSessionAsTheRFCsSay(t *testing.T) {
	us, peer := customer(t, 30, nil)
	// RFC 7606: an UPDATE whose attributes are bad withdraws its prefixes.
	bad, _ := wire.NewBGPUpdateMessage(nil, nil, nil).Serialize()
	bad = append(bad[:19], 0, 0, 0, 4, 0x40, 1, 1, 9, 16, 10, 0) // ORIGIN 9 of 10.0.0.0/16
	bad[17] = byte(len(bad))
	peer.conn.Write(bad)
	us.until(t, "aws", "the prefix withdrawn", func(p PeerStatus) bool { return p.Established && p.Received == 0 })
	// RFC 4271 section 6.1: a header without marker ends it.
	peer.conn.Write(make([]byte, wire.BGP_HEADER_LENGTH))
	if got := peer.refusal(); !strings.HasPrefix(got, "1/") {
		t.Errorf("after a bad header: got %q, want a Message Header Error", got)
	}
	us.until(t, "aws", "the end", func(p PeerStatus) bool {
		return !p.Established && strings.Contains(p.LastError, "Message Header Error")
	})
}

func TestPrefixesBeyondTheLimitAreTold(t *testing.T) {
	us, peer := customer(t, 30, func(p *Peer) { p.MaxPrefixes = 2 })
	peer.update("10.1.0.0/16", "127.0.0.2", 64512)
	us.until(t, "aws", "two", func(p PeerStatus) bool { return p.Accepted == 2 })
	peer.update("10.2.0.0/16", "127.0.0.2", 64512)
	if got := peer.refusal(); got != "6/1 (Cease/Maximum Number of Prefixes Reached)" {
		t.Errorf("got %q, want 6/1", got)
	}
}

func TestStrangersAreNotSpokenTo(t *testing.T) {
	cgw, _ := pair()
	run(t, cgw)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}, Timeout: time.Second}
	conn, err := d.Dial("tcp", "127.0.0.1:179")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if m, err := (raw{t: t, conn: conn}).read(); err == nil {
		t.Errorf("a stranger got %+v, want nothing", m)
	}
}
