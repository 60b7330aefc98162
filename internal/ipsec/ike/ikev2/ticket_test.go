package ikev2

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// testTicket is one that lives for an hour.
func testTicket() ticket {
	return ticket{
		issued: begin, expires: begin.Add(time.Hour),
		peer:  peer{Identity: ike.Identity{Type: ike.IDFQDN, Data: "peer.example"}, auth: "PSK", until: begin.Add(2 * time.Hour)},
		suite: suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA256, Group: 19, AddKE: suite.MoreKE{suite.MLKEM768}},
		d:     secret.New(bytes.Repeat([]byte{7}, 32)), ppk: true,
	}
}

func testTickets() *Tickets { return NewTickets(rand.NewChaCha8([32]byte{9})) }

func sealed(t testing.TB, x *Tickets) []byte {
	t.Helper()
	b, err := x.seal(begin, []byte("scope"), testTicket())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTicketHoldsWhatWasSealed(t *testing.T) {
	x := testTickets()
	got, ok := x.open(begin, []byte("scope"), sealed(t, x))
	want := testTicket()
	if !ok || !got.issued.Equal(want.issued) || !got.expires.Equal(want.expires) {
		t.Fatalf("got %+v, %v, want %+v", got, ok, want)
	}
	if !got.peer.until.Equal(want.peer.until) {
		t.Errorf("got a peer until %v, want %v", got.peer.until, want.peer.until)
	}
	got.issued, got.expires, got.peer.until = want.issued, want.expires, want.peer.until
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestTicketOpensOnlyForWhomItIsMeantWhileItIsGood(t *testing.T) {
	x := testTickets()
	b := sealed(t, x)
	if bytes.Equal(b, sealed(t, x)) {
		t.Error("two tickets are the same")
	}
	for name, c := range map[string]struct {
		x     *Tickets
		now   time.Time
		scope string
		b     []byte
	}{
		"another scope":   {x, begin, "other", b},
		"another process": {NewTickets(rand.NewChaCha8([32]byte{8})), begin, "scope", b},
		"too late":        {x, begin.Add(time.Hour), "scope", b},
		"too early":       {x, begin.Add(-time.Second), "scope", b},
		"nothing":         {x, begin, "scope", nil},
		"too long":        {x, begin, "scope", append(bytes.Clone(b), make([]byte, maxTicket)...)},
	} {
		if _, ok := c.x.open(c.now, []byte(c.scope), c.b); ok {
			t.Errorf("%s: it opens", name)
		}
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, ok := x.open(begin, []byte("scope"), bad); ok {
			t.Errorf("it opens with octet %d changed", i)
		}
		if _, ok := x.open(begin, []byte("scope"), b[:i]); ok {
			t.Errorf("it opens with %d octets", i)
		}
	}
}

func TestTicketKeysAreReplacedAndKeptForAsLongAsTheirTicketsLive(t *testing.T) {
	x := testTickets()
	k := testTicket()
	k.expires = begin.Add(3 * ticketKeyLife)
	b, err := x.seal(begin, nil, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{ticketKeyLife - 1, true}, {ticketKeyLife, true}, {2*ticketKeyLife - 1, true}, {2 * ticketKeyLife, false}} {
		if _, ok := x.open(begin.Add(c.after), nil, b); ok != c.want {
			t.Errorf("after %v: got opened %v, want %v", c.after, ok, c.want)
		}
	}
	long := testTickets()
	if b, err = long.seal(begin, nil, k); err != nil {
		t.Fatal(err)
	}
	if _, ok := long.open(begin.Add(2*ticketKeyLife), nil, b); ok {
		t.Error("a key that nobody has used for two lives still opens")
	}
}

// FuzzTicket reads what a ticket holds and what a peer sends for one.
func FuzzTicket(f *testing.F) {
	x := testTickets()
	c := &codec{}
	k := testTicket()
	k.code(c)
	f.Add(c.b)
	f.Add(sealed(f, x))
	f.Add(c.b[:len(c.b)-1])
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, ok := x.open(begin, []byte("scope"), in); ok && !bytes.HasPrefix(in, x.now.name[:]) {
			t.Errorf("%x is no ticket of ours, and it opens", in)
		}
		k, err := decodeTicket(bytes.Clone(in))
		if err != nil {
			return
		}
		c := &codec{}
		if k.code(c); !bytes.Equal(c.b, in) {
			t.Errorf("%x is read, and written as %x", in, c.b)
		}
	})
}
