package wire

import (
	"bytes"
	"testing"

	"seikan/internal/ipsec/ike"
)

// kinds are the payloads that this package gives meaning to, and one that it
// does not.
var kinds = []Kind{
	KindSA, KindKE, KindIDi, KindIDr, KindCert, KindCertReq, KindAuth, KindNonce, KindNotify, KindDelete,
	KindVendorID, KindTSi, KindTSr, KindSK, KindSKF, 49,
}

func TestSampleHasEveryKind(t *testing.T) {
	seen := map[Kind]bool{KindSKF: true} // which cannot stand beside an SK; FuzzMessage has one
	for _, p := range sample().Payloads {
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
	for _, p := range append(sample().Payloads, &SKF{First: KindIDi, Number: 1, Total: 2, Sealed: []byte{1, 2}}) {
		f.Add(byte(p.Kind()), p.append(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, in []byte) {
		p := fresh(Kind(kind), ike.Generic{})
		if err := p.parse(bytes.Clone(in)); err != nil {
			return
		}
		out := p.append(nil)
		again := fresh(Kind(kind), ike.Generic{})
		if err := again.parse(out); err != nil || !bytes.Equal(again.append(nil), out) {
			t.Fatalf("type %d: %x is %+v and is written as %x, which is %+v, %v", kind, in, p, out, again, err)
		}
		switch p := p.(type) {
		case *Notify:
			_ = p.Type.String()
		case *ID:
			_ = p.Identity.String()
		case *TS:
			for _, s := range p.Selectors {
				_ = s.String()
			}
		}
	})
}
