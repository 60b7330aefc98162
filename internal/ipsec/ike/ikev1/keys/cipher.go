package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"seikan/internal/secret"
)

// blockSize is that of AES, and the length of an IV, in octets.
const blockSize = aes.BlockSize

// ErrBlocks says that a ciphertext is not a whole number of blocks.
var ErrBlocks = errors.New("ciphertext is not a whole number of blocks")

// A Cipher is the AES-CBC of one ISAKMP SA. It proves nothing about a message:
// the hash inside does.
type Cipher struct{ block cipher.Block }

func newCipher(key secret.Secret) (*Cipher, error) {
	block, err := aes.NewCipher(key.Reveal())
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return &Cipher{block: block}, nil
}

// wipe lets go of the key that the cipher has expanded.
func (c *Cipher) wipe() { c.block = nil }

// BlockSize is how many octets plaintext is padded to.
func (*Cipher) BlockSize() int { return blockSize }

// Seal encrypts plain, whole blocks, in memory of its own. The next message of
// the exchange has the last block of the result as its IV, see NextIV.
func (c *Cipher) Seal(iv, plain []byte) ([]byte, error) {
	switch {
	case c.block == nil:
		return nil, errors.New("seal: the keys are wiped: the ISAKMP SA is gone")
	case len(plain) == 0 || len(plain)%blockSize != 0 || len(iv) != blockSize:
		return nil, fmt.Errorf("seal: %d octets with an IV of %d: want whole blocks of %d", len(plain), len(iv), blockSize)
	}
	out := make([]byte, len(plain))
	cipher.NewCBCEncrypter(c.block, iv).CryptBlocks(out, plain)
	return out, nil
}

// Open decrypts sealed in memory of its own. The result of a wrong key or a
// forged message is garbage, not an error.
func (c *Cipher) Open(iv, sealed []byte) ([]byte, error) {
	if c.block == nil || len(iv) != blockSize || len(sealed) == 0 || len(sealed)%blockSize != 0 {
		return nil, ErrBlocks
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(c.block, iv).CryptBlocks(out, sealed)
	return out, nil
}

// NextIV is the last block of a ciphertext, the IV of the exchange's next
// message (RFC 2409 appendix B).
func NextIV(sealed []byte) []byte { return sealed[len(sealed)-blockSize:] }
