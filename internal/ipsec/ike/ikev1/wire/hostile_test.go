package wire

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"seikan/internal/ipsec/ike"
)

// body wraps payload bytes of the given kind into a message.
func body(kind Kind, b ...byte) []byte {
	m := Message{Header: ike.Header{Version: Version}, Chain: Chain{Payloads: []Payload{&Raw{Type: kind, Data: b}}}}
	return m.Append(nil)
}

// sa is the body of an SA payload: the right DOI and situation, then b.
func sa(b ...byte) []byte { return body(KindSA, append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, b...)...) }

func TestMalformedPayloadsAreRefused(t *testing.T) {
	octets := make([]byte, 257)
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"empty KE", body(KindKE), ike.ErrShort},
		{"empty HASH", body(KindHash), ike.ErrShort},
		{"empty SIG", body(KindSig), ike.ErrShort},
		{"empty NAT-D", body(KindNATD), ike.ErrShort},
		{"nonce of 7 octets", body(KindNonce, octets[:7]...), ErrMalformed},
		{"nonce of 257 octets", body(KindNonce, octets...), ErrMalformed},
		{"identity without data", body(KindID, 1, 0, 0, 0), ike.ErrShort},
		{"identity of type 0", body(KindID, 0, 0, 0, 0, 1), ErrMalformed},
		{"certificate without data", body(KindCert, 4), ike.ErrShort},
		{"certificate request without an encoding", body(KindCertReq), ike.ErrShort},
		{"notify cut short", body(KindNotify, 0, 0, 0, 1, 1, 0, 1), ike.ErrShort},
		{"notify of another DOI", body(KindNotify, 0, 0, 0, 2, 1, 0, 0, 1), ErrMalformed},
		{"notify whose SPI is too long", body(KindNotify, 0, 0, 0, 1, 3, 4, 0, 1, 1, 2, 3), ike.ErrLength},
		{"delete cut short", body(KindDelete, 0, 0, 0, 1, 3, 4, 0), ike.ErrShort},
		{"delete of another DOI", body(KindDelete, 0, 0, 0, 2, 3, 4, 0, 0), ErrMalformed},
		{"delete of an ISAKMP SA by 4 octets", body(KindDelete, 0, 0, 0, 1, 1, 4, 0, 1, 1, 2, 3, 4), ErrMalformed},
		{"delete of an unknown protocol", body(KindDelete, 0, 0, 0, 1, 9, 4, 0, 0), ErrMalformed},
		{"delete with empty SPIs of an unknown protocol", body(KindDelete, 0, 0, 0, 1, 9, 0, 0xff, 0xff), ErrMalformed},
		{"delete of too many", body(KindDelete, append([]byte{0, 0, 0, 1, 3, 4, 1, 1}, make([]byte, 4*257)...)...), ErrMalformed},
		{"delete of fewer SPIs than it says", body(KindDelete, 0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4), ike.ErrLength},
		{"NAT-OA cut short", body(KindNATOA, 1, 0, 0), ike.ErrShort},
		{"NAT-OA of type 5 with 4 octets", body(KindNATOA, 5, 0, 0, 0, 1, 2, 3, 4), ErrMalformed},
		{"NAT-OA of a name", body(KindNATOA, 2, 0, 0, 0, 1, 2, 3, 4), ErrMalformed},
		{"NAT-OA of 3 octets", body(KindNATOA, 1, 0, 0, 0, 1, 2, 3), ErrMalformed},
		{"fragment without data", body(KindFragment, 0, 1, 1, 1), ike.ErrShort},
		{"fragment number 0", body(KindFragment, 0, 1, 0, 1, 1), ErrMalformed},
		{"SA cut short", body(KindSA, 0, 0, 0, 1, 0, 0, 0), ike.ErrShort},
		{"SA of another DOI", body(KindSA, 0, 0, 0, 2, 0, 0, 0, 1), ErrDOI},
		{"SA with a secrecy level", body(KindSA, 0, 0, 0, 1, 0, 0, 0, 3), ErrSituation},
		{"SA without proposals", sa(), ike.ErrShort},
		{"proposal longer than the payload", sa(0, 0, 0, 9, 1, 1, 0, 0), ike.ErrLength},
		{"proposal of 7 octets", sa(0, 0, 0, 7, 1, 1, 0, 0), ike.ErrLength},
		{"proposal that begins with 1", sa(1, 0, 0, 8, 1, 1, 0, 0), ErrMalformed},
		{"octets after the last proposal", sa(0, 0, 0, 8, 1, 1, 0, 0, 0), ike.ErrLength},
		{"proposal whose SPI is too long", sa(0, 0, 0, 8, 1, 1, 4, 0), ike.ErrLength},
		{"transform count too high", sa(0, 0, 0, 16, 1, 1, 0, 2, 0, 0, 0, 8, 1, 1, 0, 0), ErrMalformed},
		{"transform count too low", sa(0, 0, 0, 16, 1, 1, 0, 0, 0, 0, 0, 8, 1, 1, 0, 0), ike.ErrLength},
		{"transform cut short", sa(0, 0, 0, 15, 1, 1, 0, 1, 0, 0, 0, 8, 1, 1, 0), ike.ErrShort},
		{"attribute cut short", sa(0, 0, 0, 18, 1, 1, 0, 1, 0, 0, 0, 10, 1, 1, 0, 0, 0x80, 14), ike.ErrShort},
		{"attribute longer than its transform", sa(0, 0, 0, 20, 1, 1, 0, 1, 0, 0, 0, 12, 1, 1, 0, 0, 0, 12, 0, 1), ike.ErrLength},
	} {
		if _, err := Parse(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAMessageIsBounded(t *testing.T) {
	parse := func(list ...Payload) error {
		m := &Message{Header: ike.Header{Version: Version}, Chain: Chain{Payloads: list}}
		_, err := Parse(m.Append(nil))
		return err
	}
	vendors := make([]Payload, maxPayloads+1)
	for i := range vendors {
		vendors[i] = &VendorID{}
	}
	whole := func(proposals, transforms, attributes int) *SA {
		sa := &SA{}
		for range proposals {
			p := Proposal{Protocol: ProtoISAKMP, Transforms: make([]Transform, transforms)}
			for i := range p.Transforms {
				for range attributes {
					p.Transforms[i].Attributes = append(p.Transforms[i].Attributes, Basic(1, 1))
				}
			}
			sa.Proposals = append(sa.Proposals, p)
		}
		return sa
	}
	for _, c := range []struct {
		name      string
		fits, not []Payload
	}{
		{"payloads", vendors[:maxPayloads], vendors},
		{"proposals", []Payload{whole(maxProposals, 0, 0)}, []Payload{whole(maxProposals+1, 0, 0)}},
		{"transforms", []Payload{whole(4, maxTransforms/4, 1)}, []Payload{whole(4, maxTransforms/4+1, 1)}},
		{"attributes", []Payload{whole(1, 1, maxAttributes)}, []Payload{whole(1, 1, maxAttributes+1)}},
	} {
		if err := parse(c.fits...); err != nil {
			t.Errorf("%s at the limit: got %v, want none", c.name, err)
		}
		if err := parse(c.not...); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s above it: got %v, want %v", c.name, err, ErrMalformed)
		}
	}
}

// longer is the message b with octets after its last payload.
func longer(b []byte, n int) []byte {
	out := append(bytes.Clone(b), make([]byte, n)...)
	out[27] += byte(n)
	return out
}

func TestOnlyAlignmentMayFollowTheLastPayload(t *testing.T) {
	b := body(KindNonce, make([]byte, 9)...)
	for n := range 4 {
		if _, err := Parse(longer(b, n)); err != nil {
			t.Errorf("%d octets: got %v, want none", n, err)
		}
	}
	if _, err := Parse(longer(b, 4)); !errors.Is(err, ike.ErrLength) {
		t.Errorf("4 octets: got %v, want %v", err, ike.ErrLength)
	}
}

func TestForeignHeadersAreRefused(t *testing.T) {
	v2 := (&Message{Header: ike.Header{Version: 0x20}}).Append(nil)
	if _, err := Parse(v2); !errors.Is(err, ErrVersion) {
		t.Errorf("version 2: got %v, want %v", err, ErrVersion)
	}
	b := body(KindNonce, make([]byte, 9)...)
	b[ike.HeaderLen+1] = 1
	if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
		t.Errorf("reserved octet: got %v, want %v", err, ErrMalformed)
	}
	if _, err := Parse(b[:20]); !errors.Is(err, ike.ErrShort) {
		t.Errorf("20 octets: got %v, want %v", err, ike.ErrShort)
	}
}

