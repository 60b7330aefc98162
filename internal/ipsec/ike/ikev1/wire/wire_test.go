package wire

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/ipsec/ike"
)

// fromHex reads octets with spaces between.
func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(bytes.Join(bytes.Fields([]byte(text)), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sample is every kind of payload.
func sample() []Payload {
	return []Payload{
		&SA{Proposals: []Proposal{
			{Number: 1, Protocol: ProtoISAKMP, SPI: []byte{}, Transforms: []Transform{
				{Number: 1, ID: 1, Attributes: []Attribute{Basic(1, 7), Basic(14, 256), {Type: 12, Value: []byte{0, 0, 0x70, 0x80}}}},
				{Number: 2, ID: 1, Attributes: []Attribute{{Type: 99, Value: []byte{}}}},
			}},
			{Number: 2, Protocol: ProtoESP, SPI: []byte{1, 2, 3, 4}, Transforms: []Transform{{Number: 1, ID: 12}}},
			{Number: 3, Protocol: ProtoIPComp, SPI: []byte{5, 6}},
		}},
		&KE{Public: []byte{1, 2, 3}},
		&ID{Identity: ike.Identity{Type: ike.IDFQDN, Data: "cgw.example"}, Protocol: 17, Port: 500},
		&Cert{Encoding: CertX509Signature, Data: []byte{0x30}},
		&CertReq{Encoding: CertX509Signature, Authority: []byte{}},
		&Hash{Data: []byte{8}},
		&Sig{Data: []byte{9}},
		&Nonce{Data: bytes.Repeat([]byte{9}, 32)},
		&Notify{Protocol: ProtoISAKMP, SPI: bytes.Repeat([]byte{7}, 16), Type: RUThere, Data: []byte{0, 0, 0, 1}},
		&Notify{SPI: []byte{}, Type: NoProposalChosen, Data: []byte{}},
		NewDelete(1, 0xffffffff),
		&Delete{Protocol: ProtoISAKMP, SPIs: [][]byte{bytes.Repeat([]byte{6}, 16)}},
		VendorDPD.Payload(),
		&NATD{Hash: bytes.Repeat([]byte{1}, 20)},
		&NATOA{Addr: netip.MustParseAddr("192.0.2.1")},
		&NATOA{Addr: netip.MustParseAddr("2001:db8::1")},
		&Fragment{ID: 1, Number: 2, Last: true, Data: []byte{1}},
		&Raw{Type: 130, Data: []byte{1, 2}},
	}
}

// bare takes from list what only parsing knows, for comparison.
func bare(list []Payload) []Payload {
	for _, p := range list {
		switch p := p.(type) {
		case *SA:
			p.octets = nil
		case *ID:
			p.octets = nil
		}
	}
	return list
}

func TestEveryPayloadSurvivesTheRoundTrip(t *testing.T) {
	want := &Message{
		Header: ike.Header{SPIi: 0x0102030405060708, SPIr: 0x1112131415161718, Version: Version, Exchange: MainMode},
		Chain:  Chain{Payloads: sample()},
	}
	b := want.Append(nil)
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Octets, b) || !bytes.Equal(got.Chain.Octets, b[ike.HeaderLen:]) {
		t.Errorf("octets: got %x and %x, want %x", got.Octets, got.Chain.Octets, b)
	}
	if again := got.Append(nil); !bytes.Equal(again, b) {
		t.Errorf("written again: got %x, want %x", again, b)
	}
	list := bare(got.Chain.Payloads)
	for i, p := range sample() {
		if !reflect.DeepEqual(list[i], p) {
			t.Errorf("payload %d: got %+v, want %+v", i, list[i], p)
		}
	}
}

// The octets are put down by hand from RFC 2408 section 3, RFC 2409 appendix A
// and RFC 3706 section 5.3.
func TestPayloadsHaveTheOctetsOfTheRFC(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Payload
		want string
	}{
		{"main mode offer", &SA{Proposals: []Proposal{{Number: 1, Protocol: ProtoISAKMP, Transforms: []Transform{
			{Number: 1, ID: 1, Attributes: []Attribute{Basic(1, 7), Basic(14, 128), Basic(2, 4), Basic(4, 14), Basic(3, 1), Basic(11, 1), {Type: 12, Value: []byte{0, 0, 0x70, 0x80}}}},
		}}}}, `00000001 00000001 00000030 01010001 00000028 01010000 80010007 800e0080 80020004 8004000e 80030001 800b0001 000c0004 00007080`},
		{"two transforms", &SA{Proposals: []Proposal{{Number: 1, Protocol: ProtoESP, SPI: []byte{0xc0, 1, 2, 3}, Transforms: []Transform{
			{Number: 1, ID: 20, Attributes: []Attribute{Basic(6, 256)}}, {Number: 2, ID: 12, Attributes: []Attribute{Basic(6, 128)}},
		}}}}, `00000001 00000001 00000024 01030402 c0010203 0300000c 01140000 80060100 0000000c 020c0000 80060080`},
		{"R-U-THERE", &Notify{Protocol: ProtoISAKMP, SPI: bytes.Repeat([]byte{0xaa}, 16), Type: RUThere, Data: []byte{0, 0, 0, 9}},
			`00000001 01 10 8d28 aaaaaaaa aaaaaaaa aaaaaaaa aaaaaaaa 00000009`},
		{"delete of ESP", NewDelete(0x01020304), `00000001 03 04 0001 01020304`},
		{"subnet", &ID{Identity: ike.Identity{Type: 4, Data: "\x0a\x00\x00\x00\xff\x00\x00\x00"}}, `04 00 0000 0a000000 ff000000`},
		{"NAT-OA", &NATOA{Addr: netip.MustParseAddr("192.0.2.1")}, `01 000000 c0000201`},
		{"fragment", &Fragment{ID: 1, Number: 3, Last: true, Data: []byte{0xff}}, `0001 03 01 ff`},
	} {
		if got, want := Body(c.p), fromHex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", c.name, got, want)
		}
	}
}

