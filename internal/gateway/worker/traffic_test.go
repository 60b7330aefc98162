package worker

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"seikan/internal/gateway"
)

var (
	tally  = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)
	answer = regexp.MustCompile(`\[(\d+)\.(\d+)\] .*icmp_seq=(\d+) .*time=([0-9.]+) ms`)
)

// traffic pings from the client to the server and back for so many seconds, 100 times each: few
// enough that the sockets' buffers hold what comes while a busy machine does not
// run the gateways, which has nothing to do with them. over waits for the end: lost is how many were not answered; ended says that it
// had come already, so that what was done last was done without traffic.
func (w *world) traffic(seconds int) (over func() (sent, lost int, ended bool)) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "ping", "-n", "-D", "-i", "0.01", "-c", fmt.Sprint(100*seconds), "10.0.1.20")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := w.net.Start("lan", cmd); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return func() (sent, lost int, ended bool) {
		w.t.Helper()
		select {
		case err := <-done:
			done <- err
			ended = true
		default:
		}
		if err := <-done; err != nil {
			w.t.Logf("ping: %v", err)
		}
		m := tally.FindStringSubmatch(out.String())
		if m == nil {
			w.t.Fatalf("ping said %q", out.String())
		}
		sent, _ = strconv.Atoi(m[1])
		received, _ := strconv.Atoi(m[2])
		if received < sent {
			w.t.Logf("%d of %d packets lost:\n%s", sent-received, sent, holes(out.String(), sent))
			for _, s := range w.sides {
				w.t.Logf("%s:\n%s", s.ns, s.seen.String())
			}
		}
		return sent, sent - received, ended
	}
}

// holes are which packets were lost, of those that ping numbers from one, and when
// those before and behind them were sent. The logs of the workers have the same clock.
func holes(said string, sent int) string {
	at := map[int]time.Time{}
	for _, m := range answer.FindAllStringSubmatch(said, -1) {
		seconds, _ := strconv.ParseInt(m[1], 10, 64)
		micros, _ := strconv.ParseInt(m[2], 10, 64)
		n, _ := strconv.Atoi(m[3])
		took, _ := strconv.ParseFloat(m[4], 64)
		at[n] = time.Unix(seconds, micros*1000).Add(-time.Duration(took * float64(time.Millisecond)))
	}
	when := func(n int) string {
		if t, ok := at[n]; ok {
			return t.Format(clock)
		}
		return "no time"
	}
	var out strings.Builder
	for n := 1; n <= sent; n++ {
		first := n
		for ; n <= sent && at[n].IsZero(); n++ {
		}
		if n > first {
			fmt.Fprintf(&out, "%d to %d, between %s and %s\n", first, n-1, when(first-1), when(n))
		}
	}
	return out.String()
}

// clock is how a log's times are written here.
const clock = "15:04:05.000"

// see notes st when it is another status than the last, as far as traffic depends on
// it.
func (s *side) see(st gateway.Status) {
	var line strings.Builder
	for _, t := range st.Tunnels {
		fmt.Fprintf(&line, " %s %s endpoint %d dropped %v;", t.ID, t.Phase, t.Endpoint, t.Traffic.Drops)
	}
	if st.BGP != nil {
		for _, p := range st.BGP.Peers {
			fmt.Fprintf(&line, " %s %s accepted %d announced %d", p.Tunnel, p.State, p.Accepted, p.Announced)
			for _, r := range p.Routes {
				if r.MED != nil {
					fmt.Fprintf(&line, " MED %d", *r.MED)
				}
			}
			line.WriteString(";")
		}
	}
	for _, r := range st.Routes {
		fmt.Fprintf(&line, " %v by %s", r.Prefix, r.Tunnel)
	}
	if s.last == line.String() {
		return
	}
	s.last = line.String()
	fmt.Fprintln(&s.seen, time.Now().Format(clock)+s.last)
}
