//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// labMemory is the most that any process of a lab may have had, in octets.
const labMemory = 150 << 20

// TestLabAsItsUserMeetsIt builds one lab and does with it what its manual says.
func TestLabAsItsUserMeetsIt(t *testing.T) {
	l := labUp(t, "use", "--verbose")
	l.awaitUp()
	for _, use := range []struct {
		name string
		test func(*testing.T, *runningLab)
	}{
		{"no ping is lost", noPingIsLost},
		{"the page comes over the tunnel", pageComes},
		{"exec ends as the command does", execEndsAsCommand},
		{"a capture is a pcap of ESP in UDP", captureShowsESP},
		{"bulk both ways", bulkBothWays},
		{"memory is bounded", memoryIsBounded},
		{"traffic needs no control plane", trafficNeedsNoControlPlane},
		{"another key is named", anotherKeyIsNamed},
		{"keys are shown nowhere", keysAreShownNowhere},
	} {
		t.Run(use.name, func(t *testing.T) {
			inner := *l
			inner.t = t
			use.test(t, &inner)
		})
	}
}

func noPingIsLost(t *testing.T, l *runningLab) {
	s := l.exec("client", "ping", "-q", "-i", "0.002", "-c", "5000", appAddress)
	if s.code != 0 || !strings.Contains(s.out, "5000 received, 0% packet loss") {
		t.Errorf("5000 pings: got %v, want none lost", s)
	}
}

func pageComes(t *testing.T, l *runningLab) {
	s := l.page()
	if s.code != 0 || !strings.Contains(s.out, "service.example") {
		t.Errorf("curl https://service.example/: got %v, want the page", s)
	}
}

func execEndsAsCommand(t *testing.T, l *runningLab) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"true"}, 0},
		{[]string{"sh", "-c", "exit 7"}, 7},
		{[]string{"sh", "-c", "exit 255"}, 255},
		{[]string{"no-such-command"}, 127},
	} {
		if s := l.exec("client", c.args...); s.code != c.code {
			t.Errorf("exec %v: got %v, want exit code %d", c.args, s, c.code)
		}
	}
	s := l.exec("nowhere", "true")
	if s.code != 1 {
		t.Errorf("exec on an unknown host: got %v, want exit code 1", s)
	}
	for _, host := range []string{"nowhere", "client", "cgw", "app-1", "web-1", "ftp-1", "internet"} {
		if !strings.Contains(s.err, host) {
			t.Errorf("exec on an unknown host: got %q, want %q in it", s.err, host)
		}
	}
}

// captureShowsESP records what passes while pings do.
func captureShowsESP(t *testing.T, l *runningLab) {
	file := l.file("internet.pcap") // a directory that the lab sees too
	done := make(chan said, 1)
	go func() { done <- l.do("capture", "internet", "-w", file, "-c", "50", "--duration", "20s") }()
	until(t, "50 packets in the capture", 30*time.Second, func() error {
		select {
		case s := <-done:
			done <- s
			return nil
		default:
			return errors.Join(l.reach(), errors.New("it goes on"))
		}
	})
	if s := <-done; s.code != 0 || !strings.Contains(s.err, "50 packets, 0 missed") {
		t.Fatalf("capture: got %v, want 50 packets", s)
	}
	s := command(t, patience, "tcpdump", "-n", "-r", file, "udp port 4500")
	if n := strings.Count(s.out, "UDP-encap: ESP(spi="); s.code != 0 || n < 10 {
		t.Errorf("tcpdump: got %d packets of ESP in UDP 4500, want at least 10: %v", n, s)
	}
	if s := command(t, patience, "tcpdump", "-n", "-r", file, "not udp port 4500 and not udp port 500"); s.code != 0 || s.out != "" {
		t.Errorf("tcpdump: got packets that are neither IKE nor ESP: %v", s)
	}
}

