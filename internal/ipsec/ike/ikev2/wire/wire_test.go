package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// sample is a message with every kind of payload that can stand together.
func sample() *Message {
	return &Message{
		Header: ike.Header{SPIi: 0x0102030405060708, SPIr: 0x1112131415161718, Version: Version, Exchange: IKESAInit, Flags: ike.FlagInitiator, MessageID: 7},
		Payloads: []Payload{
			&SA{Proposals: []Proposal{
				{Number: 1, Protocol: ProtoIKE, SPI: []byte{}, Transforms: []Transform{
					{Type: TypeEncr, ID: 12, KeyBits: 256}, {Type: TypePRF, ID: 5}, {Type: TypeInteg, ID: 12}, {Type: TypeDH, ID: 14},
				}},
				{Number: 2, Protocol: ProtoESP, SPI: []byte{1, 2, 3, 4}, Transforms: []Transform{
					{Type: TypeEncr, ID: 20, KeyBits: 128}, {Type: TypeESN, ID: 1, Strange: true},
				}},
			}},
			&KE{Group: 19, Public: []byte{1, 2, 3}},
			&Nonce{Data: bytes.Repeat([]byte{9}, 32)},
			&ID{Identity: ike.Identity{Type: ike.IDFQDN, Data: "cgw.example"}},
			&ID{Responder: true, Identity: ike.IdentityOf(netip.MustParseAddr("203.0.113.1")), Reserved: [3]byte{1, 0, 2}},
			&Cert{Encoding: CertX509Signature, Data: []byte{0x30, 0}},
			&CertReq{Encoding: CertX509Signature, Authorities: bytes.Repeat([]byte{7}, 40)},
			&Auth{Method: AuthSharedKey, Data: []byte{5, 6}},
			&Notify{SPI: []byte{}, Type: CookieNotify, Data: []byte{1}},
			&Notify{Protocol: ProtoESP, SPI: []byte{1, 2, 3, 4}, Type: RekeySA, Data: []byte{}},
			&Delete{Protocol: ProtoESP, SPIs: []uint32{1, 0xffffffff}},
			&Delete{Protocol: ProtoIKE},
			&TS{Selectors: []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}},
			&TS{Responder: true, Selectors: []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("fd00::/8")), {Protocol: 6, StartPort: 80, EndPort: 81, Start: netip.MustParseAddr("1.2.3.4"), End: netip.MustParseAddr("1.2.3.9")}}},
			&VendorID{Data: []byte("seikan")},
			&Raw{Type: 49, Critical: true, Data: []byte{1}},
			&SK{First: KindAuth, Sealed: []byte{1, 2, 3, 4}},
		},
	}
}

func TestEveryPayloadSurvivesTheRoundTrip(t *testing.T) {
	want := sample()
	b := want.Append(nil)
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Payloads {
		if !reflect.DeepEqual(got.Payloads[i], want.Payloads[i]) {
			t.Errorf("payload %d: got %+v, want %+v", i, got.Payloads[i], want.Payloads[i])
		}
	}
	if !bytes.Equal(got.Octets, b) {
		t.Errorf("octets: got %x, want %x", got.Octets, b)
	}
	if again := got.Append(nil); !bytes.Equal(again, b) {
		t.Errorf("written again: got %x, want %x", again, b)
	}
}

// body wraps payload bytes of the given kind into a message.
func body(kind Kind, b ...byte) []byte {
	m := Message{Header: ike.Header{Version: Version}, Payloads: []Payload{&Raw{Type: kind, Data: b}}}
	return m.Append(nil)
}

func TestTransformsOfAnSAAreBounded(t *testing.T) {
	parse := func(proposals, transforms int) error {
		sa := &SA{}
		for range proposals {
			sa.Proposals = append(sa.Proposals, Proposal{Protocol: ProtoIKE, Transforms: make([]Transform, transforms)})
		}
		_, err := Parse((&Message{Header: ike.Header{Version: Version}, Payloads: []Payload{sa}}).Append(nil))
		return err
	}
	if err := parse(maxTransforms/128, 128); err != nil {
		t.Errorf("%d transforms: got %v, want none", maxTransforms, err)
	}
	if err := parse(maxTransforms/128+1, 128); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d transforms: got %v, want %v", maxTransforms+128, err, ErrMalformed)
	}
}

