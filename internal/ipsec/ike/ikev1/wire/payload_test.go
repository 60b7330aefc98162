package wire

import (
	"bytes"
	"testing"
)

// kinds are the payloads that this package gives meaning to, and one that it
// does not.
var kinds = []Kind{
	KindSA, KindKE, KindID, KindCert, KindCertReq, KindHash, KindSig, KindNonce, KindNotify, KindDelete,
	KindVendorID, KindNATD, KindNATOA, KindFragment, 130,
}

func TestSampleHasEveryKind(t *testing.T) {
	seen := map[Kind]bool{}
	for _, p := range sample() {
		seen[p.Kind()] = true
	}
	for _, k := range kinds {
		if !seen[k] {
			t.Errorf("no payload of type %d among the samples, which FuzzPayload begins with", k)
		}
	}
}

// FuzzPayload reads the body of one payload of each kind. What is accepted is
// written, read and written alike.
func FuzzPayload(f *testing.F) {
	for _, p := range sample() {
		f.Add(byte(p.Kind()), p.append(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, in []byte) {
		p := fresh(Kind(kind))
		if err := p.parse(bytes.Clone(in)); err != nil {
			return
		}
		payloadWord(p)
		out := p.append(nil)
		again := fresh(Kind(kind))
		if err := again.parse(out); err != nil || !bytes.Equal(again.append(nil), out) {
			t.Fatalf("type %d: %x is %+v and is written as %x, which is %+v, %v", kind, in, p, out, again, err)
		}
		if id, ok := p.(*ID); ok {
			_ = id.Identity.String()
			checkSelector(t, id)
		}
	})
}
