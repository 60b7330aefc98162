package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"seikan/internal/secret"
)

// ErrIntegrity says that a message fails its integrity check or is too short
// to have one: it must be dropped silently (RFC 7296 section 2.21).
var ErrIntegrity = errors.New("message fails its integrity check")

// ErrPadding says that a message is authentic but padded wrongly.
var ErrPadding = errors.New("message has a bad pad length")

// tagLen is the ICV of both AEADs in octets (RFC 5282 section 3, RFC 7634
// section 2).
const tagLen = 16

// headerLen is the IKE header's length in octets (RFC 7296 section 3.1), and
// lengthAt the place of the message length in it.
const (
	headerLen = 28
	lengthAt  = 24
)

// minBody is where the IV of an SK payload begins at the earliest: after the
// header and a generic payload header.
const minBody = headerLen + 4

// A Protector seals or opens the SK (and SKF) payloads of one direction of an
// IKE SA. Of the two that a side has, one only seals and one only opens. It is
// not safe for concurrent use.
type Protector struct {
	block  cipher.Block  // nil with an AEAD
	aead   cipher.AEAD   // nil with CBC
	salt   secret.Secret // AEAD: first 4 octets of the nonce
	whole  [12]byte      // AEAD: the nonce of the message at hand
	next   uint64        // AEAD: explicit IV of the next message
	spent  bool          // AEAD: the last IV has been used
	integ  Integ
	auth   secret.Secret
	random io.Reader // CBC: source of IVs
	wiped  bool
}

// NewProtector returns a Protector for one direction of an IKE SA: encKey is
// SK_ei or SK_er (ending in the salt with an AEAD), authKey SK_ai or SK_ar
// (empty with an AEAD), as DeriveIKE makes them. random is where CBC's IVs come from; nil
// is crypto/rand. The keys are copied, so that wiping them does not change what
// the Protector does. The error says that a key has the wrong length or that s
// is not valid.
func NewProtector(s IKE, encKey, authKey secret.Secret, random io.Reader) (*Protector, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("new protector: %w", err)
	}
	if want := s.EncrKey().MaterialLen(); encKey.Len() != want {
		return nil, fmt.Errorf("new protector: encryption key has %d octets, %v takes %d: pass SK_ei or SK_er of this suite", encKey.Len(), s.EncrKey(), want)
	}
	if want := s.Integ.KeyLen(); authKey.Len() != want {
		return nil, fmt.Errorf("new protector: integrity key has %d octets, %v takes %d: pass SK_ai or SK_ar of this suite", authKey.Len(), s.Integ, want)
	}
	if random == nil {
		random = rand.Reader
	}
	key := encKey.Reveal()
	p := &Protector{integ: s.Integ, auth: secret.New(authKey.Reveal()), random: random}
	var err error
	if s.Encr.AEAD() {
		p.salt = secret.New(key[s.KeyBits/8:])
		p.aead, err = s.EncrKey().NewAEAD(key[:s.KeyBits/8])
	} else {
		p.block, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil, fmt.Errorf("new protector: %w", err)
	}
	return p, nil
}

// Wipe overwrites the keys that p holds and lets go of those that the ciphers
// have expanded. Afterwards p seals and opens nothing.
func (p *Protector) Wipe() {
	p.salt.Wipe()
	clear(p.whole[:])
	p.auth.Wipe()
	p.block, p.aead, p.wiped = nil, nil, true
}

// SealedLen is how many octets IV, ciphertext with padding, and ICV take for
// plain octets of inner payloads. Header length fields can so be written
// before sealing.
func (p *Protector) SealedLen(plain int) int {
	if p.aead != nil {
		return AESGCM16.IVLen() + plain + 1 + tagLen
	}
	return aes.BlockSize + plain + p.padLen(plain) + 1 + p.integ.ICVLen()
}

// padLen is the number of octets before the pad length octet: none with an
// AEAD, which has no block to fill (RFC 5282 section 3, RFC 7634 section 2), else what fills the last
// block (RFC 7296 section 3.14).
func (p *Protector) padLen(plain int) int {
	if p.aead != nil {
		return 0
	}
	return (aes.BlockSize - (plain+1)%aes.BlockSize) % aes.BlockSize
}

