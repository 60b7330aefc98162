package suite

import (
	"fmt"

	"seikan/internal/secret"
)

// Sum is prf(key, data) with the parts of data one after the other
// (RFC 7296 section 2.13). The key may have any length. It is nil when p is
// unknown.
func (p PRF) Sum(key []byte, data ...[]byte) []byte {
	h := p.mac(key)
	if h == nil {
		return nil
	}
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// Plus is the first n octets of prf+(key, seed) (RFC 7296 section 2.13). The
// error says that p is unknown or that n is above 255 times the output length,
// where the one-octet counter ends.
func (p PRF) Plus(key, seed []byte, n int) ([]byte, error) {
	size := p.Size()
	if size == 0 {
		return nil, fmt.Errorf("prf+: PRF %d is not known; use 2, 5, 6 or 7", uint16(p))
	}
	if n < 0 || n > 255*size {
		return nil, fmt.Errorf("prf+: %d octets wanted of %v, at most %d can be made", n, p, 255*size)
	}
	h := p.mac(key)
	out := make([]byte, 0, n+size)
	for i := byte(1); len(out) < n; i++ {
		h.Reset()
		if i > 1 {
			h.Write(out[len(out)-size:])
		}
		h.Write(seed)
		h.Write([]byte{i})
		out = h.Sum(out)
	}
	clear(out[n:])
	return out[:n:n], nil
}

// keyPad is mixed into a pre-shared key so that the key itself need not be
// kept (RFC 7296 section 2.15).
const keyPad = "Key Pad for IKEv2"

// AuthOctets is what the AUTH payload covers (RFC 7296 section 2.15): the
// signer's own first message as sent, the nonce of the other side, and
// prf(SK_p, RestOfID), where skp is SK_pi or SK_pr of the signer and idBody
// its ID payload without the generic header.
func AuthOctets(prf PRF, message, peerNonce []byte, skp secret.Secret, idBody []byte) []byte {
	mac := prf.Sum(skp.Reveal(), idBody)
	out := make([]byte, 0, len(message)+len(peerNonce)+len(mac))
	out = append(out, message...)
	out = append(out, peerNonce...)
	return append(out, mac...)
}

// IntAuth is what stands for the IKE_INTERMEDIATE messages of one side up to
// the one that covered is taken from (RFC 9242 section 3.3.2): prf(SK_p,
// before | covered), where skp is SK_pi or SK_pr of the sender as they are in
// that exchange and before is IntAuth of the one before, nil for the first.
func IntAuth(prf PRF, skp secret.Secret, before, covered []byte) []byte {
	return prf.Sum(skp.Reveal(), before, covered)
}

// MixPPK is prf+(ppk, key), as long as the PRF's output: what a post-quantum
// pre-shared key makes of SK_d, SK_pi and SK_pr (RFC 8784 section 3).
func MixPPK(prf PRF, ppk, key secret.Secret) (secret.Secret, error) {
	b, err := prf.Plus(ppk.Reveal(), key.Reveal(), prf.Size())
	if err != nil {
		return secret.Secret{}, fmt.Errorf("mix PPK: %w", err)
	}
	defer clear(b)
	return secret.New(b), nil
}

// PSKAuth is the data of an AUTH payload with a shared key:
// prf(prf(psk, "Key Pad for IKEv2"), octets) (RFC 7296 section 2.15), where
// octets come from AuthOctets. Compare it in constant time. It is nil when prf
// is unknown.
func PSKAuth(prf PRF, psk secret.Secret, octets []byte) []byte {
	padded := prf.Sum(psk.Reveal(), []byte(keyPad))
	defer clear(padded)
	return prf.Sum(padded, octets)
}
