package ikev2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// How long a key seals new tickets; it opens those that it has sealed for as
// long again, which bounds the life of a ticket, too.
const ticketKeyLife = 24 * time.Hour

// Sizes of a ticket in octets: the key's name and the nonce stand before what
// is sealed.
const (
	ticketNameLen  = 8
	ticketNonceLen = 12
	// maxTicket bounds a ticket, since IKE_SESSION_RESUME cannot be fragmented.
	maxTicket = 1024
)

// Tickets seals and opens the tickets with which a peer takes up a lost session
// again (RFC 5723 section 6: tickets by value). They hold all that is needed,
// so that nothing is kept for those who have one. Its keys are random and die
// with the process. Any number of machines and goroutines may share one; all of
// a process should.
type Tickets struct {
	rand io.Reader

	// mu guards the fields below it.
	mu       sync.Mutex
	now, old ticketKey
}

// A ticketKey is one key by its name.
type ticketKey struct {
	name  [ticketNameLen]byte
	key   secret.Secret
	since time.Time
}

// NewTickets returns Tickets that read keys and nonces from rand.
func NewTickets(rand io.Reader) *Tickets { return &Tickets{rand: rand} }

// A ticket is what one holds or vouches for: what the new session inherits from
// the old one.
type ticket struct {
	issued, expires time.Time
	peer            peer // of whoever gave it out
	suite           suite.IKE
	d               secret.Secret // SK_d of the old session
	ppk             bool
}

// code codes the ticket.
func (k *ticket) code(c *codec) {
	c.when(&k.issued)
	c.when(&k.expires)
	number(c, &k.peer.Type)
	c.text(&k.peer.Data)
	c.text(&k.peer.auth)
	c.when(&k.peer.until)
	codeIKESuite(c, &k.suite)
	c.hidden(&k.d)
	c.flag(&k.ppk)
}

// decodeTicket reads what code has written.
func decodeTicket(b []byte) (ticket, error) {
	var k ticket
	c := &codec{b: b, reading: true}
	k.code(c)
	if len(c.b) > 0 {
		c.fail("%d octets too many", len(c.b))
	}
	if c.err == nil {
		if err := k.suite.Validate(); err != nil {
			c.fail("%v", err)
		}
	}
	if c.err == nil && k.d.Len() != k.suite.PRF.Size() {
		c.fail("SK_d of %d octets", k.d.Len())
	}
	return k, c.err
}

// rotateLocked replaces a key that is too old. The caller holds x.mu.
func (x *Tickets) rotateLocked(now time.Time) error {
	age := now.Sub(x.now.since)
	if !x.now.key.IsZero() && age < ticketKeyLife {
		return nil
	}
	b := make([]byte, ticketNameLen+32)
	defer clear(b)
	if _, err := io.ReadFull(x.rand, b); err != nil {
		return fmt.Errorf("ticket key: %w", err)
	}
	x.old.key.Wipe()
	x.old = x.now
	if age >= 2*ticketKeyLife {
		x.old.key.Wipe()
		x.old = ticketKey{}
	}
	x.now = ticketKey{name: [ticketNameLen]byte(b), key: secret.New(b[ticketNameLen:]), since: now}
	return nil
}

// seal makes a ticket for whoever is meant by scope: no other scope opens it.
func (x *Tickets) seal(now time.Time, scope []byte, k ticket) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.rotateLocked(now); err != nil {
		return nil, err
	}
	c := &codec{}
	k.code(c)
	defer clear(c.b)
	if c.err != nil {
		return nil, c.err
	}
	aead, err := x.now.aead()
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, maxTicket), x.now.name[:]...)
	out = out[:ticketNameLen+ticketNonceLen]
	if _, err := io.ReadFull(x.rand, out[ticketNameLen:]); err != nil {
		return nil, fmt.Errorf("ticket nonce: %w", err)
	}
	return aead.Seal(out, out[ticketNameLen:], c.b, x.now.bind(scope)), nil
}

// open undoes seal, as long as the ticket has not expired.
func (x *Tickets) open(now time.Time, scope, sealed []byte) (ticket, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.rotateLocked(now); err != nil || len(sealed) < ticketNameLen+ticketNonceLen || len(sealed) > maxTicket {
		return ticket{}, false
	}
	key := x.now
	if string(key.name[:]) != string(sealed[:ticketNameLen]) {
		key = x.old
	}
	if key.key.IsZero() || string(key.name[:]) != string(sealed[:ticketNameLen]) {
		return ticket{}, false
	}
	aead, err := key.aead()
	if err != nil {
		return ticket{}, false
	}
	sealed = sealed[ticketNameLen:]
	plain, err := aead.Open(nil, sealed[:ticketNonceLen], sealed[ticketNonceLen:], key.bind(scope))
	if err != nil {
		return ticket{}, false
	}
	defer clear(plain)
	k, err := decodeTicket(plain)
	if err != nil || !now.Before(k.expires) || now.Before(k.issued) {
		k.d.Wipe()
		return ticket{}, false
	}
	return k, true
}

// aead is AES-256-GCM under the key.
func (k *ticketKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.key.Reveal())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// bind is what ties a ticket to its name and scope, which may hold secrets.
func (k *ticketKey) bind(scope []byte) []byte {
	mac := hmac.New(sha256.New, k.key.Reveal())
	mac.Write(scope)
	return mac.Sum(append([]byte(nil), k.name[:]...))
}
