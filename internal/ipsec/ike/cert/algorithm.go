package cert

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// anyECDSA is the kind of a signature that says ECDSA but not the curve.
const anyECDSA kind = 0xff

// The object identifiers of signature algorithms and hashes (RFC 7427 appendix
// A, RFC 8420).
var (
	oidECDSA = map[Hash]asn1.ObjectIdentifier{
		SHA256: {1, 2, 840, 10045, 4, 3, 2}, SHA384: {1, 2, 840, 10045, 4, 3, 3}, SHA512: {1, 2, 840, 10045, 4, 3, 4},
	}
	oidRSA = map[Hash]asn1.ObjectIdentifier{
		SHA256: {1, 2, 840, 113549, 1, 1, 11}, SHA384: {1, 2, 840, 113549, 1, 1, 12}, SHA512: {1, 2, 840, 113549, 1, 1, 13},
	}
	oidHash = map[Hash]asn1.ObjectIdentifier{
		SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1}, SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	oidPSS     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
)

// pssParameters is RSASSA-PSS-params (RFC 4055 section 3.1). The defaults
// belong to SHA-1, which is not taken.
type pssParameters struct {
	Hash    pkix.AlgorithmIdentifier `asn1:"explicit,tag:0,optional"`
	MGF     pkix.AlgorithmIdentifier `asn1:"explicit,tag:1,optional"`
	Salt    int                      `asn1:"explicit,tag:2,optional,default:20"`
	Trailer int                      `asn1:"explicit,tag:3,optional,default:1"`
}

// prefix is what stands before the signature value in AUTH of method 14: the
// length of the AlgorithmIdentifier, and that (RFC 7427 section 3).
func (s scheme) prefix() []byte {
	var id pkix.AlgorithmIdentifier
	switch {
	case s.kind == kindEd25519:
		id.Algorithm = oidEd25519
	case s.pss:
		hash := pkix.AlgorithmIdentifier{Algorithm: oidHash[s.hash], Parameters: asn1.NullRawValue}
		p := pssParameters{Hash: hash, Salt: s.salt, Trailer: 1}
		p.MGF = pkix.AlgorithmIdentifier{Algorithm: oidMGF1, Parameters: asn1.RawValue{FullBytes: mustMarshal(hash)}}
		id.Algorithm, id.Parameters = oidPSS, asn1.RawValue{FullBytes: mustMarshal(p)}
	case s.kind == kindRSA:
		id.Algorithm, id.Parameters = oidRSA[s.hash], asn1.NullRawValue
	default:
		id.Algorithm = oidECDSA[s.hash]
	}
	der := mustMarshal(id)
	return append([]byte{byte(len(der))}, der...)
}

// mustMarshal encodes a value of ours, which has no reason to fail.
func mustMarshal(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cert: encode %T: %v", v, err))
	}
	return der
}

// parsePrefix reads AUTH of method 14: which scheme it names, of kind anyECDSA
// if that is ECDSA, and the signature value.
func parsePrefix(data []byte) (scheme, []byte, error) {
	size := 0
	if len(data) > 0 {
		size = int(data[0])
	}
	if size == 0 || size+1 > len(data) {
		return scheme{}, nil, errors.New("its AUTH is too short to name a signature algorithm (RFC 7427 section 3)")
	}
	der, value := data[1:1+size], data[1+size:]
	var id pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(der, &id); err != nil || len(rest) != 0 {
		return scheme{}, nil, fmt.Errorf("its AUTH names no signature algorithm that can be read: %x", der)
	}
	s, ok := schemeOf(id)
	if !ok {
		return scheme{}, nil, fmt.Errorf("it signs with algorithm %v, which we do not take: RSA PKCS #1 v1.5 or PSS or ECDSA, with SHA2-256, SHA2-384 or SHA2-512, or Ed25519", id.Algorithm)
	}
	return s, value, nil
}

// schemeOf is the scheme that id names.
func schemeOf(id pkix.AlgorithmIdentifier) (scheme, bool) {
	if id.Algorithm.Equal(oidPSS) {
		return schemeOfPSS(id.Parameters.FullBytes)
	}
	if !bare(id) {
		return scheme{}, false
	}
	if id.Algorithm.Equal(oidEd25519) {
		return scheme{kind: kindEd25519, hash: Identity}, true
	}
	if h, ok := hashOf(oidRSA, id.Algorithm); ok {
		return scheme{kind: kindRSA, hash: h}, true
	}
	h, ok := hashOf(oidECDSA, id.Algorithm)
	return scheme{kind: anyECDSA, hash: h}, ok
}

// schemeOfPSS reads RSASSA-PSS-params. Both hashes must be the same, and the
// salt is one (RFC 8247 section 3.2).
func schemeOfPSS(der []byte) (scheme, bool) {
	p := pssParameters{Salt: 20, Trailer: 1}
	if rest, err := asn1.Unmarshal(der, &p); err != nil || len(rest) != 0 {
		return scheme{}, false
	}
	var inner pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &inner); err != nil || len(rest) != 0 {
		return scheme{}, false
	}
	h, ok := hashOf(oidHash, p.Hash.Algorithm)
	if !ok || !bare(p.Hash) || !bare(inner) || !inner.Algorithm.Equal(p.Hash.Algorithm) || !p.MGF.Algorithm.Equal(oidMGF1) {
		return scheme{}, false
	}
	// The library takes lengths up to 0 for something else.
	if p.Salt < 1 || p.Salt > maxRSABits/8 || p.Trailer != 1 {
		return scheme{}, false
	}
	return scheme{kind: kindRSA, pss: true, hash: h, salt: p.Salt}, true
}

// bare reports whether id has no parameters, or NULL: which of both depends on
// the algorithm, and peers get it wrong.
func bare(id pkix.AlgorithmIdentifier) bool {
	return len(id.Parameters.FullBytes) == 0 || bytes.Equal(id.Parameters.FullBytes, asn1.NullBytes)
}

// hashOf is the hash whose object identifier in table is id.
func hashOf(table map[Hash]asn1.ObjectIdentifier, id asn1.ObjectIdentifier) (Hash, bool) {
	for h, one := range table {
		if one.Equal(id) {
			return h, true
		}
	}
	return 0, false
}

// ecdsaValue is ECDSA-Sig-Value (RFC 3279 section 2.2.3).
type ecdsaValue struct{ R, S *big.Int }

// rawECDSA turns a signature in DER into r and s of size octets each (RFC 4754
// section 7).
func rawECDSA(der []byte, size int) ([]byte, error) {
	var v ecdsaValue
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, fmt.Errorf("ECDSA signature: %w", err)
	}
	out := make([]byte, 2*size)
	v.R.FillBytes(out[:size])
	v.S.FillBytes(out[size:])
	return out, nil
}

// derECDSA undoes rawECDSA for what a peer sent.
func derECDSA(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size {
		return nil, fmt.Errorf("its ECDSA signature has %d octets, want %d", len(raw), 2*size)
	}
	return asn1.Marshal(ecdsaValue{new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:])})
}
