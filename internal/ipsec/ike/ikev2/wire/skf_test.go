package wire

import (
	"bytes"
	"crypto/rand"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// protectors are one of GCM and one of CBC.
func protectors(t *testing.T) map[string]*suite.Protector {
	t.Helper()
	out := map[string]*suite.Protector{}
	for name, s := range map[string]suite.IKE{
		"GCM": {Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 14},
		"CBC": {Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA256, PRF: suite.PRFSHA256, Group: 14},
	} {
		p, err := suite.NewProtector(s, secret.New(make([]byte, s.EncrKey().MaterialLen())), secret.New(make([]byte, s.Integ.KeyLen())), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = p
	}
	return out
}

func TestFragmentsFitTheRoomAndMakeTheMessage(t *testing.T) {
	h := ike.Header{SPIi: 1, SPIr: 2, Version: Version, Exchange: IKEAuth}
	for name, p := range protectors(t) {
		for _, size := range []int{0, 400, 1100, 1200, 1201, 5000, 40000} {
			list := []Payload{&VendorID{Data: bytes.Repeat([]byte{7}, size)}}
			parts, err := SealFragments(h, list, p, 1200)
			if err != nil {
				t.Fatal(err)
			}
			var whole []byte
			var first Kind
			for i, b := range parts {
				if len(b) > 1200 {
					t.Errorf("%s, %d: got a part of %d octets, want at most 1200", name, size, len(b))
				}
				m, err := Parse(b)
				if err != nil {
					t.Fatal(err)
				}
				f, ok := m.FindSKF()
				if len(parts) == 1 {
					if ok {
						t.Errorf("%s, %d: got one fragment, want a whole message", name, size)
					}
					break
				}
				if !ok || int(f.Number) != i+1 || int(f.Total) != len(parts) || (f.First != KindNone) != (i == 0) {
					t.Fatalf("%s, %d: got part %d %+v of %d", name, size, i+1, f, len(parts))
				}
				if i == 0 {
					first = f.First
				}
				plain, authentic, err := OpenFragment(m, f, p)
				if err != nil || !authentic {
					t.Fatalf("%s, %d: part %d: %v", name, size, i+1, err)
				}
				whole = append(whole, plain...)
			}
			if len(parts) == 1 {
				continue
			}
			got, err := ParseInner(first, whole)
			if err != nil || len(got) != 1 || !bytes.Equal(got[0].(*VendorID).Data, list[0].(*VendorID).Data) {
				t.Errorf("%s, %d: got %v, %v, want the payload back", name, size, got, err)
			}
		}
	}
}

func TestMessageOfManyFragmentsGetsLargerOnes(t *testing.T) {
	for name, p := range protectors(t) {
		list := []Payload{&VendorID{Data: make([]byte, 60000)}}
		parts, err := SealFragments(ike.Header{Version: Version}, list, p, 300)
		if err != nil || len(parts) > maxFragments {
			t.Errorf("%s: got %d fragments, %v, want at most %d", name, len(parts), err, maxFragments)
		}
	}
}

func TestFragmentNumbersMustMakeSense(t *testing.T) {
	for _, numbers := range [][4]byte{{0, 0, 0, 1}, {0, 2, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 255}} {
		if err := (&SKF{}).parse(append(numbers[:], 1, 2, 3)); err == nil {
			t.Errorf("got %v accepted", numbers)
		}
	}
	if err := (&SKF{}).parse([]byte{0, 1, 0, 1}); err == nil {
		t.Error("got a fragment without contents accepted")
	}
}

func TestSealedPayloadsHoldNoSealedOnes(t *testing.T) {
	_, inner := AppendChain(nil, []Payload{&SKF{Number: 1, Total: 1, Sealed: []byte{1}}})
	if _, err := ParseInner(KindSKF, inner); err == nil {
		t.Error("got a fragment inside a message accepted")
	}
}