func TestMalformedPayloadsAreRefused(t *testing.T) {
	nonce := make([]byte, 257)
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"KE without a value", body(KindKE, 0, 14, 0, 0), ike.ErrShort},
		{"nonce of 15 octets", body(KindNonce, nonce[:15]...), ErrMalformed},
		{"nonce of 257 octets", body(KindNonce, nonce...), ErrMalformed},
		{"identity without data", body(KindIDi, 1, 0, 0, 0), ike.ErrShort},
		{"identity of type 0", body(KindIDr, 0, 0, 0, 0, 1), ErrMalformed},
		{"CERT without data", body(KindCert, 4), ike.ErrShort},
		{"CERTREQ without encoding", body(KindCertReq), ike.ErrShort},
		{"AUTH without data", body(KindAuth, 2, 0, 0, 0), ike.ErrShort},
		{"notify cut short", body(KindNotify, 0, 0, 1), ike.ErrShort},
		{"notify whose SPI is too long", body(KindNotify, 3, 4, 0, 1, 1, 2, 3), ike.ErrLength},
		{"delete of the IKE SA with an SPI", body(KindDelete, 1, 8, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), ErrMalformed},
		{"delete of an unknown protocol", body(KindDelete, 9, 4, 0, 0), ErrMalformed},
		{"delete with SPIs of 3 octets", body(KindDelete, 3, 3, 0, 1, 1, 2, 3), ErrMalformed},
		{"delete of fewer SPIs than it says", body(KindDelete, 3, 4, 0, 2, 1, 2, 3, 4), ike.ErrLength},
		{"selectors fewer than it says", body(KindTSi, 1, 0, 0, 0), ike.ErrShort},
		{"selectors more than it says", body(KindTSi, 0, 0, 0, 0, 7), ike.ErrLength},
		{"selector of type 7 with 40 octets", body(KindTSr, append([]byte{1, 0, 0, 0, 7, 0, 0, 40}, make([]byte, 36)...)...), ike.ErrLength},
		{"selector of 4 octets", body(KindTSr, 1, 0, 0, 0, 7, 0, 0, 4), ike.ErrLength},
		{"SA without proposals", body(KindSA), ike.ErrShort},
		{"proposal longer than the payload", body(KindSA, 0, 0, 0, 9, 1, 1, 0, 0), ike.ErrLength},
		{"proposal that begins with 1", body(KindSA, 1, 0, 0, 8, 1, 1, 0, 0), ErrMalformed},
		{"octets after the last proposal", body(KindSA, 0, 0, 0, 8, 1, 1, 0, 0, 0), ike.ErrLength},
		{"proposal whose SPI is too long", body(KindSA, 0, 0, 0, 8, 1, 1, 4, 0), ike.ErrLength},
		{"transform count too high", body(KindSA, 0, 0, 0, 16, 1, 1, 0, 2, 0, 0, 0, 8, 1, 0, 0, 12), ErrMalformed},
		{"transform count too low", body(KindSA, 0, 0, 0, 16, 1, 1, 0, 0, 0, 0, 0, 8, 1, 0, 0, 12), ike.ErrLength},
		{"attribute cut short", body(KindSA, 0, 0, 0, 18, 1, 1, 0, 1, 0, 0, 0, 10, 1, 0, 0, 12, 0x80, 14), ike.ErrShort},
		{"attribute longer than its transform", body(KindSA, 0, 0, 0, 20, 1, 1, 0, 1, 0, 0, 0, 12, 1, 0, 0, 12, 0, 99, 0, 1), ike.ErrLength},
		{"empty SK", body(KindSK), ike.ErrShort},
	} {
		if _, err := Parse(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestMessageLimits(t *testing.T) {
	many := &Message{Header: ike.Header{Version: Version}}
	for range maxPayloads + 1 {
		many.Payloads = append(many.Payloads, &VendorID{})
	}
	if _, err := Parse(many.Append(nil)); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d payloads: got %v, want %v", len(many.Payloads), err, ErrMalformed)
	}
	sa := &SA{Proposals: make([]Proposal, maxProposals+1)}
	if _, err := Parse((&Message{Header: many.Header, Payloads: []Payload{sa}}).Append(nil)); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d proposals: got %v, want %v", len(sa.Proposals), err, ErrMalformed)
	}
	v1 := &Message{Header: ike.Header{Version: 0x10}}
	if _, err := Parse(v1.Append(nil)); !errors.Is(err, ErrVersion) {
		t.Errorf("version 1: got %v, want %v", err, ErrVersion)
	}
}

