package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Probe is one target to be watched from one node. It is comparable: a
// changed Probe of the same Key begins anew.
type Probe struct {
	Key       string // names the target and the node; unique among the probes
	Namespace string // in which to dial
	Source    netip.Addr
	Target    netip.AddrPort
	Protocol  string // "TCP", "HTTP" or "HTTPS"
	Path      string // HTTP and HTTPS
	Host      string // of the Host header: node address and listener port (pl §2.8)
	Matcher   string // HTTP codes that pass: "200-399", "200,204"

	Interval, Timeout time.Duration
	Thresholds        Thresholds
}

// A Dial opens a TCP connection to p.Target from p.Source inside p.Namespace.
// It must return soon after ctx ends.
type Dial func(ctx context.Context, p Probe) (net.Conn, error)

// Reasons of failure beside resource.ReasonFailedChecks (pl §2.8).
const (
	reasonCodeMismatch = "Target.ResponseCodeMismatch"
	reasonTimeout      = "Target.Timeout"
)

// maxHead bounds what an HTTP target can make a probe read, in octets.
const maxHead = 16 << 10

// once sends one probe and waits for its outcome, at most p.Timeout.
func once(ctx context.Context, dial Dial, p Probe) Result {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	conn, err := dial(ctx, p)
	if err != nil {
		return failed(ctx, fmt.Errorf("connect to %s: %w", p.Target, err))
	}
	defer conn.Close()
	if p.Protocol == "TCP" {
		return Result{}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	stream := conn
	if p.Protocol == "HTTPS" {
		// The certificate of a target is not validated (pl §2.3, §2.8).
		stream = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	code, err := get(stream, p)
	if err != nil {
		return failed(ctx, fmt.Errorf("%s of %s: %w", p.Protocol, p.Target, err))
	}
	if !Matches(p.Matcher, code) {
		return Result{Err: fmt.Errorf("%s answered %d, want %s", p.Target, code, p.Matcher), Code: reasonCodeMismatch}
	}
	return Result{}
}

func failed(ctx context.Context, err error) Result {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return Result{Err: err, Code: reasonTimeout}
	}
	return Result{Err: err}
}

// get asks for p.Path and returns the status code of the answer.
func get(conn net.Conn, p Probe) (code int, err error) {
	req := "GET " + p.Path + " HTTP/1.1\r\nHost: " + p.Host + "\r\nUser-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, req); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxHead)), nil)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// Matches reports whether an HTTP code is one of a matcher: codes and ranges,
// separated by commas.
func Matches(matcher string, code int) bool {
	for part := range strings.SplitSeq(matcher, ",") {
		low, high, err := matchRange(part)
		if err == nil && code >= low && code <= high {
			return true
		}
	}
	return false
}

// CheckMatcher reports, naming the part, what is wrong with a matcher: codes
// are 200 to 599 (pl §2.8).
func CheckMatcher(matcher string) error {
	for part := range strings.SplitSeq(matcher, ",") {
		low, high, err := matchRange(part)
		if err != nil {
			return err
		}
		if low < 200 || high > 599 || low > high {
			return fmt.Errorf("%q: codes are 200 to 599", part)
		}
	}
	return nil
}

func matchRange(part string) (low, high int, err error) {
	from, to, isRange := strings.Cut(part, "-")
	if !isRange {
		to = from
	}
	if low, err = strconv.Atoi(from); err == nil {
		high, err = strconv.Atoi(to)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%q: not a code or a range of codes", part)
	}
	return low, high, nil
}
