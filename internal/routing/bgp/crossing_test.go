package bgp

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	wire "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// A crossing stands between two speakers, each of which takes it for the other,
// and lets their first connections cross: nobody's OPEN is answered before both
// ends confirmed the connection that the other opened. That is what happens when
// both open within the time that a message is on its way. Later connections go
// straight through.
type crossing struct {
	t       *testing.T
	running sync.WaitGroup

	mu    sync.Mutex
	done  bool
	close []io.Closer
}

// cross starts a crossing between a, of the lower address, and b, and returns
// the configurations of their peers, the i-th.
func cross(t *testing.T, i int) (a, b Peer) {
	t.Helper()
	at := func(n int) string { return fmt.Sprintf("127.0.%d.%d", n, i) }
	c := &crossing{t: t}
	t.Cleanup(func() {
		c.mu.Lock()
		c.done = true
		for _, x := range c.close {
			x.Close()
		}
		c.mu.Unlock()
		c.running.Wait()
	})
	name := fmt.Sprint(i)
	a = Peer{Name: name, Local: addr(at(1)), Remote: addr(at(2)), ASN: 64512}
	b = Peer{Name: name, Local: addr(at(4)), Remote: addr(at(3)), ASN: 65000}
	fromA, fromB := c.listen(at(2)), c.listen(at(3))
	c.running.Go(func() {
		first, ok := c.accept(fromA)
		second, ok2 := c.accept(fromB)
		if !ok || !ok2 {
			return
		}
		var both sync.WaitGroup // has who did not confirm yet
		both.Add(2)
		c.running.Go(func() { c.carry(first, at(3), at(4), &both) })
		c.running.Go(func() { c.carry(second, at(2), at(1), &both) })
		c.running.Go(func() { c.serve(fromA, at(3), at(4)) })
		c.serve(fromB, at(2), at(1))
	})
	return a, b
}

// held has x closed at the end of the test, or now if that is past.
func (c *crossing) held(x io.Closer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close = append(c.close, x)
	if c.done {
		x.Close()
	}
}

func (c *crossing) listen(at string) net.Listener {
	c.t.Helper()
	l, err := net.Listen("tcp", at+":179")
	if err != nil {
		c.t.Fatal(err)
	}
	c.held(l)
	return l
}

func (c *crossing) accept(l net.Listener) (net.Conn, bool) {
	conn, err := l.Accept()
	if err != nil {
		return nil, false
	}
	c.held(conn)
	return conn, true
}

// serve carries whatever is opened at l.
func (c *crossing) serve(l net.Listener, from, to string) {
	for {
		conn, ok := c.accept(l)
		if !ok {
			return
		}
		c.running.Go(func() { c.carry(conn, from, to, nil) })
	}
}

// carry carries conn to the other end, until one of them closes. With a group it
// holds back the answer until every member has a KEEPALIVE in its hands.
func (c *crossing) carry(conn net.Conn, from, to string, group *sync.WaitGroup) {
	defer conn.Close()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	on, err := d.Dial("tcp", to+":179")
	if err != nil {
		return
	}
	c.held(on)
	defer on.Close()
	c.running.Go(func() {
		io.Copy(on, conn)
		on.Close()
	})
	if group != nil {
		held := c.answer(on)
		group.Done()
		group.Wait()
		conn.Write(held)
	}
	io.Copy(conn, on)
}

// answer is what conn says up to its first KEEPALIVE.
func (c *crossing) answer(conn net.Conn) (all []byte) {
	for {
		head := make([]byte, wire.BGP_HEADER_LENGTH)
		if _, err := io.ReadFull(conn, head); err != nil {
			return all
		}
		h := &wire.BGPHeader{}
		if err := h.DecodeFromBytes(head); err != nil {
			return all
		}
		body := make([]byte, int(h.Len)-len(head))
		if _, err := io.ReadFull(conn, body); err != nil {
			return all
		}
		all = append(append(all, head...), body...)
		if h.Type == wire.BGP_MSG_KEEPALIVE {
			return all
		}
	}
}

// RFC 4271 section 6.8: of two connections one stays. GoBGP 4.8 waits for ever
// when each end confirmed the other's.
func TestSessionsThatBothEndsOpenAtOnceComeUp(t *testing.T) {
	const sessions = 50
	cgw := Config{ASN: 65000, RouterID: addr("127.0.0.1")}
	aws := Config{ASN: 64512, RouterID: addr("127.0.0.2")}
	for i := range sessions {
		a, b := cross(t, i+1)
		cgw.Peers, aws.Peers = append(cgw.Peers, a), append(aws.Peers, b)
		cgw.Listen, aws.Listen = append(cgw.Listen, a.Local), append(aws.Listen, b.Local)
	}
	for _, r := range run(t, cgw, aws) {
		for _, p := range cgw.Peers {
			r.until(t, p.Name, "the session", established)
		}
	}
}
