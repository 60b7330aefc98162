package suite

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// modpVectors are what the exponents 80 81 82 … (Alice) and ff fe fd … (Bob),
// of as many octets as the group takes, give in the groups that no RFC has
// vectors for: SHA-256 of both public values and of the secret. They were
// computed with Python's pow over OpenSSL's primes; group 2's, which OpenSSL
// no longer names, came out of somebody else's recorded key.
var modpVectors = []struct {
	group              Group
	alice, bob, shared string
}{
	{2, "fe628412d9357eea880369f886ac3c4be8c8af2b7ed75c3fc7c771ff5079c150", "f7df30753da55cf058cc6a6acdb414fb93c72cb312a335ecdf12d5dfed6a823f", "8d79df894ffaad72037013e777a65fdb59a43cf85e55b394792ee8bcc4b5bfb1"},
	{5, "116387da656926a6c76c9262d78b845a8a5b4ee9677438c922631dbb502f138c", "6d60d99b224ae6222597702ebe998f961a569e8ed28b2a94ff1fc0b0a21aa96d", "cc7ca2d3f8d0f85353d195d44beb684fa0366b25c63fc267ae1f717e6e16c2d4"},
	{14, "9bab044c37a68f6dcc7137865f9a8ed4e653d3de2a497a0b83f0f1c1030aadc4", "98e51d46204acc6e6494f73b42bea4c6598a9fbed684a7d4c7ea65fb7a531a30", "dc2039493d5a026f83785f85b3bf984ee2d576b3b97e9d425c1619aa39677160"},
	{15, "35e2fa074528a97e42e1c700c656a6303b0e845aa8bb63921409b018676a3503", "05c2a0da7895a84b4b6e36c17991b80296e2419ac12d8e449e6e92ab592713a1", "f46eddb18b6ec057ade9fdea40b8710ffa33f50e9c0663697e8ac93e79dbf7d5"},
	{16, "e02986179598223dbfe8e9d751b0f29d9dc5283cb92ac42cba9f28c4f5b7a32b", "d9db7bbd08075077a97ea271775187b4ca939b3d8b942b06a2722213c9d8246c", "41ac4bb2622faeadf47ce67a2bfc6b2c7840a844cf214bba7ac6ae0c84e2e507"},
	{17, "e4c0f0432413eb981f5406619990b8790b65c36325b8f89fb21e8b84941bdc7d", "957ec744b69a38237beea1b042d61ef5ce28203af2ad976291552844e18bc888", "16a01d0e2b716285019375a21b9a9d7690d43ba6e7bbce51b2567ae1e8e553a7"},
	{18, "ea1d7f5bb85def297910da5fe33808c0be0e7fe076b583026c7e7d043d6da54c", "e1570dfa7addce3c4fa3fdc5b532cf7a582f431cc6fc6d6ee6cca18914d91b43", "1c80f10164aa7a16504d25af42e77cd4016965b0d31573f7b148e358ac3b721c"},
}

func TestMODPGroupsComputeWhatOthersDo(t *testing.T) {
	for _, v := range modpVectors {
		var up, down []byte
		for i := range groups[v.group].modp.exponent {
			up, down = append(up, 0x80+byte(i)), append(down, 0xff-byte(i))
		}
		alice, bob := exchange(t, v.group, bytes.NewReader(up)), exchange(t, v.group, bytes.NewReader(down))
		shared, err := alice.Shared(bob.Public())
		if err != nil {
			t.Fatalf("%v: %v", v.group, err)
		}
		for _, c := range []struct {
			name, want string
			got        []byte
		}{{"Alice's value", v.alice, alice.Public()}, {"Bob's value", v.bob, bob.Public()}, {"secret", v.shared, shared.Reveal()}} {
			if got := sha256.Sum256(c.got); !bytes.Equal(got[:], unhex(t, c.want)) {
				t.Errorf("%v: SHA-256 of %s: got %x, want %s", v.group, c.name, got, c.want)
			}
		}
	}
}

func TestEveryGroupHasAKnownAnswer(t *testing.T) {
	known := map[Group]bool{MLKEM768: true, MLKEM1024: true} // TestKEMVectorsKnownFromElsewhere
	for _, v := range modpVectors {
		known[v.group] = true
	}
	for _, v := range exchangeVectors {
		known[v.group] = true
	}
	for _, g := range sortedGroups() {
		if !known[g] {
			t.Errorf("%v: got no vector, want one", g)
		}
	}
}
