//go:build e2e

// Package pump carries the ESP packets of an IKE daemon that leaves them to a
// kernel, where the kernel cannot.
//
// A shim that is preloaded into the daemon (shim/*.c, built when a test needs
// it) grants what the daemon asks of the kernel and tells the pump which SAs
// there are; the pump moves packets between a TUN and ESP, in UDP or not, in
// the daemon's namespace. Its ESP is made of the standard library and RFC 4303
// alone and shares nothing with internal/ipsec/esp, so that our packets are
// judged by a stranger. It has no replay window: what comes twice is counted.
// Only the tests of e2e call it.
package pump

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seikan/e2e/world"
)

//go:embed shim
var sources embed.FS

// A Shim names the kernel's interface that a daemon uses.
type Shim string

// The two shims.
const (
	XFRM  Shim = "xfrm"  // NETLINK_XFRM: libreswan, strongSwan's kernel-netlink
	PFKEY Shim = "pfkey" // PF_KEY: OpenIKED
)

// device is the pump's TUN unless a place has links, and its MTU: what ESP adds
// fits a path of 1500 octets with every suite.
const (
	device    = "esp0"
	deviceMTU = "1400"
)

// A Place is where a pump works.
type Place struct {
	Namespace    string // of the world: cgw or resp
	Inside, Site string // its address in the tunnel with prefix length; the prefix behind the peer
	Shim         Shim
	// Links stand in for the XFRM interfaces of these IDs: a TUN each, of the name,
	// which whoever configures the daemon gives an address and routes. Inside and
	// Site do not count then. Others are laid when the daemon asks for them.
	Links map[uint32]string
}

// links are those of a place; 0 stands for the one that every SA uses.
func (p Place) links() map[uint32]string {
	if p.Links != nil {
		return p.Links
	}
	return map[uint32]string{0: device}
}

// Pump is a running pump.
type Pump struct {
	t        testing.TB
	w        *world.World
	place    Place
	dir      string
	tuns     map[uint32]*os.File
	wire     *wire
	listener *net.UnixListener
	done     sync.WaitGroup

	mu    sync.Mutex // guards what follows; taken for each packet
	in    map[uint32]*sa
	gone  map[uint32]time.Time // when the daemon deleted which
	out   []*sa                // of those of a link the newest is used
	count Count
	// events is where the shim waits to be told of lifetimes; lastIn is the
	// newest inbound SA.
	events net.Conn
	lastIn uint32
}

// Count is what a pump has seen.
type Count struct {
	In, Out   uint64 // packets that crossed it
	Added     int    // SAs, either way
	Encap     bool   // whether the newest SA puts ESP into UDP
	Suite     string // of the newest SA, in the kernel's words
	Unknown   uint64 // packets of no SA, such as one that was just deleted
	NoSA      uint64 // packets for the wire while the daemon had no SA for them
	Repeated  uint64 // packets of the peer whose sequence number came before
	Malformed uint64 // packets that no SA could open
}

// Start makes the TUN with its address and route, and builds the shim. The pump
// works until the test ends; a packet that it could not open, or that came
// twice, fails the test.
func Start(t testing.TB, w *world.World, place Place) *Pump {
	t.Helper()
	p := &Pump{t: t, w: w, place: place, dir: t.TempDir(), in: map[uint32]*sa{}, gone: map[uint32]time.Time{}, tuns: map[uint32]*os.File{}}
	if err := build(place.Shim, p.dir); err != nil {
		t.Fatal(err)
	}
	// What comes in one large piece would reach a packet socket in one.
	for ns, link := range map[string]string{"cgw": "nat in0", "resp": "inet b0"} {
		if ns == place.Namespace {
			side, name, _ := strings.Cut(link, " ")
			w.Exec(side, "ip", "link", "set", name, "gso_max_segs", "1")
		}
	}
	err := w.In(place.Namespace, func() (err error) {
		for id, name := range place.links() {
			if p.tuns[id], err = openTUN(name); err != nil {
				return err
			}
		}
		p.wire, err = openWire()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The kernel shall not say that nobody wants ESP: the pump does.
	w.Nft(place.Namespace, `
		table ip pump {
			chain mine {
				type filter hook input priority 0
				meta l4proto esp drop
				udp dport 4500 @th,64,32 != 0 drop
			}
		}`)
	if place.Links == nil {
		w.Exec(place.Namespace, "ip", "link", "set", device, "mtu", deviceMTU, "up")
		w.Exec(place.Namespace, "ip", "address", "add", place.Inside, "dev", device)
		w.Exec(place.Namespace, "ip", "route", "replace", place.Site, "dev", device)
	}
	if p.listener, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: p.socket(), Net: "unixpacket"}); err != nil {
		t.Fatal(err)
	}
	p.done.Go(p.listen)
	for id, tun := range maps.Clone(p.tuns) { // more may come at once
		p.done.Go(func() { p.seal(id, tun) })
	}
	p.done.Go(p.open)
	t.Cleanup(p.end)
	return p
}

