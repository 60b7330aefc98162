package ikev2

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"seikan/internal/secret"
)

// cookieSecretLife is how long a secret makes new cookies; it is accepted for
// as long again.
const cookieSecretLife = time.Minute

// cookieLen is the generation octet and the MAC.
const cookieLen = 1 + sha256.Size

// calm is how many attempts may be half open among machines that share a
// Cookies before each of them demands a cookie of everybody.
const calm = 16

// Cookies makes and checks the cookies with which a responder keeps no state
// for an initiator that may have lied about its address (RFC 7296 section
// 2.6), and counts the attempts that are half open, to know when cookies are
// called for. Any number of machines and goroutines may share one; all of a
// process should.
type Cookies struct {
	rand     io.Reader
	always   bool
	halfOpen atomic.Int64

	// mu guards the fields below it.
	mu         sync.Mutex
	generation uint8
	since      time.Time
	now, old   secret.Secret
}

// NewCookies returns Cookies that read their secrets from rand. They are
// demanded while 16 attempts or more are half open.
func NewCookies(rand io.Reader) *Cookies { return &Cookies{rand: rand} }

// NewStrictCookies returns Cookies that are always demanded.
func NewStrictCookies(rand io.Reader) *Cookies { return &Cookies{rand: rand, always: true} }

// demanded reports whether a request without a cookie gets nothing but one.
func (c *Cookies) demanded() bool { return c.always || c.halfOpen.Load() >= calm }

// A cookieClaim is what a cookie vouches for.
type cookieClaim struct {
	remote netip.AddrPort
	spiI   uint64
	nonce  []byte
}

// make returns the cookie that the sender of c must return.
func (c *Cookies) make(now time.Time, claim cookieClaim) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.rotateLocked(now); err != nil {
		return nil, err
	}
	return cookie(c.generation, c.now, claim), nil
}

// valid reports whether got is a cookie that we made for claim lately.
func (c *Cookies) valid(now time.Time, claim cookieClaim, got []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.rotateLocked(now); err != nil || len(got) != cookieLen {
		return false
	}
	// The secret changes often, and the one before is kept for those that are
	// on their way (RFC 7296 section 2.6).
	key := c.now
	if got[0] != c.generation {
		key = c.old
	}
	return !key.IsZero() && hmac.Equal(got, cookie(got[0], key, claim))
}

// rotateLocked replaces a secret that is too old. The caller holds c.mu.
func (c *Cookies) rotateLocked(now time.Time) error {
	age := now.Sub(c.since)
	if !c.now.IsZero() && age < cookieSecretLife {
		return nil
	}
	b := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c.rand, b); err != nil {
		return fmt.Errorf("cookie secret: %w", err)
	}
	c.old = c.now
	if age >= 2*cookieSecretLife {
		c.old = secret.Secret{}
	}
	c.now, c.since = secret.New(b), now
	c.generation++
	return nil
}

// cookie is <generation> | HMAC(<secret>, IPi | port | SPIi | Ni). The MAC
// covers the generation too, since it stands before the key.
func cookie(generation uint8, key secret.Secret, claim cookieClaim) []byte {
	mac := hmac.New(sha256.New, key.Reveal())
	b := append([]byte{generation}, claim.remote.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, claim.remote.Port())
	b = binary.BigEndian.AppendUint64(b, claim.spiI)
	mac.Write(b)
	mac.Write(claim.nonce)
	return mac.Sum([]byte{generation})
}
