package esp

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"hash"

	"seikan/internal/ipsec/esp/aesgcm"
	"seikan/internal/ipsec/esp/lanes"
	"seikan/internal/ipsec/ike/suite"
)

const (
	espHeader  = 8  // SPI and sequence number
	espTrailer = 2  // pad length and next header
	saltLen    = 4  // RFC 4106 section 4, RFC 7634 section 2
	gcmIV      = 8  // RFC 4106 section 3.1; ChaCha20-Poly1305 is laid out alike
	gcmICV     = 16 // RFC 4106 section 6, the longest of the three
	gcmBlock   = 4  // RFC 4303 section 2.4: the trailer ends on a 4-octet boundary
)

// dims are the sizes of a suite in octets.
type dims struct {
	iv, icv, block int
	keyLen         int // of the cipher, without salt
	integKeyLen    int
}

// dimsOf returns the sizes of s, or an error that names what is wrong with it.
func dimsOf(s suite.ESP) (dims, error) {
	if s.KeyBits != 128 && s.KeyBits != 256 {
		return dims{}, fmt.Errorf("esp: KeyBits %d: want 128 or 256", s.KeyBits)
	}
	switch s.Encr {
	case suite.AESGCM16, suite.ChaCha20Poly1305:
		if s.Integ != suite.IntegNone {
			return dims{}, fmt.Errorf("esp: Integ %d with %v: want none", s.Integ, s.Encr)
		}
		if s.Encr == suite.ChaCha20Poly1305 && s.KeyBits != 256 {
			return dims{}, fmt.Errorf("esp: KeyBits %d with %v: want 256", s.KeyBits, s.Encr)
		}
		return dims{iv: gcmIV, icv: gcmICV, block: gcmBlock, keyLen: s.KeyBits / 8}, nil
	case suite.AESCBC:
		if !s.Integ.Known() {
			return dims{}, fmt.Errorf("esp: Integ %d with AES-CBC: want HMAC-SHA1-96 or an HMAC-SHA2", s.Integ)
		}
		return dims{iv: aes.BlockSize, icv: s.Integ.ICVLen(), block: aes.BlockSize, keyLen: s.KeyBits / 8, integKeyLen: s.Integ.KeyLen()}, nil
	default:
		return dims{}, fmt.Errorf("esp: Encr %d: want AES-CBC (12), AES-GCM-16 (20) or CHACHA20-POLY1305 (28)", s.Encr)
	}
}

// A transform is the keyed algorithms of one direction: aead, or cbc and one of
// mac256 and mac.
type transform struct {
	dims
	esn bool

	aead  cipher.AEAD // AES-GCM-16, ChaCha20-Poly1305
	nonce [saltLen + gcmIV]byte

	cbc    *lanes.CBC     // AES-CBC
	mac256 *lanes.HMAC256 // HMAC-SHA2-256
	mac    hash.Hash      // any other
	sum    [64]byte       // scratch of mac

	aad [espHeader + 4]byte // scratch: RFC 4106 section 5, figure 2
}

// newTransform checks the sizes of keys against s and keys the algorithms.
func newTransform(s suite.ESP, keys suite.ESPKeys) (*transform, error) {
	d, err := dimsOf(s)
	if err != nil {
		return nil, err
	}
	want := d.keyLen
	if s.Encr.AEAD() {
		want += saltLen
	}
	if got := keys.Encr.Len(); got != want {
		return nil, fmt.Errorf("esp: encryption key of %d octets: want %d", got, want)
	}
	if got := keys.Integ.Len(); got != d.integKeyLen {
		return nil, fmt.Errorf("esp: integrity key of %d octets: want %d", got, d.integKeyLen)
	}
	t := &transform{dims: d, esn: s.ESN}
	key := keys.Encr.Reveal()
	if s.Encr == suite.AESCBC {
		if t.cbc, err = lanes.NewCBC(key); err != nil {
			return nil, fmt.Errorf("esp: %w", err)
		}
		if s.Integ == suite.IntegSHA256 {
			t.mac256 = lanes.NewHMAC256(keys.Integ.Reveal())
		} else {
			t.mac = s.Integ.New(keys.Integ)
		}
		return t, nil
	}
	copy(t.nonce[:], key[d.keyLen:])
	var aead cipher.AEAD
	if s.Encr == suite.AESGCM16 {
		aead, err = aesgcm.New(key[:d.keyLen])
	} else {
		aead, err = s.EncrKey().NewAEAD(key[:d.keyLen])
	}
	if err != nil {
		return nil, fmt.Errorf("esp: %w", err)
	}
	t.aead = ciphered(aead)
	return t, nil
}

// gcmAAD returns the additional data of a packet with header hdr. Without ESN
// they are the header itself; with ESN the high half of the sequence number
// stands between SPI and low half (RFC 4106 section 5).
func (t *transform) gcmAAD(hdr []byte, seq uint64) []byte {
	if !t.esn {
		return hdr[:espHeader]
	}
	copy(t.aad[:4], hdr[:4])
	putUint32(t.aad[4:], uint32(seq>>32))
	copy(t.aad[8:], hdr[4:8])
	return t.aad[:]
}

// toSign makes j the job of the ICV of pkt, whose number is seq: what is signed
// is pkt up to the ICV and, with ESN, the high half of the number, which is not
// transmitted (RFC 4303 section 2.2.1).
func (t *transform) toSign(j *lanes.Job, pkt []byte, seq uint64) {
	j.Msg = pkt[:len(pkt)-t.icv]
	putUint32(j.Suffix[:], uint32(seq>>32))
}

// sign computes the ICVs of jobs: the first icv octets of the sums.
func (t *transform) sign(jobs []lanes.Job) {
	suffix := 0
	if t.esn {
		suffix = len(lanes.Job{}.Suffix)
	}
	if t.mac256 != nil {
		t.mac256.Sum(jobs, suffix)
		return
	}
	for i := range jobs {
		j := &jobs[i]
		t.mac.Reset()
		t.mac.Write(j.Msg)
		t.mac.Write(append(t.sum[:0], j.Suffix[:suffix]...))
		copy(j.Sum[:], t.mac.Sum(t.sum[:0])[:t.icv])
	}
}

// putUint32 writes v to b[:4] in network order.
func putUint32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}