// SealSK returns the whole message: msg, which reaches from the first octet of
// the IKE header to the last before the IV (the SK generic header, or the
// fragment numbers of an SKF payload), then IV, ciphertext and ICV. All length
// fields in msg must be final; the message length is checked, since a wrong
// one would be sealed in. msg and plaintext are not changed; the result is
// appended to msg, in its memory if there is room.
//
// With an AEAD the IV counts messages and all of msg is associated data (RFC 5282
// sections 3.1 and 5); with CBC the IV is random and the ICV covers
// everything before it (RFC 7296 section 3.14). The error says that msg is
// inconsistent, that random failed, or that 2^64 messages have been sealed.
func (p *Protector) SealSK(msg, plaintext []byte) ([]byte, error) {
	if p.wiped {
		return nil, errors.New("seal IKE message: the keys are wiped: the IKE SA is gone")
	}
	total := len(msg) + p.SealedLen(len(plaintext))
	if len(msg) < minBody {
		return nil, fmt.Errorf("seal IKE message: %d octets before the IV, must be at least %d", len(msg), minBody)
	}
	if got := binary.BigEndian.Uint32(msg[lengthAt:]); uint64(got) != uint64(total) {
		return nil, fmt.Errorf("seal IKE message: header says %d octets, message will have %d: write len(msg)+SealedLen first", got, total)
	}
	out := slices.Grow(msg, total-len(msg))
	if p.aead != nil {
		return p.sealAEAD(out, plaintext)
	}
	return p.sealCBC(out, plaintext)
}

// sealAEAD appends IV, ciphertext and tag to out.
func (p *Protector) sealAEAD(out, plaintext []byte) ([]byte, error) {
	if p.spent {
		return nil, errors.New("seal IKE message: all 2^64 IVs of this key are used: rekey the IKE SA")
	}
	aad := out[:len(out):len(out)]
	out = binary.BigEndian.AppendUint64(out, p.next)
	nonce := p.nonce(out[len(aad):])
	if p.next == math.MaxUint64 {
		p.spent = true
	}
	p.next++
	body := len(out)
	out = append(out, plaintext...)
	out = append(out, 0) // pad length
	return p.aead.Seal(out[:body], nonce, out[body:], aad), nil
}

// nonce is the AEAD's nonce: the salt, then the explicit IV (RFC 5282 section
// 4, RFC 7634 section 2).
func (p *Protector) nonce(iv []byte) []byte {
	return append(append(p.whole[:0], p.salt.Reveal()...), iv...)
}

// sealCBC appends IV, ciphertext and ICV to out.
func (p *Protector) sealCBC(out, plaintext []byte) ([]byte, error) {
	iv := out[len(out) : len(out)+aes.BlockSize]
	if _, err := io.ReadFull(p.random, iv); err != nil {
		return nil, fmt.Errorf("seal IKE message: read random source: %w", err)
	}
	out = out[:len(out)+aes.BlockSize]
	body := len(out)
	pad := p.padLen(len(plaintext))
	out = append(out, plaintext...)
	out = append(out, make([]byte, pad)...)
	out = append(out, byte(pad))
	cipher.NewCBCEncrypter(p.block, iv).CryptBlocks(out[body:], out[body:])
	return append(out, p.icv(out)...), nil
}

// OpenSK returns the inner payloads of msg, a whole IKE message whose IV begins
// at bodyOffset (after the SK generic header, or after the fragment numbers of
// an SKF payload). msg is not changed; the result does not share memory with
// it. Nothing is decrypted before the ICV, compared in constant time, is
// right. The error is ErrIntegrity or ErrPadding.
func (p *Protector) OpenSK(msg []byte, bodyOffset int) ([]byte, error) {
	if p.wiped || bodyOffset < minBody || bodyOffset > len(msg) {
		return nil, ErrIntegrity
	}
	var plain []byte
	var err error
	if p.aead != nil {
		plain, err = p.openAEAD(msg, bodyOffset)
	} else {
		plain, err = p.openCBC(msg, bodyOffset)
	}
	if err != nil {
		return nil, err
	}
	pad := int(plain[len(plain)-1]) + 1
	if pad > len(plain) {
		return nil, ErrPadding
	}
	return plain[:len(plain)-pad], nil
}

// openAEAD returns the plaintext with its padding, at least one octet.
func (p *Protector) openAEAD(msg []byte, body int) ([]byte, error) {
	ct := body + AESGCM16.IVLen()
	if len(msg) < ct+1+tagLen {
		return nil, ErrIntegrity
	}
	plain, err := p.aead.Open(nil, p.nonce(msg[body:ct]), msg[ct:], msg[:body])
	if err != nil {
		return nil, ErrIntegrity
	}
	return plain, nil
}

// openCBC returns the plaintext with its padding, at least one block.
func (p *Protector) openCBC(msg []byte, body int) ([]byte, error) {
	ct, end := body+aes.BlockSize, len(msg)-p.integ.ICVLen()
	if end < ct+aes.BlockSize || (end-ct)%aes.BlockSize != 0 {
		return nil, ErrIntegrity
	}
	if !hmac.Equal(p.icv(msg[:end]), msg[end:]) {
		return nil, ErrIntegrity
	}
	plain := make([]byte, end-ct)
	cipher.NewCBCDecrypter(p.block, msg[body:ct]).CryptBlocks(plain, msg[ct:end])
	return plain, nil
}

// icv is the truncated HMAC over b.
func (p *Protector) icv(b []byte) []byte {
	h := p.integ.New(p.auth)
	h.Write(b)
	return h.Sum(nil)[:p.integ.ICVLen()]
}