func TestOnlyUnknownCriticalPayloadsCount(t *testing.T) {
	list := []Payload{&Raw{Type: 37, Critical: true}, &Raw{Type: 200}, &Raw{Type: 201, Critical: true}}
	if got, ok := UnknownCritical(list[:2]); ok {
		t.Errorf("got payload %d, want none: CERT is known and 200 is not critical", got)
	}
	if got, ok := UnknownCritical(list); !ok || got != 201 {
		t.Errorf("got payload %d, %v, want 201", got, ok)
	}
}

func TestStrangeSelectorsAreDropped(t *testing.T) {
	b := body(KindTSi, 2, 0, 0, 0, 9, 0, 0, 8, 0, 0, 0, 0, 7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 0, 10, 255, 255, 255)
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}
	if got := m.Payloads[0].(*TS).Selectors; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// xor is a seal that anybody can break, for tests of what surrounds it.
type xor struct{}

func (xor) SealedLen(n int) int { return n + 1 }

func (xor) SealSK(msg, plain []byte) ([]byte, error) {
	out := bytes.Clone(msg)
	for _, c := range plain {
		out = append(out, c^0x55)
	}
	return append(out, 0x55), nil
}

func (xor) OpenSK(msg []byte, at int) ([]byte, error) {
	if msg[len(msg)-1] != 0x55 {
		return nil, errors.New("not authentic")
	}
	var out []byte
	for _, c := range msg[at : len(msg)-1] {
		out = append(out, c^0x55)
	}
	return out, nil
}

func TestSealedPayloadsComeBack(t *testing.T) {
	h := ike.Header{SPIi: 1, SPIr: 2, Version: Version, Exchange: Informational, MessageID: 3}
	for _, list := range [][]Payload{nil, {&Delete{Protocol: ProtoIKE}}} {
		b, err := Seal(h, list, xor{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		got, authentic, err := Open(m, xor{})
		if err != nil || !authentic || !reflect.DeepEqual(got, list) {
			t.Errorf("got %v, %v, %v, want %v", got, authentic, err, list)
		}
		m.Octets[len(b)-1] = 0
		if _, authentic, err := Open(m, xor{}); authentic || err == nil {
			t.Errorf("changed: got authentic %v, %v, want an error", authentic, err)
		}
	}
}

func TestSKMayNotHoldAnother(t *testing.T) {
	b, err := Seal(ike.Header{Version: Version}, []Payload{&SK{First: KindNone, Sealed: []byte{1}}}, xor{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, authentic, err := Open(m, xor{}); !authentic || !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, %v, want an authentic message that is malformed", authentic, err)
	}
	if _, _, err := Open(&Message{}, xor{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no payloads: got %v, want %v", err, ErrMalformed)
	}
}

// badPadding opens everything, and finds the padding wrong.
type badPadding struct{}

func (badPadding) OpenSK([]byte, int) ([]byte, error) { return nil, suite.ErrPadding }

func TestBadPaddingIsThePeersOwn(t *testing.T) {
	m := &Message{Payloads: []Payload{&SK{Sealed: []byte{1}}}}
	if _, authentic, err := Open(m, badPadding{}); !authentic || err == nil {
		t.Errorf("got authentic %v, %v, want an authentic message that is malformed", authentic, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(sample().Append(nil))
	f.Add((&Message{Header: ike.Header{Version: Version}, Payloads: []Payload{&SKF{First: KindIDi, Number: 1, Total: 2, Sealed: []byte{1, 2}}}}).Append(nil))
	f.Add(body(KindSA, 0, 0, 0, 20, 1, 1, 0, 1, 0, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 1, 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Parse(in)
		if err != nil {
			return
		}
		out := m.Append(nil)
		again, err := Parse(out)
		if err != nil || !reflect.DeepEqual(m.Payloads, again.Payloads) {
			t.Fatalf("round trip of %x: got %+v, %v, want %+v", in, again, err, m)
		}
		again.Header.Next, m.Header.Next = 0, 0
		if again.Header != m.Header {
			t.Fatalf("header of %x: got %+v, want %+v", in, again.Header, m.Header)
		}
		for n := range in {
			if _, err := Parse(in[:n]); err == nil {
				t.Fatalf("accepted %d of the %d octets of %x", n, len(in), in)
			}
		}
	})
}
