package suite

import (
	"crypto/mlkem"
	"fmt"
	"io"

	"seikan/internal/secret"
)

// A kem is one parameter set of ML-KEM (FIPS 203).
type kem struct {
	// open makes the decapsulation key that grows from seed; public is its
	// encapsulation key.
	open func(seed []byte) (public []byte, shared func(ciphertext []byte) ([]byte, error), err error)
	// seal checks an encapsulation key (FIPS 203 section 7.2) and makes a
	// secret for its owner.
	seal func(public []byte) (shared, ciphertext []byte, err error)
}

var mlkem768 = kem{
	open: func(seed []byte) ([]byte, func([]byte) ([]byte, error), error) {
		key, err := mlkem.NewDecapsulationKey768(seed)
		if err != nil {
			return nil, nil, err
		}
		return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
	},
	seal: func(public []byte) ([]byte, []byte, error) {
		key, err := mlkem.NewEncapsulationKey768(public)
		if err != nil {
			return nil, nil, err
		}
		shared, ciphertext := key.Encapsulate()
		return shared, ciphertext, nil
	},
}

var mlkem1024 = kem{
	open: func(seed []byte) ([]byte, func([]byte) ([]byte, error), error) {
		key, err := mlkem.NewDecapsulationKey1024(seed)
		if err != nil {
			return nil, nil, err
		}
		return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
	},
	seal: func(public []byte) ([]byte, []byte, error) {
		key, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return nil, nil, err
		}
		shared, ciphertext := key.Encapsulate()
		return shared, ciphertext, nil
	},
}

// initKEM makes a decapsulation key. The seed is read here, since
// mlkem.GenerateKey takes no reader, and tests need exchanges that repeat.
func (x *Exchange) initKEM(k *kem, random io.Reader) error {
	seed := make([]byte, mlkem.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return fmt.Errorf("read random source: %w", err)
	}
	var err error
	x.public, x.shared, err = k.open(seed)
	return err
}

// respond encapsulates a secret for the owner of peer.
func (k *kem) respond(g Group, peer []byte) (public []byte, shared secret.Secret, err error) {
	if want := g.PublicLen(); len(peer) != want {
		return nil, shared, fmt.Errorf("key exchange in %v: %w: %d octets, must be %d", g, ErrPublic, len(peer), want)
	}
	b, ciphertext, err := k.seal(peer)
	if err != nil {
		return nil, shared, fmt.Errorf("key exchange in %v: %w: %w", g, ErrPublic, err)
	}
	defer clear(b)
	return ciphertext, secret.New(b), nil
}