func TestVendorIDsAreTheHashesOfTheirNames(t *testing.T) {
	for name, v := range map[string]Vendor{"RFC 3947": VendorNATT, "FRAGMENTATION": VendorFragmentation} {
		sum := md5.Sum([]byte(name))
		if string(sum[:]) != string(v) {
			t.Errorf("%s: got %x, want %x", name, string(v), sum)
		}
	}
	list := []Payload{&VendorID{Data: append([]byte(VendorFragmentation), 0x80, 0, 0, 0)}, &VendorID{Data: []byte(VendorNATT[:15])}}
	if !Announces(list, VendorFragmentation) || Announces(list, VendorNATT) {
		t.Errorf("got %v, %v, want fragmentation and no NAT traversal", Announces(list, VendorFragmentation), Announces(list, VendorNATT))
	}
}

func TestHashesCoverTheOctetsThatCame(t *testing.T) {
	// The second reserved field of a transform and the ID's port are not ours
	// to change.
	sa := fromHex(t, `00000001 00000001 00000010 01010001 00000008 0101beef`)
	id := fromHex(t, `01 11 01f4 c0000201`)
	m := &Message{Header: ike.Header{Version: Version}, Chain: Chain{Payloads: []Payload{
		&Raw{Type: KindHash, Data: []byte{1}}, &Raw{Type: KindSA, Data: sa}, &Raw{Type: KindID, Data: id},
	}}}
	b := m.Append(nil)
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	list := got.Chain.Payloads
	if !bytes.Equal(Body(list[1]), sa) || !bytes.Equal(Body(list[2]), id) {
		t.Errorf("got %x, %x, want %x, %x", Body(list[1]), Body(list[2]), sa, id)
	}
	if want := b[ike.HeaderLen+5:]; !bytes.Equal(got.Chain.After(0), want) {
		t.Errorf("after HASH: got %x, want %x", got.Chain.After(0), want)
	}
	if got := got.Chain.After(2); len(got) != 0 {
		t.Errorf("after the last: got %x, want nothing", got)
	}
	_, rest := AppendChain(nil, m.Chain.Payloads[1:])
	if !bytes.Equal(got.Chain.After(0), rest) {
		t.Errorf("written without the first: got %x, want %x", rest, got.Chain.After(0))
	}
}

