package probe

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEPSVAnswerIsParsedStrictly(t *testing.T) {
	for reply, want := range map[string]uint16{
		"Entering Extended Passive Mode (|||1024|)":  1024,
		"Entering Extended Passive Mode (|||65535|)": 65535,
		"any words (!!!21!) and more":                21,
		"":                                           0,
		"(|||0|)":                                    0,
		"(|||65536|)":                                0,
		"(|1|10.0.0.1|1024|)":                        0, // an address has no place in it
		"(|||1024)":                                  0,
		"(|||1024|":                                  0,
		"(|||-1|)":                                   0,
		"Entering Passive Mode (1,2)":                0,
	} {
		got, err := parseEPSV(reply)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: got %d, %v, want %d", reply, got, err, want)
		}
	}
}

func FuzzEPSV(f *testing.F) {
	f.Add("Entering Extended Passive Mode (|||1024|)")
	f.Add("(|1|10.0.0.1|1024|)")
	f.Fuzz(func(t *testing.T, reply string) {
		port, err := parseEPSV(reply)
		if err != nil {
			return
		}
		if again, err := parseEPSV(fmt.Sprintf("(|||%d|)", port)); err != nil || again != port {
			t.Errorf("%q: got %d, which reads back as %d, %v", reply, port, again, err)
		}
	})
}

func TestGapIsTheLongestSilence(t *testing.T) {
	start := time.Now()
	const interval = 20 * time.Millisecond
	echoes := make([]echo, 100)
	for i := range echoes {
		echoes[i] = echo{sent: start.Add(time.Duration(i) * interval), rtt: time.Millisecond}
	}
	if got := summarize(echoes, interval); got.Gap != 0 || got.Received != 100 || got.Avg != time.Millisecond {
		t.Errorf("without loss: got %+v, want no gap", got)
	}
	for i := 20; i < 60; i++ { // 40 lost in a row
		echoes[i].rtt = 0
	}
	echoes[80].rtt = 0
	got := summarize(echoes, interval)
	if want := 40 * interval; got.Gap != want || got.Received != 59 {
		t.Errorf("got gap %v and %d answers, want %v and 59", got.Gap, got.Received, want)
	}
	if got := got.Loss(); got != 41 {
		t.Errorf("got loss %v %%, want 41", got)
	}
	for i := range echoes[:20] {
		echoes[i].rtt = 0
	}
	if got := summarize(echoes[:60], interval); got.Received != 0 || got.Gap != 0 || got.Avg != 0 {
		t.Errorf("nothing answered: got %+v, want zeros", got)
	}
}

func TestErrorsOfTheNetworkAreTold(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{fmt.Errorf("dial: %w", unix.ECONNREFUSED), Refused},
		{unix.ECONNRESET, Refused},
		{fmt.Errorf("x: %w", errRefused), Refused},
		{unix.EHOSTUNREACH, Unreachable},
		{unix.ENETUNREACH, Unreachable},
		{context.DeadlineExceeded, Silent},
		{os.ErrDeadlineExceeded, Silent},
		{unix.ETIMEDOUT, Silent},
		{os.ErrNotExist, Failed},
	} {
		if got := classify(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
}

func TestResultIsOneLine(t *testing.T) {
	r := Result{Kind: HTTPS, Target: "https://a/", Outcome: Answered, Local: netip.MustParseAddrPort("192.0.2.1:5"), Remote: netip.MustParseAddrPort("192.0.2.2:443"),
		Took: 12345 * time.Microsecond, Bytes: 99, HTTP: &HTTPResult{Status: 200, Server: "web-1", Client: "192.0.2.3:6", TLS: "TLS 1.3"}}
	const want = "https https://a/: answered, status 200, server web-1 saw us as 192.0.2.3:6, TLS 1.3, 192.0.2.1:5 → 192.0.2.2:443, 99 bytes, 12 ms"
	if got := r.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