// bulkBothWays moves 64 MiB each way over TCP between the client and a server
// that takes app-1's place.
func bulkBothWays(t *testing.T, l *runningLab) {
	const octets = 64 << 20
	if s := l.do("stop", "app-1"); s.code != 0 {
		t.Fatalf("lab stop: %v", s)
	}
	var ln net.Listener
	err := l.in("app-1", func() (err error) {
		ln, err = net.Listen("tcp4", appAddress+":443")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	echoed := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = io.Copy(conn, conn)
			err = errors.Join(err, conn.Close())
		}
		echoed <- err
	}()
	var conn net.Conn
	err = l.in("client", func() (err error) {
		conn, err = net.DialTimeout("tcp4", appAddress+":443", patience)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	sent := bytes.Repeat([]byte("64 MiB, there and back again. \n"), octets/31+1)[:octets]
	begun, wrote := time.Now(), make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		wrote <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-wrote, <-echoed); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("64 MiB there and back: got %d octets, equal %v, %v", len(got), bytes.Equal(got, sent), err)
	}
	t.Logf("64 MiB each way at once: %.0f Mbit/s each", octets*8/1e6/time.Since(begun).Seconds())
	ln.Close()
	if s := l.do("start", "app-1"); s.code != 0 {
		t.Fatalf("lab start: %v", s)
	}
}

// members are the lab's processes: all but our own commands.
func (l *runningLab) members() []process {
	l.t.Helper()
	all := slices.DeleteFunc(processes(l.t), func(p process) bool {
		ours, err1 := os.Readlink("/proc/self/ns/pid")
		its, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", p.pid))
		return err1 != nil || err2 != nil || ours == its
	})
	if len(all) < 8 {
		l.t.Fatalf("the lab has %d processes, want at least 8: %v", len(all), all)
	}
	return all
}

// memoryIsBounded reads what each process had at most since it began.
func memoryIsBounded(t *testing.T, l *runningLab) {
	most := regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
	for _, p := range l.members() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		m := most.FindSubmatch(text)
		if err != nil || m == nil {
			t.Fatalf("memory of %v: %v", p.args, err)
		}
		kib, err := strconv.Atoi(string(m[1]))
		if err != nil || kib<<10 > labMemory {
			t.Errorf("%v: got %d KiB at most, %v, want up to %d MiB", p.args, kib, err, labMemory>>20)
		}
		t.Logf("%4d MiB %s", kib>>10, strings.Join(p.args[:min(len(p.args), 5)], " "))
	}
}

// trafficNeedsNoControlPlane stops the process that is the control plane for
// five seconds and uses the tunnel, the endpoint and the load balancer.
func trafficNeedsNoControlPlane(t *testing.T, l *runningLab) {
	st, err := l.status()
	if err != nil || len(st.Endpoints) != 1 || len(st.Endpoints[0].Addresses) == 0 {
		t.Fatalf("status: got %+v, %v, want an endpoint", st, err)
	}
	ca := strings.TrimSpace(l.do("status", "--ca").out)
	plane := find(t, "lab-supervise")
	plane.signal(t, syscall.SIGSTOP)
	defer plane.signal(t, syscall.SIGCONT)
	uses := 0
	for begun := time.Now(); time.Since(begun) < 5*time.Second; uses++ {
		// Names are the control plane's to answer.
		address := st.Endpoints[0].Addresses[uses%len(st.Endpoints[0].Addresses)]
		s := l.exec("client", "curl", "-sS", "--max-time", "2", "--cacert", ca, "--resolve", "service.example:443:"+address, "https://service.example/")
		if s.code != 0 {
			t.Errorf("the page at %s without a control plane: %v", address, s)
		}
		if s := l.exec("client", "ping", "-q", "-i", "0.01", "-c", "20", "-W", "1", appAddress); s.code != 0 || !strings.Contains(s.out, " 0% packet loss") {
			t.Errorf("pings without a control plane: %v", s)
		}
	}
	t.Logf("%d pages and %d pings in 5 s", uses, 20*uses)
}

