package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxBytes bounds one /bytes download: 16 GiB.
const maxBytes = 16 << 30

// Names of the headers of every answer: the server's own name, and the address
// that it saw the request come from. Package probe reads them.
const (
	HeaderServer = "X-Lab-Server"
	HeaderClient = "X-Lab-Client"
)

// A WebConfig says how to serve the web.
type WebConfig struct {
	Name              string // told to every client
	Listen            string // HTTPS, such as ":443"
	Plain             string // HTTP, such as ":80"; empty: none
	CertFile, KeyFile string // PEM
	Log               *slog.Logger
}

// ServeWeb serves until ctx ends, and calls ready when it listens:
//
//	/           who I am, whom I see
//	/bytes?n=N  N octets of zeros, at most 16 GiB
//	/noise?n=N&rate=R  N octets of Noise, R of them a second
func ServeWeb(ctx context.Context, cfg WebConfig, ready func()) error {
	cert, err := loadCertificate(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp4", cfg.Listen)
	if err != nil {
		return err
	}
	listeners := []net.Listener{tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})}
	if cfg.Plain != "" {
		plain, err := net.Listen("tcp4", cfg.Plain)
		if err != nil {
			return errors.Join(err, secure.Close())
		}
		listeners = append(listeners, plain)
	}
	srv := &http.Server{
		Handler:           handler(cfg.Name),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		// A health check connects and says nothing; that is no news.
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- srv.Serve(l) }()
	}
	ready()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-ended:
		ended <- err
	}
	// An open connection is cut: it is what a stopped instance does.
	err = errors.Join(err, srv.Close())
	for range listeners {
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func handler(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "this is %s; you come from %s and asked for %s\n", name, r.RemoteAddr, r.Host)
	})
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		if err != nil || n < 0 || n > maxBytes {
			http.Error(w, fmt.Sprintf("n: a number from 0 to %d belongs here", int64(maxBytes)), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		// A client that goes away ends the copy; there is nobody to tell.
		_, _ = io.CopyN(w, zeros{}, n)
	})
	mux.HandleFunc("GET /noise", serveNoise)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(HeaderServer, name)
		w.Header().Set(HeaderClient, r.RemoteAddr)
		mux.ServeHTTP(w, r)
	})
}

// Noise are octets that look like chance and are the same each time, so that
// whoever received some knows whether they are right.
func Noise() io.Reader { return rand.NewChaCha8([32]byte([]byte("noise of the web server of a lab"))) }

// maxRate bounds the rate of /noise, in octets a second.
const maxRate = 1 << 30

func serveNoise(w http.ResponseWriter, r *http.Request) {
	n, err1 := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	rate, err2 := strconv.ParseInt(r.URL.Query().Get("rate"), 10, 64)
	if err1 != nil || err2 != nil || n < 0 || n > maxBytes || rate < ticksPerSecond || rate > maxRate {
		http.Error(w, fmt.Sprintf("n, a number from 0 to %d, and rate, from %d to %d, belong here", int64(maxBytes), ticksPerSecond, maxRate), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	tick := time.NewTicker(time.Second / ticksPerSecond)
	defer tick.Stop()
	for noise := Noise(); n > 0; n -= rate / ticksPerSecond {
		// A client that goes away ends it; there is nobody to tell.
		if _, err := io.CopyN(w, noise, min(n, rate/ticksPerSecond)); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// ticksPerSecond is in how many parts a second's octets of /noise are sent.
const ticksPerSecond = 100

// zeros is an endless reader of zero octets.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
