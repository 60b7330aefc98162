package esp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"testing"

	"seikan/internal/ipsec/esp/lanes"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// allSuites is every suite that can be negotiated, with and without ESN.
func allSuites() []suite.ESP {
	all := []suite.ESP{
		{Encr: suite.ChaCha20Poly1305, KeyBits: 256},
		{Encr: suite.ChaCha20Poly1305, KeyBits: 256, ESN: true},
	}
	for _, bits := range []int{128, 256} {
		for _, esn := range []bool{false, true} {
			all = append(all, suite.ESP{Encr: suite.AESGCM16, KeyBits: bits, ESN: esn})
			for _, integ := range []suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512} {
				all = append(all, suite.ESP{Encr: suite.AESCBC, KeyBits: bits, Integ: integ, ESN: esn})
			}
		}
	}
	return all
}

func nameOf(s suite.ESP) string {
	name := fmt.Sprintf("GCM%d", s.KeyBits)
	if s.Encr == suite.AESCBC {
		integ := map[suite.Integ]string{suite.IntegSHA1: "SHA1", suite.IntegSHA256: "SHA256", suite.IntegSHA384: "SHA384", suite.IntegSHA512: "SHA512"}
		name = fmt.Sprintf("CBC%d-%s", s.KeyBits, integ[s.Integ])
	}
	if s.Encr == suite.ChaCha20Poly1305 {
		name = "ChaCha20"
	}
	if s.ESN {
		name += "-ESN"
	}
	return name
}

func seq(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// newSA is an SA whose two directions have the same keys and SPI, so that its
// own packets can be opened.
func newSA(t testing.TB, s suite.ESP) *ike.ChildSA {
	d, err := dimsOf(s)
	if err != nil {
		t.Fatal(err)
	}
	n := d.keyLen
	if s.Encr.AEAD() {
		n += saltLen
	}
	keys := suite.ESPKeys{Encr: secret.New(seq(0, n)), Integ: secret.New(seq(0x80, d.integKeyLen))}
	return &ike.ChildSA{SPIIn: 0x01020304, SPIOut: 0x01020304, Suite: s, KeysIn: keys, KeysOut: keys}
}

func newPair(t testing.TB, s suite.ESP, window int) (*Outbound, *Inbound) {
	sa := newSA(t, s)
	out, err := NewOutbound(sa)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewInbound(sa, window)
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}

// inner4 is an IPv4 packet of n octets, which need not be a sound one beyond
// its lengths.
func inner4(n int) []byte {
	b := seq(0, n)
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return b
}

func inner6(n int) []byte {
	b := seq(0, n)
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(n-40))
	return b
}

// sealOne seals a copy of inner.
func sealOne(o *Outbound, inner []byte) ([]byte, error) {
	pkt := make([]byte, o.SealedLen(len(inner)))
	copy(pkt[o.Prefix():], inner)
	_, err := o.SealBatch([][]byte{pkt}, []int{len(inner)})
	return pkt, err
}

// seal is sealOne for what must succeed.
func seal(t testing.TB, o *Outbound, inner []byte) []byte {
	pkt, err := sealOne(o, inner)
	if err != nil {
		t.Fatal(err)
	}
	return pkt
}