// anotherKeyIsNamed replaces the customer gateway by one with other keys, and
// then puts it back.
func anotherKeyIsNamed(t *testing.T, l *runningLab) {
	right := l.file("gateways", "cgw", "gateway.yaml")
	text, err := os.ReadFile(right)
	if err != nil {
		t.Fatal(err)
	}
	wrong := l.file("gateways", "cgw", "wrong.yaml")
	if err := os.WriteFile(wrong, keyLine.ReplaceAll(text, []byte("${1}Another.Key_than_the.Peers")), 0o600); err != nil {
		t.Fatal(err)
	}
	old := len(l.log())
	find(t, "gateway").end(t, syscall.SIGKILL)
	log := l.gateway(t, wrong)
	until(t, "both ends name the key", patience, func() error {
		if customer := log(); !strings.Contains(customer, "key") {
			return fmt.Errorf("the customer gateway says only %q", customer)
		}
		for line := range strings.Lines(l.log()[old:]) {
			if strings.Contains(line, "tunnel=vpn-") && strings.Contains(line, "key") {
				return nil
			}
		}
		return errors.New("the cloud's gateway does not")
	})
	// What the killed gateway had stands until the cloud finds it dead.
	until(t, "no tunnel is up", patience, l.tunnelsDown)
	for line := range strings.Lines(log() + l.log()[old:]) {
		if strings.Contains(line, "key") {
			t.Logf("said: %s", strings.TrimSpace(line))
		}
	}
	for _, key := range append(l.keys(), "Another.Key_than_the.Peers") {
		if strings.Contains(log()+l.log(), key) {
			t.Error("a log shows a key")
		}
	}
	find(t, "gateway").end(t, syscall.SIGTERM)
	l.gateway(t, right)
	until(t, "traffic with the right key", patience, l.reach)
}

// gateway runs a customer gateway on cgw until the lab ends, and returns what
// reads its log.
func (l *runningLab) gateway(t *testing.T, config string) (log func() string) {
	t.Helper()
	file := config + ".log"
	s := l.exec("cgw", "sh", "-c", `setsid "$0" gateway run --config "$1" --control /run/gw-cgw.sock >"$1.log" 2>&1 &`, seikan(t), config)
	if s.code != 0 {
		t.Fatalf("gateway run: %v", s)
	}
	return func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// keyLine is a line of a customer gateway's file that holds a key.
var keyLine = regexp.MustCompile(`(?m)^(\s*pre_shared_key: )(\S+)$`)

// keys are the pre-shared keys of the lab's connection.
func (l *runningLab) keys() (keys []string) {
	l.t.Helper()
	text, err := os.ReadFile(l.file("gateways", "cgw", "gateway.yaml"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, m := range keyLine.FindAllSubmatch(text, -1) {
		keys = append(keys, string(m[2]))
	}
	if len(keys) != 2 || len(keys[0]) < 8 || len(keys[1]) < 8 {
		l.t.Fatalf("the customer gateway's file has %d keys, want 2 of at least 8 characters", len(keys))
	}
	return keys
}

// keysAreShownNowhere looks where somebody could see a key who may not read the
// customer gateway's file. It is the last use, so that every log is long.
func keysAreShownNowhere(t *testing.T, l *runningLab) {
	places := map[string]string{
		"log": l.log(), "status": l.do("status").String(), "status --json": l.do("status", "--json").String(),
		"exec's error": l.exec("nowhere", "true").String(), "up's error": l.do("up").String(), "list": command(t, patience, seikan(t), "lab", "list", "--json").String(),
	}
	for _, p := range l.members() {
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, file))
			if err != nil || file == "cmdline" && len(text) == 0 {
				t.Errorf("%s of %v: got %d octets, %v", file, p.args, len(text), err)
			}
			places[file+" of "+strings.Join(p.args, " ")] = string(text)
		}
	}
	for place, text := range places {
		for i, key := range l.keys() {
			if strings.Contains(text, key) {
				t.Errorf("key %d is in %s", i+1, place)
			}
		}
	}
	if info, err := os.Stat(l.file("gateways", "cgw", "gateway.yaml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the keys: got %v, %v, want mode 0600", info.Mode(), err)
	}
}