func TestAnEncryptedMessageStaysSealed(t *testing.T) {
	h := ike.Header{SPIi: 1, SPIr: 2, Version: Version, Exchange: QuickMode, MessageID: 3}
	first, plain := AppendChain(nil, []Payload{&Hash{Data: []byte{1, 2, 3}}, NewDelete(7)})
	for _, padding := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 40)} {
		padded := append(bytes.Clone(plain), padding...)
		m, err := Parse(AppendSealed(nil, h, first, padded))
		if err != nil {
			t.Fatal(err)
		}
		if !m.Encrypted() || len(m.Chain.Payloads) != 0 || !bytes.Equal(m.Sealed, padded) {
			t.Fatalf("got %+v, want %x sealed", m, padded)
		}
		c, err := ParseInner(Kind(m.Header.Next), m.Sealed)
		if err != nil || len(c.Payloads) != 2 || !bytes.Equal(c.Octets, plain) {
			t.Errorf("%d octets of padding: got %+v, %v, want the payloads without padding", len(padding), c, err)
		}
	}
	for n, want := range map[int]int{0: 0, 1: 16, 16: 16, 17: 32} {
		if got := Pad(bytes.Repeat([]byte{5}, n), 16); len(got) != want || !bytes.Equal(got[n:], make([]byte, want-n)) {
			t.Errorf("pad %d octets: got %x, want zeros up to %d", n, got, want)
		}
	}
	if _, err := Parse(AppendSealed(nil, h, first, nil)); !errors.Is(err, ike.ErrShort) {
		t.Errorf("no body: got %v, want %v", err, ike.ErrShort)
	}
}

func TestDescribeShowsKindsOnly(t *testing.T) {
	clear := &Message{Header: ike.Header{Exchange: MainMode}, Chain: Chain{Payloads: sample()}}
	want := "main mode {SA KE ID CERT CERTREQ HASH SIG N N(R-U-THERE) N(NO-PROPOSAL-CHOSEN) D(2 ESP) D(ISAKMP) V NAT-D NAT-OA NAT-OA FRAG(2) payload-130}"
	if got := Describe(clear, nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	sealed := &Message{Header: ike.Header{Exchange: QuickMode, Flags: FlagEncrypted}}
	for _, c := range []struct {
		inner []Payload
		want  string
	}{{nil, "quick mode* {…}"}, {[]Payload{&Hash{}, &Notify{Type: 4711}}, "quick mode* {HASH N(NOTIFY-4711)}"}} {
		if got := Describe(sealed, c.inner); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	for x, want := range map[uint8]string{Aggressive: "aggressive mode", Informational: "informational", Transaction: "transaction", NewGroupMode: "new group mode", 34: "exchange 34"} {
		if got := ExchangeName(x); got != want {
			t.Errorf("exchange %d: got %s, want %s", x, got, want)
		}
	}
}

func TestFindGivesTheFirstOfAKind(t *testing.T) {
	list := sample()
	if n, ok := FindNotify(list, NoProposalChosen); !ok || !n.Type.IsError() {
		t.Errorf("got %v, %v, want an error notify", n, ok)
	}
	if _, ok := FindNotify(list, InitialContact); ok {
		t.Error("got an INITIAL-CONTACT, want none")
	}
	if n, ok := FindError(list); !ok || n.Type != NoProposalChosen {
		t.Errorf("got %v, want %v: R-U-THERE is none", n, NoProposalChosen)
	}
	if n := len(FindAll[*NATOA](list)); n != 2 {
		t.Errorf("got %d NAT-OA, want 2", n)
	}
	if _, ok := Find[*KE](list[2:]); ok {
		t.Error("got a KE, want none")
	}
	if _, ok := FindError(list[:3]); ok {
		t.Error("got an error notify, want none")
	}
	h := ike.Header{SPIi: 0x0102030405060708, SPIr: 0x1112131415161718}
	if got, want := Cookies(h), fromHex(t, "0102030405060708 1112131415161718"); !bytes.Equal(got, want) {
		t.Errorf("cookies: got %x, want %x", got, want)
	}
}

func TestAnAttributeIsANumber(t *testing.T) {
	for _, c := range []struct {
		a    Attribute
		want uint64
		ok   bool
	}{
		{Basic(1, 0x1234), 0x1234, true},
		{Attribute{Value: []byte{0, 1, 0, 0}}, 65536, true},
		{Attribute{Value: bytes.Repeat([]byte{0xff}, 8)}, 1<<64 - 1, true},
		{Attribute{Value: make([]byte, 9)}, 0, false},
		{Attribute{}, 0, false},
	} {
		if got, ok := c.a.Number(); got != c.want || ok != c.ok {
			t.Errorf("%x: got %d, %v, want %d, %v", c.a.Value, got, ok, c.want, c.ok)
		}
	}
}
