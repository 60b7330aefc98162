package lanes

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// width is how many messages are encrypted at once.
const width = 8

// A schedule is the round keys of AES in the order of their use, each four
// words as they lie in memory: 11 for a key of 16 octets, 15 for one of 32.
type schedule [15 * 4]uint32

// A CBC is AES in CBC mode with one key (NIST SP 800-38A section 6.2).
type CBC struct {
	fast     bool
	rounds   int
	enc, dec schedule // when fast

	encMode, decMode ivSetter // when not
}

// An ivSetter is a BlockMode that can be given the next IV, as those of
// crypto/cipher can: so a message costs no new BlockMode.
type ivSetter interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// NewCBC returns the mode for a key of 16 or 32 octets.
func NewCBC(key []byte) (*CBC, error) { return newCBC(key, haveAES()) }

func newCBC(key []byte, fast bool) (*CBC, error) {
	if len(key) != 16 && len(key) != 32 {
		return nil, fmt.Errorf("lanes: AES key of %d octets: want 16 or 32", len(key))
	}
	c := &CBC{fast: fast, rounds: len(key)/4 + 6}
	if fast {
		c.expand(key)
		return c, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("lanes: %w", err)
	}
	enc, ok1 := cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).(ivSetter)
	dec, ok2 := cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).(ivSetter)
	if !ok1 || !ok2 {
		return nil, errors.New("lanes: this Go's CBC mode has no SetIV")
	}
	c.encMode, c.decMode = enc, dec
	return c, nil
}

// expand computes the round keys of both directions (FIPS 197 sections 5.2 and
// 5.3.5). A word's first octet is its lowest.
func (c *CBC) expand(key []byte) {
	nk, words := len(key)/4, 4*(c.rounds+1)
	rcon := uint32(1)
	for i := range words {
		if i < nk {
			c.enc[i] = binary.LittleEndian.Uint32(key[4*i:])
			continue
		}
		t := c.enc[i-1]
		switch i % nk {
		case 0:
			t = subWord(bits.RotateLeft32(t, -8)) ^ rcon
			rcon <<= 1
			if rcon == 0x100 {
				rcon = 0x1b
			}
		case 4: // only a key of eight words gets here
			t = subWord(t)
		}
		c.enc[i] = c.enc[i-nk] ^ t
	}
	invert(&c.dec, &c.enc, c.rounds)
}

// Encrypt encrypts each message in place: an IV of 16 octets, which stays as it
// is, and whole blocks. The messages must not overlap.
func (c *CBC) Encrypt(msgs [][]byte) {
	for _, m := range msgs {
		checkBlocks(m)
	}
	if c.fast {
		c.encryptLanes(msgs)
		return
	}
	for _, m := range msgs {
		c.encMode.SetIV(m[:aes.BlockSize])
		c.encMode.CryptBlocks(m[aes.BlockSize:], m[aes.BlockSize:])
	}
}

// encryptLanes keeps the lanes busy: whenever the shortest message of those in
// work is done, the next one takes its lane.
func (c *CBC) encryptLanes(msgs [][]byte) {
	// What is left of each lane's message, from the block before it on: that
	// is what the next one is chained to.
	var rest [width][]byte
	var at [width]*byte
	for {
		n, busy := math.MaxInt, -1
		for i := range rest {
			for blocks(rest[i]) <= 0 && len(msgs) > 0 {
				rest[i], msgs = msgs[0], msgs[1:]
			}
			if left := blocks(rest[i]); left > 0 {
				n, busy = min(n, left), i
			}
		}
		if busy < 0 {
			return
		}
		for i := range rest {
			// A lane with nothing to do does what another does, in the same
			// place: all of them read before one writes.
			at[i] = &rest[busy][0]
			if blocks(rest[i]) > 0 {
				at[i] = &rest[i][0]
			}
		}
		encrypt8(&c.enc, c.rounds, &at, n)
		for i := range rest {
			if blocks(rest[i]) > 0 {
				rest[i] = rest[i][n*aes.BlockSize:]
			}
		}
	}
}

// Decrypt decrypts msg, an IV of 16 octets and whole blocks, to dst, which has
// the blocks' length. dst is the blocks themselves or does not overlap msg.
func (c *CBC) Decrypt(dst, msg []byte) {
	checkBlocks(msg)
	body := msg[aes.BlockSize:]
	if len(body) == 0 {
		return
	}
	dst = dst[:len(body)]
	if c.fast {
		decrypt(&c.dec, c.rounds, &dst[0], &msg[0], len(body)/aes.BlockSize)
		return
	}
	c.decMode.SetIV(msg[:aes.BlockSize])
	c.decMode.CryptBlocks(dst, body)
}

// blocks is how many blocks follow the first one of m.
func blocks(m []byte) int { return len(m)/aes.BlockSize - 1 }

// checkBlocks panics, as crypto/cipher does, when m is no message: the
// assembly would go beyond its end.
func checkBlocks(m []byte) {
	if len(m) < aes.BlockSize || len(m)%aes.BlockSize != 0 {
		panic("lanes: message is not an IV and whole blocks")
	}
}