func (p *Pump) socket() string { return filepath.Join(p.dir, "pump") }

// Env is what a daemon's environment needs so that it uses the shim.
func (p *Pump) Env() []string {
	return []string{"LD_PRELOAD=" + filepath.Join(p.dir, "shim.so"), "SEIKAN_PUMP=" + p.socket()}
}

// Count is what the pump has seen so far.
func (p *Pump) Count() Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Expire tells the daemon that the soft lifetime of its newest inbound SA is
// over, so that it replaces it. Only the shim for PF_KEY listens.
func (p *Pump) Expire() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events == nil {
		p.t.Fatal("pump: nobody wants to hear of lifetimes")
	}
	if _, err := fmt.Fprintf(p.events, "%08x", p.lastIn); err != nil {
		p.t.Fatalf("pump: %v", err)
	}
}

func (p *Pump) end() {
	p.listener.Close()
	p.mu.Lock()
	if p.events != nil {
		p.events.Close()
	}
	for _, tun := range p.tuns {
		tun.Close()
	}
	p.mu.Unlock()
	p.wire.Close()
	p.done.Wait()
	if c := p.Count(); c.Malformed != 0 || c.Repeated != 0 {
		p.t.Errorf("pump: got %d packets that no SA could open and %d that came twice, want none", c.Malformed, c.Repeated)
	}
}

// build compiles a shim.
func build(s Shim, dir string) error {
	if err := os.CopyFS(dir, sources); err != nil {
		return err
	}
	out, err := exec.Command("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-maybe-uninitialized", "-Werror", "-shared", "-fPIC",
		"-o", filepath.Join(dir, "shim.so"), filepath.Join(dir, "shim", string(s)+".c"), "-ldl", "-lpthread").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the shim %s: %w\n%s", s, err, out)
	}
	return nil
}

// listen takes the shim's lines, one to a connection.
func (p *Pump) listen() {
	line := make([]byte, 2048)
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		n, err := conn.Read(line)
		if err == nil && string(line[:n]) == "events" {
			conn.Write([]byte{0})
			p.mu.Lock()
			p.events = conn
			p.mu.Unlock()
			continue
		}
		if err == nil {
			if err = p.change(string(line[:n])); err != nil {
				p.t.Errorf("pump: %v", err)
			}
			conn.Write([]byte{0})
		}
		conn.Close()
	}
}

// layLocked makes a TUN of an XFRM interface that the daemon asked for. The daemon may
// take it away again.
func (p *Pump) layLocked(id uint32, name string) error {
	if p.tuns[id] != nil {
		return nil
	}
	return p.w.In(p.place.Namespace, func() error {
		tun, err := openTUN(name)
		if err == nil {
			p.tuns[id] = tun
			p.done.Go(func() { p.seal(id, tun) })
		}
		return err
	})
}