// sealRaw seals content that SealBatch would not: body is everything from the
// inner packet to the next header, whole blocks.
func sealRaw(o *Outbound, body []byte) []byte {
	n := len(body) - espTrailer
	pkt := make([]byte, o.SealedLen(n))
	copy(pkt[o.Prefix():], body[:n])
	// Let SealBatch write a packet of the same length with right padding, then
	// exchange what was encrypted: only possible with the keys.
	pkt[o.Prefix()] = 0x45
	if _, err := o.SealBatch([][]byte{pkt}, []int{n}); err != nil {
		panic(err)
	}
	num, end := o.last.Load(), len(pkt)-o.icv
	enc := pkt[o.Prefix():end]
	copy(enc, body)
	if o.aead != nil {
		copy(o.nonce[saltLen:], pkt[espHeader:o.Prefix()])
		o.aead.Seal(enc[:0], o.nonce[:], enc, o.gcmAAD(pkt, num))
		return pkt
	}
	o.cbc.Encrypt([][]byte{pkt[espHeader:end]})
	var job [1]lanes.Job
	o.toSign(&job[0], pkt, num)
	o.sign(job[:])
	copy(pkt[end:], job[0].Sum[:])
	return pkt
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedPacketsOpenToTheSame(t *testing.T) {
	for _, s := range allSuites() {
		t.Run(nameOf(s), func(t *testing.T) {
			out, in := newPair(t, s, 0)
			for n := 20; n < 120; n++ {
				inner := inner4(n)
				if n >= 40 && n%2 == 1 {
					inner = inner6(n)
				}
				pkt := seal(t, out, inner)
				if got := len(pkt) - n - Overhead(s); got < 0 || got >= in.dims.block {
					t.Errorf("%d octets: got %d octets of padding, want fewer than %d", n, got, in.dims.block)
				}
				var dst []byte
				if n%3 == 0 {
					dst = make([]byte, 0, 200)
				}
				got, err := in.Open(dst, pkt)
				if err != nil || !bytes.Equal(got, inner) {
					t.Fatalf("%d octets: got %x, %v, want %x", n, got, err, inner)
				}
			}
			if got, want := out.Sequence(), uint64(100); got != want {
				t.Errorf("sequence: got %d, want %d", got, want)
			}
			if got := in.Failures(); got != (Failures{}) {
				t.Errorf("failures: got %+v, want none", got)
			}
		})
	}
}

func TestGCMAgreesWithTheVectorsOfDraftMcGrew(t *testing.T) {
	// draft-mcgrew-gcm-test-01 section 4, the first with an extended sequence
	// number. The content says next header 1, so decrypt is what can be asked.
	tests := []struct {
		bits                   int
		esn                    bool
		key, spi, iv, pt, ctag string
		seq                    uint64
	}{
		{
			bits: 128, esn: true, seq: 0x8765432100000000,
			key:  "4c80cdefbb5d10da906ac73c3613a6342e443b68",
			spi:  "00004321",
			iv:   "4956ed7e3b244cfe",
			pt:   "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470037369700963796265726369747902646b000021000101020201",
			ctag: "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
		},
		{
			bits: 256, seq: 2,
			key:  "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
			spi:  "4a2cbfe3",
			iv:   "0102030405060708",
			pt:   "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b40101040201020201",
			ctag: "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96",
		},
	}
	for _, tt := range tests {
		sa := &ike.ChildSA{
			Suite:  suite.ESP{Encr: suite.AESGCM16, KeyBits: tt.bits, ESN: tt.esn},
			KeysIn: suite.ESPKeys{Encr: secret.New(unhex(t, tt.key))},
		}
		in, err := NewInbound(sa, 64)
		if err != nil {
			t.Fatal(err)
		}
		pkt := unhex(t, tt.spi+fmt.Sprintf("%08x", uint32(tt.seq))+tt.iv+tt.ctag)
		got, ok := in.decrypt(make([]byte, 0, 200), pkt, tt.seq)
		if !ok || !bytes.Equal(got, unhex(t, tt.pt)) {
			t.Errorf("AES-%d: got %x, %v, want %s", tt.bits, got, ok, tt.pt)
		}
	}
}

func TestChaChaAgreesWithRFC7634AppendixA(t *testing.T) {
	const inner = "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f10111213" +
		"1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
	pkt := unhex(t, "01020304000000051011121314151617"+
		"24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"+
		"2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0"+
		"76aaa8266b7fb0f7b11b369907e1ad43")
	in, err := NewInbound(&ike.ChildSA{
		SPIIn:  0x01020304,
		Suite:  suite.ESP{Encr: suite.ChaCha20Poly1305, KeyBits: 256},
		KeysIn: suite.ESPKeys{Encr: secret.New(append(seq(0x80, 32), seq(0xa0, 4)...))},
	}, 64)
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.Open(nil, pkt)
	if err != nil || !bytes.Equal(got, unhex(t, inner)) {
		t.Errorf("got %x, %v, want %s", got, err, inner)
	}
}

func TestCBCOpensWhatOpenSSLSealed(t *testing.T) {
	// Made with the openssl command: enc -aes-N-cbc -nopad over inner packet,
	// padding and trailer, dgst -mac HMAC over the packet and the high half.
	const inner = "4500001c12340000401100000a0000010a0000020035003500080000"
	for _, tt := range []struct {
		s   suite.ESP
		pkt string
	}{
		{suite.ESP{KeyBits: 128, Integ: suite.IntegSHA1}, "0102030400000001000102030405060708090a0b0c0d0e0f73cf2864265e5927bca3823098b1b9dd1ee59ddbe4f225d208e4f82ee7a2c1af19ba7c552e76184620d0c946"},
		{suite.ESP{KeyBits: 256, Integ: suite.IntegSHA1, ESN: true}, "0102030400000001000102030405060708090a0b0c0d0e0f1f2b926554bdbc37824f5eb9e14bb15e6563874d60fbb806293db7fce5aba3205bdedbf599ae0a75b55ff21d"},
		{suite.ESP{KeyBits: 128, Integ: suite.IntegSHA256}, "0102030400000001000102030405060708090a0b0c0d0e0f73cf2864265e5927bca3823098b1b9dd1ee59ddbe4f225d208e4f82ee7a2c1aff9e045a71f8ecf585030ac056290f0d0"},
		{suite.ESP{KeyBits: 256, Integ: suite.IntegSHA256, ESN: true}, "0102030400000001000102030405060708090a0b0c0d0e0f1f2b926554bdbc37824f5eb9e14bb15e6563874d60fbb806293db7fce5aba320669d3dc2fc32bf66ad26ec98f5618570"},
		{suite.ESP{KeyBits: 256, Integ: suite.IntegSHA384}, "0102030400000001000102030405060708090a0b0c0d0e0f1f2b926554bdbc37824f5eb9e14bb15e6563874d60fbb806293db7fce5aba320709d0eb4c4f573ac0f1dffe2ebdf6f5ce2cd2ab07b6436f7"},
		{suite.ESP{KeyBits: 128, Integ: suite.IntegSHA512, ESN: true}, "0102030400000001000102030405060708090a0b0c0d0e0f73cf2864265e5927bca3823098b1b9dd1ee59ddbe4f225d208e4f82ee7a2c1af42f9278e6c8c3fb5548499b45a9486d7117abc9b46df9d0e5d4359acc057d4a2"},
	} {
		tt.s.Encr = suite.AESCBC
		_, in := newPair(t, tt.s, 0)
		got, err := in.Open(nil, unhex(t, tt.pkt))
		if err != nil || hex.EncodeToString(got) != inner {
			t.Errorf("%s: got %x, %v, want %s", nameOf(tt.s), got, err, inner)
		}
	}
}

func TestAnyChangedOctetIsRefused(t *testing.T) {
	for _, s := range allSuites() {
		out, in := newPair(t, s, 0)
		pkt := seal(t, out, inner4(60))
		for i := 4; i < len(pkt); i++ { // the SPI decides which SA is asked
			bad := bytes.Clone(pkt)
			bad[i] ^= 0x40
			if _, err := in.Open(nil, bad); !errors.Is(err, ErrAuth) && !(s.ESN && errors.Is(err, ErrReplay)) {
				t.Fatalf("%s: octet %d changed: got %v, want %v", nameOf(s), i, err, ErrAuth)
			}
		}
		for n := range pkt {
			if _, err := in.Open(nil, bytes.Clone(pkt[:n])); err == nil {
				t.Fatalf("%s: accepted %d of %d octets", nameOf(s), n, len(pkt))
			}
		}
		if _, err := in.Open(nil, pkt); err != nil {
			t.Errorf("%s: the packet itself after all that: got %v, want none", nameOf(s), err)
		}
	}
}

func TestReplayIsRefusedAndForgeryDoesNotMoveTheWindow(t *testing.T) {
	for _, s := range allSuites() {
		out, in := newPair(t, s, 64)
		var pkts [][]byte
		for range 100 {
			pkts = append(pkts, seal(t, out, inner4(40)))
		}
		forged := bytes.Clone(pkts[99])
		forged[len(forged)-1] ^= 1
		if _, err := in.Open(nil, forged); !errors.Is(err, ErrAuth) {
			t.Fatalf("%s: forged: got %v, want %v", nameOf(s), err, ErrAuth)
		}
		for _, i := range []int{0, 63, 62, 1, 99, 36} { // 36 is number 37, the last within 64 of 100
			if _, err := in.Open(nil, bytes.Clone(pkts[i])); err != nil {
				t.Errorf("%s: packet %d: got %v, want none", nameOf(s), i+1, err)
			}
			if _, err := in.Open(nil, bytes.Clone(pkts[i])); !errors.Is(err, ErrReplay) {
				t.Errorf("%s: packet %d again: got %v, want %v", nameOf(s), i+1, err, ErrReplay)
			}
		}
		// With ESN an old number is taken for one of the next subspace, whose
		// ICV is then wrong (RFC 4303 appendix A2.2).
		if _, err := in.Open(nil, bytes.Clone(pkts[35])); !errors.Is(err, ErrReplay) && !(s.ESN && errors.Is(err, ErrAuth)) {
			t.Errorf("%s: left of the window: got %v, want %v", nameOf(s), err, ErrReplay)
		}
	}
}

func TestExhaustedSASealsNothingMore(t *testing.T) {
	for _, esn := range []bool{false, true} {
		out, _ := newPair(t, suite.ESP{Encr: suite.AESGCM16, KeyBits: 128, ESN: esn}, 0)
		last := uint64(math.MaxUint32)
		if esn {
			last = math.MaxUint64
		}
		out.last.Store(last - 1)
		seal(t, out, inner4(20))
		for range 3 {
			if _, err := sealOne(out, inner4(20)); !errors.Is(err, ErrExhausted) {
				t.Errorf("ESN %v: got %v, want %v", esn, err, ErrExhausted)
			}
		}
		if got := out.Sequence(); got != last {
			t.Errorf("ESN %v: sequence: got %d, want %d", esn, got, last)
		}
	}
}

func TestExtendedNumbersCrossTheSubspace(t *testing.T) {
	for _, s := range allSuites() {
		if !s.ESN {
			continue
		}
		out, in := newPair(t, s, 64)
		out.last.Store(1<<32 - 30)
		in.window.accept(1<<32 - 30)
		var late []byte
		for i := range 60 {
			pkt := seal(t, out, inner4(40))
			if i == 10 {
				late = pkt
				continue
			}
			if _, err := in.Open(nil, pkt); err != nil {
				t.Fatalf("%s: number %d: got %v, want none", nameOf(s), out.Sequence(), err)
			}
		}
		if _, err := in.Open(nil, late); err != nil {
			t.Errorf("%s: a late one of the former subspace: got %v, want none", nameOf(s), err)
		}
	}
}

func TestSealRefusesWhatItCannotSeal(t *testing.T) {
	out, _ := newPair(t, suite.ESP{Encr: suite.AESGCM16, KeyBits: 128}, 0)
	room := out.SealedLen(20)
	for _, tt := range []struct {
		name    string
		room, n int
		want    error
	}{
		{"too little room", room - 1, 20, ErrRoom},
		{"too much room", room + 1, 20, ErrRoom},
		{"no room", 0, 20, ErrRoom},
		{"negative", room, -1, ErrRoom},
		{"empty", out.SealedLen(0), 0, ErrNotIP},
		{"version 0", room, 20, ErrNotIP},
	} {
		if _, err := out.SealBatch([][]byte{make([]byte, tt.room)}, []int{tt.n}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if got := out.Sequence(); got != 0 {
		t.Errorf("sequence numbers spent: got %d, want 0", got)
	}
}

func TestAuthenticNonsenseIsToldApart(t *testing.T) {
	tests := []struct {
		name string
		body []byte
		want error
		get  func(Failures) uint64
	}{
		{"pad length past the content", append(inner4(30), 31, 4), ErrPadding, func(f Failures) uint64 { return f.Padding }},
		{"padding of zeros", append(inner4(20), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 4), ErrPadding, func(f Failures) uint64 { return f.Padding }},
		{"dummy", append(make([]byte, 30), 0, 59), ErrDummy, func(f Failures) uint64 { return f.Dummy }},
		{"transport mode", append(inner4(30), 0, 6), ErrNextHeader, func(f Failures) uint64 { return f.NextHeader }},
		{"IPv4 as IPv6", append(inner4(46), 0, 41), ErrNextHeader, func(f Failures) uint64 { return f.NextHeader }},
		{"total length beyond", append(append([]byte{0x45, 0, 0, 31}, make([]byte, 26)...), 0, 4), ErrNextHeader, func(f Failures) uint64 { return f.NextHeader }},
		{"traffic flow padding", append(append(inner4(20), make([]byte, 26)...), 0, 4), nil, nil},
	}
	for _, s := range allSuites() {
		out, in := newPair(t, s, 0)
		for _, tt := range tests {
			got, err := in.Open(nil, sealRaw(out, tt.body))
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %s: got %v, want %v", nameOf(s), tt.name, err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, inner4(20)) {
				t.Errorf("%s: %s: got %x, want %x", nameOf(s), tt.name, got, inner4(20))
			}
			if tt.get != nil && tt.get(in.Failures()) == 0 {
				t.Errorf("%s: %s: not counted", nameOf(s), tt.name)
			}
		}
	}
}

func TestAnotherSAsPacketIsRefused(t *testing.T) {
	s := suite.ESP{Encr: suite.AESGCM16, KeyBits: 128}
	out, in := newPair(t, s, 0)
	pkt := seal(t, out, inner4(40))
	pkt[0]++
	if _, err := in.Open(nil, pkt); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want %v", err, ErrMalformed)
	}
}

func TestNoIVIsUsedTwice(t *testing.T) {
	for _, s := range allSuites() {
		out, _ := newPair(t, s, 0)
		seen := map[string]bool{}
		for i := range 3 * ivReserve / 16 {
			iv := string(seal(t, out, inner4(20))[espHeader : espHeader+out.iv])
			if seen[iv] {
				t.Fatalf("%s: packet %d: IV %x was used before", nameOf(s), i, iv)
			}
			seen[iv] = true
		}
	}
}

func TestBadKeysAndSuitesAreNamed(t *testing.T) {
	good := newSA(t, suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256})
	for name, change := range map[string]func(*ike.ChildSA){
		"key bits": func(sa *ike.ChildSA) { sa.Suite.KeyBits = 192 },
		"cipher":   func(sa *ike.ChildSA) { sa.Suite.Encr = 3 },
		"ChaCha20 with 128 bits": func(sa *ike.ChildSA) {
			sa.Suite.Encr, sa.Suite.Integ = suite.ChaCha20Poly1305, suite.IntegNone
		},
		"no integrity":       func(sa *ike.ChildSA) { sa.Suite.Integ = suite.IntegNone },
		"GCM with integrity": func(sa *ike.ChildSA) { sa.Suite.Encr = suite.AESGCM16 },
		"short cipher key": func(sa *ike.ChildSA) {
			sa.KeysIn.Encr, sa.KeysOut.Encr = secret.New(seq(0, 15)), secret.New(seq(0, 15))
		},
		"short integrity key": func(sa *ike.ChildSA) {
			sa.KeysIn.Integ, sa.KeysOut.Integ = secret.New(seq(0, 20)), secret.New(seq(0, 20))
		},
	} {
		sa := *good
		change(&sa)
		if _, err := NewOutbound(&sa); err == nil {
			t.Errorf("%s: outbound accepted", name)
		}
		if _, err := NewInbound(&sa, 0); err == nil {
			t.Errorf("%s: inbound accepted", name)
		}
	}
	for _, w := range []int{-1, 1, 63, 2049} {
		if _, err := NewInbound(good, w); err == nil {
			t.Errorf("window %d: accepted", w)
		}
	}
}

func TestSealAndOpenDoNotAllocate(t *testing.T) {
	for _, s := range allSuites() {
		out, in := newPair(t, s, 0)
		inner, dst := inner4(1400), make([]byte, 0, 1500)
		pkt := make([]byte, out.SealedLen(len(inner)))
		pkts, lens := [][]byte{pkt}, []int{len(inner)}
		if n := testing.AllocsPerRun(200, func() {
			copy(pkt[out.Prefix():], inner)
			_, err := out.SealBatch(pkts, lens)
			if err == nil {
				_, err = in.Open(dst, pkt)
			}
			if err != nil {
				t.Fatal(err)
			}
			copy(pkt[out.Prefix():], inner)
			_, _ = out.SealBatch(pkts, lens)
			if _, err := in.Open(nil, pkt); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", nameOf(s), n)
		}
	}
}
