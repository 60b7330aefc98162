//go:build e2e

package pump

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"strconv"
	"strings"
)

// Lengths of RFC 4303: the ESP header, and pad length with next header.
const (
	espHeader  = 8
	espTrailer = 2
	ipProtocol = 4 // IPv4 in ESP
	gcmSalt    = 4 // RFC 4106 section 8.1
	gcmIV      = 8
)

// An sa is one direction of a CHILD SA.
type sa struct {
	spi            uint32
	from, to       netip.Addr
	fromPort, port uint16 // of UDP; 0: none
	suite          string
	block          cipher.Block     // AES-CBC
	mac            func() hash.Hash // HMAC over the packet, with its key
	icv            int              // octets
	aead           cipher.AEAD      // AES-GCM, instead of both
	salt           []byte
	sequence       uint32
	link           uint32 // of the XFRM interface; 0: none
	seen           map[uint32]bool
}

// hashOf is the hash of one of ESP's HMACs, or nil.
func hashOf(name string) func() hash.Hash {
	switch name {
	case "hmac(sha1)":
		return sha1.New
	case "hmac(sha256)":
		return sha256.New
	case "hmac(sha384)":
		return sha512.New384
	case "hmac(sha512)":
		return sha512.New
	}
	return nil
}

// newSA reads a shim's words: SPI SOURCE DESTINATION SPORT DPORT CIPHER KEY
// [AUTH BITS KEY] [link ID].
func newSA(words []string) (*sa, error) {
	s := &sa{seen: map[uint32]bool{}, suite: words[5]}
	if n := len(words); n > 8 && words[n-2] == "link" {
		id, err := strconv.ParseUint(words[n-1], 10, 32)
		if err != nil {
			return nil, err
		}
		s.link, words = uint32(id), words[:n-2]
	}
	var errs [6]error
	var spi, from, to uint64
	var key []byte
	spi, errs[0] = strconv.ParseUint(words[0], 16, 32)
	s.from, errs[1] = parseAddr(words[1])
	s.to, errs[2] = parseAddr(words[2])
	from, errs[3] = strconv.ParseUint(words[3], 10, 16)
	to, errs[4] = strconv.ParseUint(words[4], 10, 16)
	key, errs[5] = hex.DecodeString(words[6])
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	s.spi, s.fromPort, s.port = uint32(spi), uint16(from), uint16(to)
	switch {
	case words[5] == "rfc4106(gcm(aes))" && len(key) > gcmSalt:
		block, err := aes.NewCipher(key[:len(key)-gcmSalt])
		if err != nil {
			return nil, err
		}
		s.salt = key[len(key)-gcmSalt:]
		s.suite += fmt.Sprintf(" %d", 8*(len(key)-gcmSalt))
		s.aead, err = cipher.NewGCM(block)
		return s, err
	case (words[5] == "cbc(aes)" || words[5] == "aes") && len(words) == 10:
		return s, s.setCBC(key, words[7:])
	}
	return nil, fmt.Errorf("suite %s is not one the pump can do", strings.Join(words[5:], " "))
}

// setCBC takes AUTH BITS KEY.
func (s *sa) setCBC(key []byte, auth []string) (err error) {
	if s.block, err = aes.NewCipher(key); err != nil {
		return err
	}
	h := hashOf(auth[0])
	bits, err := strconv.Atoi(auth[1])
	if h == nil || err != nil || bits%8 != 0 || bits > 8*h().Size() {
		return fmt.Errorf("integrity %v is not one the pump can do", auth)
	}
	macKey, err := hex.DecodeString(auth[2])
	if err != nil {
		return err
	}
	s.icv = bits / 8
	s.mac = func() hash.Hash { return hmac.New(h, macKey) }
	s.suite += fmt.Sprintf(" %d %s %d", 8*len(key), auth[0], bits)
	return nil
}

func spiOf(esp []byte) uint32 { return binary.BigEndian.Uint32(esp) }

