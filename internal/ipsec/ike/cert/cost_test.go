package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
)

// maze is a chain by which a stranger keeps us busy: so many CAs of one name at
// each level, each of which has signed all of the level below, and the last
// level itself. None leads to a CA that we believe.
func maze(t testing.TB, levels ...int) (chain [][]byte, id ike.Identity) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := func(name, issuer string, change func(*x509.Certificate)) []byte {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(int64(len(chain) + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{fmt.Sprint(len(chain))},
			NotBefore: today.Add(-day), NotAfter: today.Add(day),
		}
		if change != nil {
			change(tmpl)
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	name := func(level int) string { return fmt.Sprintf("maze %d", min(level, len(levels)-1)) }
	chain = [][]byte{one("leaf", name(0), nil)}
	for level, n := range levels {
		for range n {
			chain = append(chain, one(name(level), name(level+1), isCA))
		}
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return chain, subjectOf(issued{leaf, key})
}

// TestMazesAreRefusedUnread is about what a stranger can make us compute: the
// library alone tries a hundred signatures before it gives up.
func TestMazesAreRefusedUnread(t *testing.T) {
	tr := trust(t, Options{}, issue(t, nil, "root", "p256", isCA))
	chain, id := maze(t, maxNamesakes)
	if _, err := tr.Verify(today, chain, id); err == nil || strings.Contains(err.Error(), "of the name") {
		t.Errorf("%d of one name: got %v, want an error about the chain", maxNamesakes, err)
	}
	chain, id = maze(t, maxNamesakes+1)
	if _, err := tr.Verify(today, chain, id); err == nil || !strings.Contains(err.Error(), `3 certificates of the name "CN=maze 0"`) {
		t.Errorf("%d of one name: got %v, want an error that says so", maxNamesakes+1, err)
	}
}

// TestCrossSignedIntermediatesAreTaken has a peer send its CA's certificate by
// two roots, of which we know one.
func TestCrossSignedIntermediatesAreTaken(t *testing.T) {
	h := newHouse(t)
	leaf := issue(t, &h.sub, "leaf", "p256", nil)
	tmpl := *h.sub.Certificate
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, h.other.Certificate, h.sub.key.Public(), h.other.key)
	if err != nil {
		t.Fatal(err)
	}
	chain := append(inDER(leaf, h.sub, h.sub), der)
	for _, root := range []issued{h.root, h.other} {
		if _, err := trust(t, Options{}, root).Verify(today, chain, subjectOf(leaf)); err != nil {
			t.Errorf("%s: got %v, want none", root.Subject.CommonName, err)
		}
	}
}

func BenchmarkVerifyOfAMaze(b *testing.B) {
	tr := trust(b, Options{}, issue(b, nil, "root", "p256", isCA))
	chain, id := maze(b, maxNamesakes, maxNamesakes, maxChain-1-2*maxNamesakes)
	for b.Loop() {
		if _, err := tr.Verify(today, chain, id); err == nil {
			b.Fatal("a maze has an exit")
		}
	}
}