func FuzzMessage(f *testing.F) {
	m := &Message{Header: ike.Header{SPIi: 1, Version: Version, Exchange: MainMode}, Chain: Chain{Payloads: sample()}}
	f.Add(m.Append(nil))
	f.Add(body(KindNonce, make([]byte, 9)...))
	f.Add(AppendSealed(nil, m.Header, KindHash, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse(in)
		if err != nil {
			return
		}
		Describe(m, nil)
		if m.Encrypted() {
			if out := AppendSealed(nil, m.Header, Kind(m.Header.Next), m.Sealed); !bytes.Equal(out, in) {
				t.Fatalf("sealed: got %x, want %x", out, in)
			}
			return
		}
		again, err := Parse(m.Append(nil))
		if err != nil || !reflect.DeepEqual(bare(m.Chain.Payloads), bare(again.Chain.Payloads)) {
			t.Fatalf("round trip of %x: got %+v, %v, want %+v", in, again, err, m)
		}
		for n := range in {
			if _, err := Parse(in[:n]); err == nil {
				t.Fatalf("accepted %d of the %d octets of %x", n, len(in), in)
			}
		}
	})
}

// FuzzInner is what a wrong key, or a peer that knows the right one, can make
// of the inside of a message.
func FuzzInner(f *testing.F) {
	first, plain := AppendChain(nil, sample())
	f.Add(uint8(first), plain)
	f.Add(uint8(KindHash), Pad(plain[:0], 16))
	f.Fuzz(func(t *testing.T, first uint8, in []byte) {
		c, err := ParseInner(Kind(first), in)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(in, c.Octets) || len(c.Payloads) > maxPayloads {
			t.Fatalf("got %d payloads in %x, want what %x begins with", len(c.Payloads), c.Octets, in)
		}
		for i, p := range c.Payloads {
			Body(p)
			if !bytes.HasSuffix(c.Octets, c.After(i)) {
				t.Fatalf("after payload %d: got %x, want an end of %x", i, c.After(i), c.Octets)
			}
			if id, ok := p.(*ID); ok {
				checkSelector(t, id)
			}
		}
	})
}

// checkSelector wants a selector that was read to be written and read alike.
func checkSelector(t *testing.T, id *ID) {
	s, err := id.Selector()
	if err != nil {
		return
	}
	p, err := NewSelectorID(s)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	if again, err := p.Selector(); err != nil || again != s {
		t.Fatalf("got %v, %v, want %v", again, err, s)
	}
}
