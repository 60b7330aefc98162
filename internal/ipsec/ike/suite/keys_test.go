package suite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"seikan/internal/secret"
)

// cavs is a test case of NIST's validation system for the IKEv2 key derivation
// function (SP 800-135), with SHA-1: 132 octets are just what an IKE SA with
// AES128 and SHA1 takes.
var cavs = struct{ gir, girNew, ni, nr, dkm, child, childDH string }{
	gir:    "4b2c1f971981a8ad8d0abeafabf38cf75fc8349c148142465ed9c8b516b8be52",
	girNew: "863f3c9d06efd39d2b907b97f8699e5dd5251ef64a2a176f36ee40c87d4f9330",
	ni:     "32b50d5f4a3763f3",
	nr:     "9206a04b26564cb1",
	dkm: "a14293677cc80ff8f9cc0eee30d895da9d8f4056 66e30ef0dfcb63c634a46002a2a63080e514a062" +
		"768b76606f9fa5e992204fc5a670bde3f10d6b02 7113936a5c55b648a194ae587b0088d5" +
		"2204b702c979fa280870d2ed41efa9c5 49fd11198af1670b143d384bd275c5f594cf266b" +
		"05ebadca855e4249520a441a81157435a7a56cc4",
	child: "8059e3ee8810e6c3a91bc8bcd2a7a411 51b8d0e6ae239c7b38093ad85ef4c5811a8e7b5d" +
		"1cdabd9560b2d5e092d1f24e2d4b85ec cdf0ad0dc9abd94b51ee71814ca6dbc8bb51b630",
	childDH: "bb43244c1860ad65ee1e211ffe8bb366 1750c8f89cb9f547df7f4fa61d37301628190e38" +
		"c66232eab4b3ab14c400a5197dd3730e d4820a8a10394d51e1c0400052f63ebd36b0e7ef",
}

// revealed is all keys of k in the order of RFC 7296 section 2.14.
func revealed(k IKEKeys) []byte {
	return slices.Concat(k.D.Reveal(), k.Ai.Reveal(), k.Ar.Reveal(), k.Ei.Reveal(), k.Er.Reveal(), k.Pi.Reveal(), k.Pr.Reveal())
}

// both is the key material of both directions in the order of RFC 7296
// section 2.17.
func both(r, i ESPKeys) []byte {
	return slices.Concat(r.Encr.Reveal(), r.Integ.Reveal(), i.Encr.Reveal(), i.Integ.Reveal())
}

// cavsInput is the input of the case.
func cavsInput(t *testing.T) KeyInput {
	t.Helper()
	return KeyInput{
		Ni: unhex(t, cavs.ni), Nr: unhex(t, cavs.nr), SPIi: 0x34c9e7c188868785, SPIr: 0x3ff77d760d2b2199,
		Shared: secret.New(unhex(t, cavs.gir)),
	}
}