// seal appends to out what goes behind the outer IPv4 header: ESP, in UDP where
// the SA has ports.
func (s *sa) seal(out, inner []byte) []byte {
	if s.port != 0 {
		out = binary.BigEndian.AppendUint16(out, s.fromPort)
		out = binary.BigEndian.AppendUint16(out, s.port)
		out = append(out, 0, 0, 0, 0) // length, below; no checksum (RFC 3948 section 2.1)
	}
	start := len(out)
	s.sequence++
	out = binary.BigEndian.AppendUint32(out, s.spi)
	out = binary.BigEndian.AppendUint32(out, s.sequence)
	if s.aead != nil {
		out = binary.BigEndian.AppendUint64(out, uint64(s.sequence))
		head := len(out)
		out = appendPadded(out, inner, 4)
		nonce := append(append([]byte(nil), s.salt...), out[head-gcmIV:head]...)
		out = s.aead.Seal(out[:head], nonce, out[head:], out[start:start+espHeader])
	} else {
		iv := make([]byte, aes.BlockSize)
		rand.Read(iv)
		out = append(out, iv...)
		head := len(out)
		out = appendPadded(out, inner, aes.BlockSize)
		cipher.NewCBCEncrypter(s.block, iv).CryptBlocks(out[head:], out[head:])
		mac := s.mac()
		mac.Write(out[start:])
		out = append(out, mac.Sum(nil)[:s.icv]...)
	}
	if s.port != 0 {
		binary.BigEndian.PutUint16(out[4:], uint16(len(out)))
	}
	return out
}

// appendPadded appends the packet, the padding 1, 2, 3 … up to a multiple of
// block, its length and the next header (RFC 4303 section 2.4).
func appendPadded(out, inner []byte, block int) []byte {
	out = append(out, inner...)
	pad := -(len(inner) + espTrailer) & (block - 1)
	for i := range pad {
		out = append(out, byte(i+1))
	}
	return append(out, byte(pad), ipProtocol)
}

// open returns the packet inside, which may lie in esp, and its sequence number.
// It demands what RFC 4303 lets a receiver demand: the integrity, a known next
// header and the padding that section 2.4 prescribes.
func (s *sa) open(esp []byte) (inner []byte, sequence uint32, err error) {
	var plain []byte
	switch {
	case s.aead != nil:
		if len(esp) < espHeader+gcmIV+s.aead.Overhead() {
			return nil, 0, errors.New("too short")
		}
		nonce := append(append([]byte(nil), s.salt...), esp[espHeader:espHeader+gcmIV]...)
		body := esp[espHeader+gcmIV:]
		if plain, err = s.aead.Open(body[:0], nonce, body, esp[:espHeader]); err != nil {
			return nil, 0, err
		}
	default:
		if len(esp) < espHeader+2*aes.BlockSize+s.icv || (len(esp)-espHeader-s.icv)%aes.BlockSize != 0 {
			return nil, 0, errors.New("not a number of blocks")
		}
		signed, icv := esp[:len(esp)-s.icv], esp[len(esp)-s.icv:]
		mac := s.mac()
		mac.Write(signed)
		if !hmac.Equal(mac.Sum(nil)[:s.icv], icv) {
			return nil, 0, errors.New("the integrity check value is wrong")
		}
		plain = signed[espHeader+aes.BlockSize:]
		cipher.NewCBCDecrypter(s.block, signed[espHeader:espHeader+aes.BlockSize]).CryptBlocks(plain, plain)
	}
	if len(plain) < espTrailer {
		return nil, 0, errors.New("no trailer")
	}
	pad, next := int(plain[len(plain)-2]), plain[len(plain)-1]
	if next != ipProtocol || pad > len(plain)-espTrailer {
		return nil, 0, fmt.Errorf("next header %d, padding of %d octets", next, pad)
	}
	inner = plain[:len(plain)-espTrailer-pad]
	for i, b := range plain[len(inner) : len(inner)+pad] {
		if int(b) != i+1 {
			return nil, 0, fmt.Errorf("octet %d of the padding is %d", i+1, b)
		}
	}
	return inner, binary.BigEndian.Uint32(esp[4:]), nil
}
