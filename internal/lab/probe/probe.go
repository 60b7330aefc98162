// Package probe holds the small test clients of the lab: an HTTPS GET, an FTP
// passive download, a DNS query, ping, a TCP connection attempt and a bulk
// download.
//
// A client is asked one Question and gives one Result: what it saw, with
// addresses, times and octets. A refusal or a silence is a result, not an
// error. Clients read no resolver configuration: the Question names the DNS
// server. Each is bounded by its timeout. They run in the network namespace
// of their process. The command line's hidden verb and tests call them.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Kind is one of the clients.
type Kind string

// The clients.
const (
	HTTPS Kind = "https" // GET Target, an http or https URL
	FTP   Kind = "ftp"   // download Target, ftp://host[:port]/path, by EPSV
	DNS   Kind = "dns"   // ask Resolver for Target and Type
	Ping  Kind = "ping"  // Count ICMP echoes to Target, an IPv4 address
	TCP   Kind = "tcp"   // connect to Target, host:port
)

// A Question is what to do.
type Question struct {
	Kind   Kind   `json:"kind"`
	Target string `json:"target"`
	// Resolver is the DNS server asked for the names in Target; without one
	// Target must hold an address.
	Resolver netip.AddrPort `json:"resolver,omitzero"`
	CAFile   string         `json:"ca_file,omitempty"` // HTTPS: PEM file of the authority that must have signed
	Type     string         `json:"type,omitempty"`    // DNS: "A" when empty
	Sum      bool           `json:"sum,omitempty"`     // HTTPS: say the body's SHA-256
	Count    int            `json:"count,omitempty"`   // Ping: 1 to 100,000; 4 when 0
	// Size of a ping's packets is in octets with the IPv4 header, 32 to 65,535; a
	// given one says also that they must not be fragmented. 76 when 0.
	Size     int           `json:"size,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // of the whole; of the last echo for Ping; 5 s when 0
}

// An Outcome is how it ended.
type Outcome string

// The outcomes.
const (
	Answered    Outcome = "answered"    // the far end did what was asked
	Refused     Outcome = "refused"     // it said no: RST, an error status, a DNS error
	Silent      Outcome = "silent"      // nothing came back in time
	Unreachable Outcome = "unreachable" // a router said there is no way
	Failed      Outcome = "failed"      // anything else; Error says what
)

// A Result is what was seen.
type Result struct {
	Kind    Kind           `json:"kind"`
	Target  string         `json:"target"`
	Outcome Outcome        `json:"outcome"`
	Error   string         `json:"error,omitempty"`
	Local   netip.AddrPort `json:"local,omitzero"`
	Remote  netip.AddrPort `json:"remote,omitzero"`
	Took    time.Duration  `json:"took"`            // nanoseconds
	Bytes   int64          `json:"bytes,omitempty"` // of the body or the file
	HTTP    *HTTPResult    `json:"http,omitempty"`
	DNS     *DNSResult     `json:"dns,omitempty"`
	Ping    *PingResult    `json:"ping,omitempty"`
	FTP     *FTPResult     `json:"ftp,omitempty"`
}

// An HTTPResult is what an HTTPS answer said.
type HTTPResult struct {
	Status int    `json:"status"`
	Server string `json:"server"` // the name that the test server gives itself
	Client string `json:"client"` // the address that it saw us come from
	TLS    string `json:"tls,omitempty"`
	// How long each part took; zero where it did not happen.
	Resolve   time.Duration `json:"resolve,omitempty"`
	Connect   time.Duration `json:"connect,omitempty"`
	Handshake time.Duration `json:"handshake,omitempty"`
	Sum       string        `json:"sum,omitempty"`   // SHA-256 of the body in hexadecimal, if asked for
	Pause     time.Duration `json:"pause,omitempty"` // the longest time without an octet of the body
}

// A DNSResult is a DNS answer.
type DNSResult struct {
	Server  netip.AddrPort `json:"server"`
	Rcode   string         `json:"rcode"` // "NOERROR", "NXDOMAIN", …
	Answers []string       `json:"answers"`
}

// A PingResult counts echoes.
type PingResult struct {
	Sent     int           `json:"sent"`
	Received int           `json:"received"`
	Min      time.Duration `json:"min"`
	Avg      time.Duration `json:"avg"`
	Max      time.Duration `json:"max"`
	// Gap is the longest time between the sending of two answered echoes, less
	// one interval: how long the way was broken. Zero when none was lost.
	Gap time.Duration `json:"gap"`
}

// An FTPResult is what an FTP session showed beside the file.
type FTPResult struct {
	Greeting string         `json:"greeting"`
	Data     netip.AddrPort `json:"data"` // where the passive connection went
}

// Ask runs the client that q names.
func Ask(ctx context.Context, q Question) Result {
	if q.Timeout <= 0 {
		q.Timeout = 5 * time.Second
	}
	r := Result{Kind: q.Kind, Target: q.Target}
	start := time.Now()
	if err := run(ctx, q, &r); err != nil {
		r.Outcome, r.Error = classify(err), plain(err)
	} else if r.Outcome == "" {
		r.Outcome = Answered
	}
	r.Took = time.Since(start)
	return r
}

func run(ctx context.Context, q Question, r *Result) error {
	if q.Kind == Ping {
		return ping(ctx, q, r)
	}
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	switch q.Kind {
	case HTTPS:
		return https(ctx, q, r)
	case FTP:
		return ftp(ctx, q, r)
	case DNS:
		return query(ctx, q, r)
	case TCP:
		return connect(ctx, q, r)
	}
	return fmt.Errorf("no client is called %q; there are https, ftp, dns, ping and tcp", q.Kind)
}

// classify says which Outcome an error of the network stands for.
func classify(err error) Outcome {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET), errors.Is(err, errRefused):
		return Refused
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ETIMEDOUT):
		return Silent
	case errors.As(err, &timeout) && timeout.Timeout():
		return Silent
	}
	return Failed
}

// errRefused is the far end's "no" in its own protocol.
var errRefused = errors.New("refused")

// plain is err without the layers that say nothing to a reader.
func plain(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// connect is the TCP client: it connects and closes.
func connect(ctx context.Context, q Question, r *Result) error {
	conn, err := dial(ctx, q, q.Target, r)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial connects to target, resolving its name at q.Resolver, and notes both
// ends in r.
func dial(ctx context.Context, q Question, target string, r *Result) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("target %q is not host:port", target)
	}
	addr, err := resolve(ctx, q, host)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", net.JoinHostPort(addr.String(), port))
	if err != nil {
		return nil, err
	}
	r.Local, r.Remote = addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	return conn, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// String is the result as one line of evidence.
func (r Result) String() string {
	parts := []string{fmt.Sprintf("%s %s: %s", r.Kind, r.Target, r.Outcome)}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.Error != "" {
		add("%s", r.Error)
	}
	if h := r.HTTP; h != nil {
		add("status %d", h.Status)
		add("server %s saw us as %s", h.Server, h.Client)
		add("%s", h.TLS)
	}
	if d := r.DNS; d != nil {
		add("%s says %s", d.Server, d.Rcode)
		add("%s", strings.Join(d.Answers, " "))
	}
	if f := r.FTP; f != nil {
		add("%q, data from %s", f.Greeting, f.Data)
	}
	if p := r.Ping; p != nil {
		add("%d of %d answered, loss %.2f %%", p.Received, p.Sent, p.Loss())
		add("rtt %s / %s / %s", Short(p.Min), Short(p.Avg), Short(p.Max))
	}
	if r.Remote.IsValid() {
		add("%s → %s", r.Local, r.Remote)
	}
	if r.Bytes > 0 {
		add("%d bytes", r.Bytes)
	}
	add("%s", Short(r.Took))
	kept := parts[:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ", ")
}

// Loss is in percent, 0 to 100.
func (p PingResult) Loss() float64 {
	if p.Sent == 0 {
		return 0
	}
	return 100 * float64(p.Sent-p.Received) / float64(p.Sent)
}

// Short prints d with three digits, which is as exact as a lab is.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