// change takes one line of the shim: an SA that is added or deleted, or a link.
func (p *Pump) change(line string) error {
	words := strings.Fields(line)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(words) == 3 && words[0] == "link":
		id, err := strconv.ParseUint(words[1], 10, 32)
		if err != nil {
			return fmt.Errorf("read %q: %w", line, err)
		}
		return p.layLocked(uint32(id), words[2])
	case len(words) == 3 && words[0] == "del":
		var spi uint32
		if _, err := fmt.Sscanf(words[1], "%x", &spi); err != nil {
			return fmt.Errorf("read %q: %w", line, err)
		}
		if p.in[spi] != nil {
			p.gone[spi] = time.Now()
		}
		delete(p.in, spi)
		for i, s := range p.out {
			if s.spi == spi {
				p.out = append(p.out[:i:i], p.out[i+1:]...)
				break
			}
		}
		return nil
	case len(words) >= 8 && words[0] == "add":
		s, err := newSA(words[1:])
		if err != nil {
			return fmt.Errorf("read %q: %w", line, err)
		}
		if p.tuns[s.link] == nil {
			return fmt.Errorf("read %q: no such link", line)
		}
		if p.wire.ours(s.to) {
			if old := p.in[s.spi]; old != nil {
				s.seen = old.seen // an update, such as after the peer's address has changed
			}
			p.in[s.spi] = s
			p.lastIn = s.spi
		} else {
			p.out = append(p.out, s)
		}
		p.count.Added++
		p.count.Encap = s.port != 0
		p.count.Suite = s.suite
		return nil
	}
	return fmt.Errorf("read %q: neither add nor del", line)
}

// newestLocked is the newest outbound SA of a link.
func (p *Pump) newestLocked(link uint32) *sa {
	for i := len(p.out) - 1; i >= 0; i-- {
		if p.out[i].link == link {
			return p.out[i]
		}
	}
	return nil
}

// seal moves packets from a link's TUN to the wire.
func (p *Pump) seal(link uint32, tun *os.File) {
	packet := make([]byte, 1<<16)
	sealed := make([]byte, 0, 1<<16)
	for {
		n, err := tun.Read(packet)
		if err != nil {
			return
		}
		if n == 0 || packet[0]>>4 != 4 {
			continue
		}
		p.mu.Lock()
		s := p.newestLocked(link)
		if s == nil {
			p.count.NoSA++
			p.mu.Unlock()
			continue
		}
		sealed = s.seal(sealed[:0], packet[:n])
		p.count.Out++
		p.mu.Unlock()
		// A route that is cut is not an error of the pump.
		if err := p.wire.write(sealed, s); errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF) {
			return
		}
	}
}

// open moves packets from the wire to the TUN. A packet of an SA that was
// deleted may still be under way.
func (p *Pump) open() {
	packet := make([]byte, 1<<16)
	for {
		esp, err := p.wire.read(packet)
		if err != nil {
			return
		}
		if esp == nil {
			continue
		}
		p.mu.Lock()
		inner, link := p.openLocked(esp)
		tun := p.tuns[link]
		p.mu.Unlock()
		if inner != nil {
			tun.Write(inner)
		}
	}
}

func (p *Pump) openLocked(esp []byte) (packet []byte, link uint32) {
	s := p.in[spiOf(esp)]
	if s == nil {
		p.unknownLocked(spiOf(esp))
		return nil, 0
	}
	inner, sequence, err := s.open(esp)
	switch {
	case err != nil:
		p.count.Malformed++
		p.t.Logf("pump: SPI %08x, packet of %d octets: %v", s.spi, len(esp), err)
		return nil, 0
	case s.seen[sequence]:
		p.count.Repeated++
		return nil, 0
	}
	s.seen[sequence] = true
	p.count.In++
	return inner, s.link
}

// unknownLocked counts a packet of no SA, and says whether there was one: what the
// daemon deletes before its peer can know costs what is under way.
func (p *Pump) unknownLocked(spi uint32) {
	p.count.Unknown++
	since := "never added"
	if at, ok := p.gone[spi]; ok {
		since = fmt.Sprintf("deleted %v before", time.Since(at).Round(10*time.Microsecond))
	}
	p.t.Logf("pump: a packet of SPI %08x, which was %s", spi, since)
}

// parseAddr is netip.ParseAddr for a word of the shim.
func parseAddr(word string) (netip.Addr, error) {
	a, err := netip.ParseAddr(word)
	if err == nil && !a.Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", a)
	}
	return a, err
}
