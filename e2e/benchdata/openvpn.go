//go:build e2e

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// startOpenVPN starts OpenVPN from end to end over UDP: TLS for the keys, since
// a static one allows no AES-GCM, and everything else as it comes.
func startOpenVPN(p *path, _ variant) (list []*process, err error) {
	var prints [2]string
	for i, name := range []string{"a", "b"} {
		if prints[i], err = certify(filepath.Join(p.dir, name)); err != nil {
			return nil, err
		}
	}
	for _, e := range []struct {
		ns, name, tls, own, peer, inside, insidePeer, far, print string
	}{
		{gwA, "a", "--tls-client", outsideA, outsideB, insideA, insideB, siteB, prints[1]},
		{gwB, "b", "--tls-server", outsideB, outsideA, insideB, insideA, siteA, prints[0]},
	} {
		file := filepath.Join(p.dir, e.name)
		args := []string{"--dev", "ovpn" + e.name, "--dev-type", "tun", "--proto", "udp4", "--local", e.own, "--remote", e.peer, "--port", "1194",
			"--ifconfig", e.inside, e.insidePeer, "--cert", file + ".crt", "--key", file + ".key", "--peer-fingerprint", e.print,
			"--data-ciphers", "AES-128-GCM", "--cipher", "AES-128-GCM", "--disable-dco", "--verb", "1", e.tls}
		if e.tls == "--tls-server" {
			args = append(args, "--dh", "none")
		}
		g, err := launch(e.ns, nil, "openvpn", args...)
		if err != nil {
			return list, err
		}
		list = append(list, g)
		if err := g.until("OpenVPN's TUN", 10*time.Second, func() error { return route(e.ns, e.far, "ovpn"+e.name) }); err != nil {
			return list, err
		}
	}
	return list, nil
}

// certify writes a certificate that signs itself and its key, and returns the
// fingerprint that OpenVPN asks for.
func certify(file string) (print string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: filepath.Base(file)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file+name, pem.EncodeToMemory(block), 0o600); err != nil {
			return "", err
		}
	}
	sum := sha256.Sum256(der)
	var pairs []string
	for _, b := range sum {
		pairs = append(pairs, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return strings.Join(pairs, ":"), nil
}
