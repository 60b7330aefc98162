package probe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"time"
)

// Names of the headers by which the lab's web server tells who it is and from
// where it saw the request come.
const (
	HeaderServer = "X-Lab-Server"
	HeaderClient = "X-Lab-Client"
)

// https is the web client: one GET on a connection of its own.
func https(ctx context.Context, q Question, r *Result) error {
	h := &HTTPResult{}
	client, err := httpClient(q, r, h)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	var hello time.Time
	trace := &httptrace.ClientTrace{
		TLSHandshakeStart: func() { hello = time.Now() },
		TLSHandshakeDone:  func(tls.ConnectionState, error) { h.Handshake = time.Since(hello) },
	}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, q.Target, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var sum hash.Hash
	body := &paced{Reader: resp.Body, last: time.Now()}
	to := io.Discard
	if q.Sum {
		sum = sha256.New()
		to = sum
	}
	r.Bytes, err = io.Copy(to, body)
	h.Pause = body.pause
	if sum != nil {
		h.Sum = hex.EncodeToString(sum.Sum(nil))
	}
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", r.Bytes, err)
	}
	h.Status, h.Server, h.Client = resp.StatusCode, resp.Header.Get(HeaderServer), resp.Header.Get(HeaderClient)
	if resp.TLS != nil {
		h.TLS = tls.VersionName(resp.TLS.Version)
	}
	r.HTTP = h
	if resp.StatusCode >= 400 {
		r.Outcome = Refused
	}
	return nil
}

// A paced reader notes the longest time that it waited.
type paced struct {
	io.Reader
	last  time.Time
	pause time.Duration
}

// Read is that of the reader below.
func (p *paced) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	now := time.Now()
	p.pause, p.last = max(p.pause, now.Sub(p.last)), now
	return n, err
}

// httpClient trusts only q.CAFile, resolves only at q.Resolver, and follows no
// redirect: a probe reports what it was told.
func httpClient(q Question, r *Result, h *HTTPResult) (*http.Client, error) {
	var roots *x509.CertPool
	if q.CAFile != "" {
		pem, err := os.ReadFile(q.CAFile)
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: holds no certificate", q.CAFile)
		}
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(target)
			if err != nil {
				return nil, err
			}
			start := time.Now()
			addr, err := resolve(ctx, q, host)
			if err != nil {
				return nil, err
			}
			h.Resolve = time.Since(start)
			start = time.Now()
			conn, err := dial(ctx, q, net.JoinHostPort(addr.String(), port), r)
			h.Connect = time.Since(start)
			return conn, err
		},
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("redirected")
	}}, nil
}
