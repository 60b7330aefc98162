package suite

import (
	"encoding/binary"
	"testing"

	"seikan/internal/secret"
)

func TestResumedProtectorGoesOnWithItsIVs(t *testing.T) {
	s := IKE{Encr: AESGCM16, KeyBits: 128, PRF: PRFSHA256, Group: 19}
	p, err := NewProtector(s, secret.New(make([]byte, 20)), secret.Secret{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	iv := func() uint64 {
		t.Helper()
		msg := make([]byte, minBody)
		binary.BigEndian.PutUint32(msg[lengthAt:], uint32(len(msg)+p.SealedLen(1)))
		sealed, err := p.SealSK(msg, []byte{0})
		if err != nil {
			t.Fatal(err)
		}
		return binary.BigEndian.Uint64(sealed[minBody:])
	}
	if got := iv(); got != 0 || p.NextIV() != 1 {
		t.Errorf("first message: got IV %d, next %d, want 0 and 1", got, p.NextIV())
	}
	p.SkipTo(1000)
	if got := iv(); got != 1000 {
		t.Errorf("after SkipTo(1000): got IV %d", got)
	}
	p.SkipTo(5)
	if got := iv(); got != 1001 {
		t.Errorf("after SkipTo behind it: got IV %d, want 1001", got)
	}
}