func TestKeysOfNISTsCase(t *testing.T) {
	s := IKE{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA1, Integ: IntegSHA1, Group: 2}
	in := cavsInput(t)
	keys, err := DeriveIKE(s, in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := revealed(keys), unhex(t, cavs.dkm); !bytes.Equal(got, want) {
		t.Errorf("IKE SA:\ngot  %x\nwant %x", got, want)
	}
	if got, want := keys.Ei.Reveal(), unhex(t, cavs.dkm)[60:76]; !bytes.Equal(got, want) {
		t.Errorf("SK_ei: got %x, want %x", got, want)
	}

	esp := ESP{Encr: AESCBC, KeyBits: 128, Integ: IntegSHA1}
	in.Shared = secret.Secret{}
	r, i, err := DeriveChild(s.PRF, keys.D, esp, in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := both(r, i), unhex(t, cavs.child); !bytes.Equal(got, want) {
		t.Errorf("CHILD SA:\ngot  %x\nwant %x", got, want)
	}
	if got, want := r.Integ.Reveal(), unhex(t, cavs.child)[16:36]; !bytes.Equal(got, want) {
		t.Errorf("integrity key toward the responder: got %x, want %x", got, want)
	}
	in.Shared = secret.New(unhex(t, cavs.girNew))
	if r, i, err = DeriveChild(s.PRF, keys.D, esp, in); err != nil {
		t.Fatal(err)
	}
	if got, want := both(r, i), unhex(t, cavs.childDH); !bytes.Equal(got, want) {
		t.Errorf("CHILD SA with PFS:\ngot  %x\nwant %x", got, want)
	}
}

// NIST's case gives the SKEYSEED of the rekey; what follows from it is prf+,
// which TestPlusChainsBlocksAndIsPrefixStable holds.
func TestRekeyedKeysOfNISTsCase(t *testing.T) {
	s := IKE{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA1, Integ: IntegSHA1, Group: 2}
	in := cavsInput(t)
	in.Shared = secret.New(unhex(t, cavs.girNew))
	oldD := secret.New(unhex(t, cavs.dkm)[:20])
	keys, err := DeriveRekeyedIKE(s, PRFSHA1, oldD, in)
	if err != nil {
		t.Fatal(err)
	}
	skeyseed := unhex(t, "63e81194946ebd05df7df5ebf5d8750056bf1f1d")
	seed := unhex(t, cavs.ni+cavs.nr+"34c9e7c188868785"+"3ff77d760d2b2199")
	want, err := PRFSHA1.Plus(skeyseed, seed, 132)
	if err != nil {
		t.Fatal(err)
	}
	if got := revealed(keys); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// The same of NIST's cases with SHA-2: SKEYSEED, the first 132 octets of key
// material, and SKEYSEED of a rekey.
func TestKeysOfNISTsCasesWithSHA2(t *testing.T) {
	for _, c := range []struct {
		prf                              PRF
		integ                            Integ
		spiI, spiR                       uint64
		gir, girNew, ni, nr              string
		skeyseed, dkm, skeyseedOfTheNext string
	}{
		{
			PRFSHA256, IntegSHA256, 0x40dac39e1e1a8640, 0x8619a1cf9a6e4c07,
			"0f4d257d7a58fc4545c7d7a88119eee5d5c9690c5b4c989171d3abbfd99d1d29",
			"25f3b12d6f282739256e39bf54eda53b60ffcf379bb7bcc90c27b4c4c578616c",
			"3f302be1abcb28e1", "8c332ee006064c9b",
			"5f00d1bd2c58ec224b1e6b71fa0f19a1faa7a193952c444411b47c1a9d8ba6fe",
			"0b137d669b0947d7d026d593f0305ad401ff0c471357d695778a9c7f4b4869ece98aca531188d16041b3bb936d2dbb3b4993a6e768a8" +
				"09160de45d0283f273a6cdf6854379e31be72b8d3d1fa990cf9c5b015ca9f918a7df6253c958114a09d4e1c19bdcd4db14b29d98db1a" +
				"74ad405c588662c14a04d0d36aa4ab55e90f8986d12d4aad",
			"2d63f6debc92048b4fef3889c4c99ca67d6496e0fac14a2bca9a2d6566ff2398",
		},
		{
			PRFSHA384, IntegSHA384, 0x2116ad07ce61f749, 0x24880e55f11a65b7,
			"d3288cd87565101e88fe3bad918f31939d8dd26ff1071f8b2d7f447524e58d7c",
			"3358f620539473aee8d07e779764c4c6a9aabddc79a28e136b3bac021dbde44a",
			"fd1b572a8e735591", "6013b0ef88dacd3d",
			"69fe7a1ac94adaeb711295f5fe004b1a8d6a0b65d05692758ce8ad2f7a45f59d7d0b596f51f7dfcf3330061888f6a94f",
			"4f904c2025c90c817ea5ff9b662a6fdb445a73b57cdf09eacd379b95e1f03cacb04cd6deeda4f952191dd9bc1f7a9502471a648d74dc" +
				"06d38112de48a42501f6b1a3ad55c2099cd9a648e5f17e5bf3e34bf9b5953decb768a34f875fe2b78dca0c2fcca81ec1a412006dfaed" +
				"38fa06882e61f4c148105fb8e231fdb33c4d484c001721d4",
			"e0548c1682e13bce454026b3b1bdf42985b24e4e7408095a7c529de38c3d1fcb04c9fe6868042a34c9614c6c99e3fcea",
		},
	} {
		ni, nr := unhex(t, c.ni), unhex(t, c.nr)
		if got, want := c.prf.Sum(slices.Concat(ni, nr), unhex(t, c.gir)), unhex(t, c.skeyseed); !bytes.Equal(got, want) {
			t.Errorf("%v SKEYSEED: got %x, want %x", c.prf, got, want)
		}
		s := IKE{Encr: AESCBC, KeyBits: 128, PRF: c.prf, Integ: c.integ, Group: 14}
		in := KeyInput{Ni: ni, Nr: nr, SPIi: c.spiI, SPIr: c.spiR, Shared: secret.New(unhex(t, c.gir))}
		keys, err := DeriveIKE(s, in)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := revealed(keys)[:132], unhex(t, c.dkm); !bytes.Equal(got, want) {
			t.Errorf("%v keys:\ngot  %x\nwant %x", c.prf, got, want)
		}
		in.Shared = secret.New(unhex(t, c.girNew))
		next, err := DeriveRekeyedIKE(s, c.prf, keys.D, in)
		if err != nil {
			t.Fatal(err)
		}
		want, err := expandIKE(s, unhex(t, c.skeyseedOfTheNext), in)
		if err != nil || !bytes.Equal(revealed(next), revealed(want)) {
			t.Errorf("%v rekeyed:\ngot  %x, %v\nwant %x", c.prf, revealed(next), err, revealed(want))
		}
	}
}

// ramp is n octets that begin at from and go up or down by step.
func ramp(from byte, step, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(int(from) + i*step)
	}
	return out
}

// The expectations are SHA-256 over the key material, made with an independent
// implementation (Python's hmac module) of RFC 7296 sections 2.14, 2.17 and
// 2.18. The rekey goes from PRF-SHA1 to the PRF of the case.
func TestKeysWithSHA2(t *testing.T) {
	cases := []struct {
		prf                   PRF
		integ                 Integ
		ike, rekey, pfs, auth string
	}{
		{PRFSHA256, IntegSHA256,
			"36b1ec6553f35527f87b169d5887b318a24950130aa39f3e9b1895ad88e9f317",
			"8b916792935eb2e1b06a717c6459c39a2bb31cb579066cc18cebe70cf39b99f2",
			"3da2f6dde3bece5c57be97ecac3765437f9401e522a42c395f26df8d9e700ddc",
			"c7adc385eb73fd565db1648ade57d071308b53cf2b6c31571844f749ccb394c2"},
		{PRFSHA384, IntegSHA384,
			"082a8a887928488e2f1a475ef081c51d77f5e53ce0261a321b19727d38b31c00",
			"36a2d83b2b61f0e4311ca68ad4569d545c452b3704a3f5a193b1652c9bab4052",
			"e2201a4404da183e8ad6b0addcb2643b0ce90747d43fda6c725702686129a85d",
			"4bae0474913b8467fcb231150ab38989c713295edfce085c0b6587959b2b255c"},
		{PRFSHA512, IntegSHA512,
			"0772830d0f7b539509d61e57d17ac8d79a03c24d7513393e55c8a2e3537ad3d9",
			"5c5a3d70eaaee1d385a77adbd23a9eac9f62a00c6a5c628b33d1bc2276e36dc1",
			"2fb5483124fd2c62ab756b4e7ac8245a30d63a4aa94feb9b1b5d52fd379a73b7",
			"94e2446544cdd50c2176beaa3b05b7c6b24bc5b0ecd4f9406760fee54bd9d0c0"},
	}
	check := func(what string, prf PRF, got []byte, want string) {
		t.Helper()
		if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s with %v: got SHA-256 %x of %d octets, want %s", what, prf, sum, len(got), want)
		}
	}
	for _, c := range cases {
		s := IKE{Encr: AESGCM16, KeyBits: 256, PRF: c.prf, Group: 20}
		in := KeyInput{
			Ni: ramp(0x10, 1, 32), Nr: ramp(0x80, 1, 32), SPIi: 0x0102030405060708, SPIr: 0xf1f2f3f4f5f6f7f8,
			Shared: secret.New(ramp(0xff, -1, 48)),
		}
		keys, err := DeriveIKE(s, in)
		if err != nil {
			t.Fatal(err)
		}
		check("IKE SA", c.prf, revealed(keys), c.ike)
		if got := []int{keys.D.Len(), keys.Ai.Len(), keys.Ei.Len(), keys.Pr.Len()}; !slices.Equal(got, []int{c.prf.Size(), 0, 36, c.prf.Size()}) {
			t.Errorf("%v: lengths of SK_d, ai, ei, pr: got %v", c.prf, got)
		}
		in.Shared = secret.New(ramp(1, 1, 96))
		rekeyed, err := DeriveRekeyedIKE(s, PRFSHA1, secret.New(bytes.Repeat([]byte{0x55}, 20)), in)
		if err != nil {
			t.Fatal(err)
		}
		check("rekeyed IKE SA", c.prf, revealed(rekeyed), c.rekey)
		r, i, err := DeriveChild(c.prf, keys.D, ESP{Encr: AESCBC, KeyBits: 256, Integ: c.integ, Group: 19}, in)
		if err != nil {
			t.Fatal(err)
		}
		check("CHILD SA with PFS", c.prf, both(r, i), c.pfs)
		in.Shared = secret.Secret{}
		if r, i, err = DeriveChild(c.prf, keys.D, ESP{Encr: AESGCM16, KeyBits: 128}, in); err != nil {
			t.Fatal(err)
		}
		check("CHILD SA", c.prf, both(r, i), c.auth)
	}
}

func TestDerivationRefusesWhatWouldMakeGuessableKeys(t *testing.T) {
	s := IKE{Encr: AESGCM16, KeyBits: 128, PRF: PRFSHA256, Group: 19}
	esp := ESP{Encr: AESGCM16, KeyBits: 128}
	good := cavsInput(t)
	d := secret.New(make([]byte, 32))
	noShared, noNonce := good, good
	noShared.Shared, noNonce.Nr = secret.Secret{}, nil

	_, err := DeriveIKE(s, noShared)
	wantError(t, "no shared secret", err, "shared secret is empty", "Exchange.Shared")
	_, err = DeriveIKE(s, noNonce)
	wantError(t, "no nonce", err, "Nr (0 octets)")
	_, err = DeriveIKE(IKE{}, good)
	wantError(t, "no suite", err, "derive IKE SA keys", "Encr 0")
	_, err = DeriveRekeyedIKE(s, PRFSHA256, d, noShared)
	wantError(t, "rekey without shared secret", err, "rekeyed", "shared secret is empty")
	_, err = DeriveRekeyedIKE(s, PRFSHA1, d, good)
	wantError(t, "SK_d of another PRF", err, "SK_d has 32 octets", "has 20")
	_, err = DeriveRekeyedIKE(s, 1, d, good)
	wantError(t, "unknown old PRF", err, "PRF 1")
	_, err = DeriveRekeyedIKE(IKE{}, PRFSHA256, d, good)
	wantError(t, "rekey to no suite", err, "Encr 0")
	_, _, err = DeriveChild(PRFSHA256, secret.Secret{}, esp, good)
	wantError(t, "no SK_d", err, "CHILD SA", "SK_d has 0 octets")
	_, _, err = DeriveChild(PRFSHA256, d, esp, noNonce)
	wantError(t, "CHILD SA without nonce", err, "Nr (0 octets)")
	_, _, err = DeriveChild(PRFSHA256, d, ESP{}, good)
	wantError(t, "CHILD SA of no suite", err, "Encr 0")
}

func TestWipeLeavesNoKey(t *testing.T) {
	keys, err := DeriveIKE(IKE{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA1, Integ: IntegSHA1, Group: 2}, cavsInput(t))
	if err != nil {
		t.Fatal(err)
	}
	keys.Wipe()
	if got := revealed(keys); !bytes.Equal(got, make([]byte, 132)) {
		t.Errorf("after Wipe: got %x, want zeros", got)
	}
}

func TestResumedKeysComeFromTheOldSecretAndTheNonces(t *testing.T) {
	s := IKE{Encr: AESGCM16, KeyBits: 256, PRF: PRFSHA256, Group: 19}
	d := secret.New(ramp(1, 1, 32))
	in := KeyInput{Ni: ramp(0, 1, 32), Nr: ramp(40, 1, 32), SPIi: 1, SPIr: 2}
	got, err := DeriveResumedIKE(s, d, in)
	if err != nil {
		t.Fatal(err)
	}
	seed := PRFSHA256.Sum(d.Reveal(), []byte("Resumption"), in.Ni, in.Nr)
	want, err := expandIKE(s, seed, in)
	if err != nil || !bytes.Equal(revealed(got), revealed(want)) {
		t.Errorf("got %x, %v, want %x", revealed(got), err, revealed(want))
	}
	_, err = DeriveResumedIKE(s, secret.New([]byte{1}), in)
	wantError(t, "short SK_d", err, "SK_d has 1 octets")
	_, err = DeriveResumedIKE(IKE{}, d, in)
	wantError(t, "no suite", err, "Encr 0")
	_, err = DeriveResumedIKE(s, d, KeyInput{})
	wantError(t, "no nonces", err, "nonces")
}

func TestSecretsOfAdditionalKeyExchangesAreAppended(t *testing.T) {
	d, a, b, c := secret.New(ramp(1, 1, 32)), []byte("first"), []byte("second"), []byte("third")
	in := KeyInput{Ni: ramp(0, 1, 32), Nr: ramp(40, 1, 32), Shared: secret.New(a), More: []secret.Secret{secret.New(b), secret.New(c)}}
	seed := bytes.Join([][]byte{a, in.Ni, in.Nr, b, c}, nil)
	s := ESP{Encr: AESGCM16, KeyBits: 128, Group: 19, AddKE: MoreKE{MLKEM768, MLKEM1024}}
	r, i, err := DeriveChild(PRFSHA256, d, s, in)
	want, err2 := PRFSHA256.Plus(d.Reveal(), seed, 40)
	if err != nil || err2 != nil || !bytes.Equal(both(r, i), want) {
		t.Errorf("got %x, %v, want %x", both(r, i), err, want)
	}
	x := IKE{Encr: AESGCM16, KeyBits: 256, PRF: PRFSHA256, Group: 19, AddKE: s.AddKE}
	got, err := DeriveRekeyedIKE(x, PRFSHA256, d, in)
	keys, err2 := expandIKE(x, PRFSHA256.Sum(d.Reveal(), seed), in)
	if err != nil || err2 != nil || !bytes.Equal(revealed(got), revealed(keys)) {
		t.Errorf("rekeyed: got %x, %v, want %x", revealed(got), err, revealed(keys))
	}
	in.More[1] = secret.Secret{}
	_, _, err = DeriveChild(PRFSHA256, d, s, in)
	wantError(t, "an empty secret", err, "additional key exchange 2")
}
