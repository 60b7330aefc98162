package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"go.uber.org/goleak"

	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// patience is how long a test waits for what a speaker does: GoBGP counts in
// seconds, and rests five of them after a session ended.
const patience = 30 * time.Second

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// A runner is a speaker that runs, and its log.
type runner struct {
	*Speaker
	log  *nettest.Buffer
	stop func() error
}

// at is a configuration without peers at one of loopback's addresses, which is
// the router ID too.
func at(asn uint32, a string) Config {
	return Config{ASN: asn, RouterID: addr(a), Listen: []netip.Addr{addr(a)}}
}

// run starts a speaker at each configuration. None has peers before all run.
func run(t *testing.T, configs ...Config) (out []*runner) {
	t.Helper()
	for _, cfg := range configs {
		r := &runner{log: &nettest.Buffer{}}
		var err error
		bare := cfg
		bare.Peers = nil
		if r.Speaker, err = New(bare, Options{Log: slog.New(slog.NewTextHandler(r.log, nil))}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
		t.Cleanup(func() {
			if err := r.stop(); err != nil {
				t.Errorf("Run: got %v, want no error", err)
			}
		})
		<-r.Changed() // it listens
		out = append(out, r)
	}
	for i, cfg := range configs {
		out[i].set(t, cfg)
	}
	return out
}

func (r *runner) set(t *testing.T, cfg Config) {
	t.Helper()
	if err := r.Set(cfg); err != nil {
		t.Fatal(err)
	}
}

// peer is what r says of the peer called name.
func (r *runner) peer(name string) PeerStatus {
	for _, p := range r.Status().Peers {
		if p.Name == name {
			return p
		}
	}
	return PeerStatus{}
}

// until waits for a status of the peer called name that satisfies cond, and
// returns it.
func (r *runner) until(t *testing.T, name, what string, cond func(PeerStatus) bool) PeerStatus {
	t.Helper()
	late := time.After(patience)
	for {
		if p := r.peer(name); cond(p) {
			return p
		}
		select {
		case <-r.Changed():
		case <-late:
			t.Fatalf("not in %v: %s; %s is %+v\nlog: %s", patience, what, name, r.peer(name), r.log)
		}
	}
}

func established(p PeerStatus) bool { return p.Established }

// prefixes are those of routes that may be used.
func (p PeerStatus) prefixes() (out []string) {
	for _, r := range p.Routes {
		if r.Refused == "" {
			out = append(out, r.Prefix.String())
		}
	}
	return out
}

func list(prefixes ...string) (out []netip.Prefix) {
	for _, p := range prefixes {
		out = append(out, prefix(p))
	}
	return out
}

// pair is the customer's end and AWS's, each the other's peer.
func pair() (cgw, aws Config) {
	cgw, aws = at(65000, "127.0.0.1"), at(64512, "127.0.0.2")
	cgw.Peers = []Peer{{Name: "aws", Local: addr("127.0.0.1"), Remote: addr("127.0.0.2"), ASN: 64512, Announce: list("192.168.1.0/24")}}
	aws.Peers = []Peer{{Name: "cgw", Local: addr("127.0.0.2"), Remote: addr("127.0.0.1"), ASN: 65000, Announce: list("10.0.0.0/16", "10.1.0.0/16")}}
	return cgw, aws
}

func TestTwoSpeakersExchangeRoutes(t *testing.T) {
	// GoBGP 4.8 empties a removed peer's queue without waiting for it, and so may
	// leave its goroutine, which holds nothing.
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/eapache/channels.(*InfiniteChannel).infiniteBuffer"))
	cgw, aws := pair()
	aws.Peers[0].MED, aws.Peers[0].Prepend = 200, 2
	both := run(t, cgw, aws)
	got := both[0].until(t, "aws", "two routes", func(p PeerStatus) bool { return p.Established && p.Accepted == 2 })
	if got.State != "Established" || got.Hold != DefaultHold || got.Announced != 1 || got.Received != 2 {
		t.Errorf("got %+v, want Established with a hold time of 30s, 1 prefix announced and 2 received", got)
	}
	r := got.Routes[0]
	if r.Prefix != prefix("10.0.0.0/16") || r.NextHop != addr("127.0.0.2") || !slices.Equal(r.ASPath, []uint32{64512, 64512, 64512}) || r.Hops != 3 || r.MED != 200 || !r.HasMED || r.Origin != "IGP" || r.Stale {
		t.Errorf("got %+v, want 10.0.0.0/16 from 127.0.0.2 with path 64512 three times, MED 200, origin IGP", r)
	}
	other := both[1].until(t, "cgw", "a route", func(p PeerStatus) bool { return p.Accepted == 1 })
	if r := other.Routes[0]; r.Prefix != prefix("192.168.1.0/24") || r.HasMED || !slices.Equal(r.ASPath, []uint32{65000}) {
		t.Errorf("got %+v, want 192.168.1.0/24 with path 65000 and no MED", r)
	}
	if err := both[1].stop(); err != nil {
		t.Fatal(err)
	}
	gone := both[0].until(t, "aws", "the session's end", func(p PeerStatus) bool { return !p.Established && p.Received == 0 })
	if want := "received 6/2 (Cease/Administrative Shutdown)"; gone.LastError != want {
		t.Errorf("reason: got %q, want %q", gone.LastError, want)
	}
	both[0].stop()
}

func TestAnyASNServes(t *testing.T) {
	for _, asn := range []uint32{1, 23456, 4294967295} {
		cgw, aws := pair()
		cgw.ASN, aws.Peers[0].ASN = asn, asn
		both := run(t, cgw, aws)
		p := both[1].until(t, "cgw", "a route", func(p PeerStatus) bool { return p.Accepted == 1 })
		if !slices.Equal(p.Routes[0].ASPath, []uint32{asn}) {
			t.Errorf("AS path: got %v, want %d", p.Routes[0].ASPath, asn)
		}
		both[0].stop()
		both[1].stop()
	}
}

func TestAnnouncementsChangeWithoutANewSession(t *testing.T) {
	cgw, aws := pair()
	third := at(64513, "127.0.0.3")
	third.Peers = []Peer{{Name: "cgw", Local: addr("127.0.0.3"), Remote: addr("127.0.0.1"), ASN: 65000}}
	cgw.Peers = append(cgw.Peers, Peer{Name: "third", Local: addr("127.0.0.1"), Remote: addr("127.0.0.3"), ASN: 64513, Announce: list("192.168.1.0/24")})
	all := run(t, cgw, aws, third)
	has := func(r *runner, want ...string) PeerStatus {
		t.Helper()
		return r.until(t, "cgw", fmt.Sprint(want), func(p PeerStatus) bool { return p.Established && slices.Equal(p.prefixes(), want) })
	}
	since := has(all[1], "192.168.1.0/24").Since
	has(all[2], "192.168.1.0/24")
	steps := []struct {
		first, second []netip.Prefix // announced to AWS and to the third
		med           uint32
	}{
		{list("192.168.1.0/24", "192.168.2.0/24"), list("192.168.1.0/24"), 0},   // a new one, for one peer
		{list("192.168.2.0/24"), list("192.168.1.0/24", "192.168.2.0/24"), 100}, // swapped
		{list("0.0.0.0/0", "192.168.0.0/16"), nil, 50},                          // others
		{nil, list("192.168.1.0/24"), 0},
	}
	for i, step := range steps {
		cgw.Peers[0].Announce, cgw.Peers[1].Announce, cgw.Peers[0].MED = step.first, step.second, step.med
		aws.Peers[0].AcceptDefault = true
		all[1].set(t, aws)
		all[0].set(t, cgw)
		for j, announced := range [][]netip.Prefix{step.first, step.second} {
			var want []string
			for _, p := range announced {
				want = append(want, p.String())
			}
			got := has(all[j+1], want...)
			if j == 0 {
				for _, r := range got.Routes {
					if r.MED != step.med {
						t.Errorf("step %d: MED of %v: got %d, want %d", i, r.Prefix, r.MED, step.med)
					}
				}
			}
		}
	}
	cgw.Peers = cgw.Peers[:1]
	all[0].set(t, cgw)
	all[2].until(t, "cgw", "the end of the third's session", func(p PeerStatus) bool { return !p.Established })
	if got := all[1].peer("cgw"); !got.Established || got.Since != since {
		t.Errorf("the session with AWS: got %+v, want it up since %v", got, since)
	}
}

func TestDefaultRouteIsRefusedUnlessAskedFor(t *testing.T) {
	cgw, aws := pair()
	aws.Peers[0].Announce = list("0.0.0.0/0", "10.0.0.0/16")
	both := run(t, cgw, aws)
	p := both[0].until(t, "aws", "two routes", func(p PeerStatus) bool { return p.Received == 2 })
	if got := p.prefixes(); p.Accepted != 1 || !slices.Equal(got, []string{"10.0.0.0/16"}) || p.Routes[0].Refused != DefaultRefused {
		t.Errorf("got %+v, want the default route refused and the other accepted", p)
	}
	cgw.Peers[0].AcceptDefault = true
	both[0].set(t, cgw)
	both[0].until(t, "aws", "both accepted", func(p PeerStatus) bool { return p.Accepted == 2 })
}

func TestOnePrefixTooManyEndsTheSession(t *testing.T) {
	cgw, aws := pair()
	var hundred []netip.Prefix
	for i := range 100 {
		hundred = append(hundred, prefix(fmt.Sprintf("172.16.%d.0/24", i)))
	}
	cgw.Peers[0].Announce = hundred
	aws.Peers[0].MaxPrefixes, aws.Peers[0].Pause = 100, 100*time.Millisecond
	both := run(t, cgw, aws)
	both[1].until(t, "cgw", "100 routes", func(p PeerStatus) bool { return p.Accepted == 100 })

	cgw.Peers[0].Announce = append(slices.Clone(hundred), prefix("172.17.0.0/24"))
	both[0].set(t, cgw)
	p := both[1].until(t, "cgw", "the session's end", func(p PeerStatus) bool { return !p.Established })
	if want := "sent 6/1 (Cease/Maximum Number of Prefixes Reached)"; p.Received != 0 || p.LastError != want {
		t.Errorf("got %d prefixes and %q, want none, for nothing is truncated, and %q", p.Received, p.LastError, want)
	}
	both[0].until(t, "aws", "the peer's reason", func(p PeerStatus) bool {
		return p.LastError == "received 6/1 (Cease/Maximum Number of Prefixes Reached)"
	})

	cgw.Peers[0].Announce = hundred
	both[0].set(t, cgw)
	both[1].until(t, "cgw", "100 routes again, after the pause", func(p PeerStatus) bool { return p.Accepted == 100 })
}

func TestWrongASNIsExplainedAtBothEnds(t *testing.T) {
	cgw, aws := pair()
	aws.Peers[0].ASN = 65099 // AWS was told another ASN of the customer
	both := run(t, cgw, aws)
	both[1].until(t, "cgw", "the refusal", func(p PeerStatus) bool {
		return strings.Contains(p.LastError, "sent 2/2 (OPEN Message Error/Bad Peer AS)")
	})
	both[0].until(t, "aws", "the hint", func(p PeerStatus) bool {
		return strings.Contains(p.LastError, "another ASN than ours, 65000")
	})
}

func TestWhoCannotBeReachedIsNamed(t *testing.T) {
	cgw, _ := pair()
	r := run(t, cgw)[0]
	r.until(t, "aws", "the reason", func(p PeerStatus) bool { return strings.Contains(p.LastError, "connection refused") })
}

func TestWithoutAPortSessionsAreOpenedAllTheSame(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:179")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cgw, aws := pair()
	both := run(t, cgw, aws)
	both[0].until(t, "aws", "the session", established)
	if got := both[0].Status().Deaf; !strings.Contains(got, "address already in use") {
		t.Errorf("Deaf: got %q, want it to say that the address is in use", got)
	}
	if got := both[1].Status().Deaf; got != "" {
		t.Errorf("Deaf of the other: got %q, want nothing", got)
	}
}

// vpn §4.5: a transit gateway takes a thousand prefixes, and they are there soon.
func TestAThousandPrefixesConvergeSoon(t *testing.T) {
	cgw, aws := pair()
	aws.Peers[0].Announce = nil
	both := run(t, cgw, aws)
	both[0].until(t, "aws", "the session", established)
	for i := range 1000 {
		aws.Peers[0].Announce = append(aws.Peers[0].Announce, prefix(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)))
	}
	began := time.Now()
	both[1].set(t, aws)
	both[0].until(t, "aws", "1000 routes", func(p PeerStatus) bool { return p.Accepted == 1000 })
	t.Logf("1000 prefixes in %v", time.Since(began))
}

func TestValidateNamesFieldValueAndRule(t *testing.T) {
	tests := []struct {
		want   string
		change func(*Config)
	}{
		{"ASN 0", func(c *Config) { c.ASN = 0 }},
		{"RouterID", func(c *Config) { c.RouterID = netip.Addr{} }},
		{"RouterID 0.0.0.0", func(c *Config) { c.RouterID = addr("0.0.0.0") }},
		{"used twice", func(c *Config) { c.Peers = append(c.Peers, c.Peers[0]) }},
		{"Remote 127.0.0.2 is that of peer aws", func(c *Config) {
			c.Peers = append(c.Peers, c.Peers[0])
			c.Peers[1].Name = "other"
		}},
		{"Local", func(c *Config) { c.Peers[0].Local = c.Peers[0].Remote }},
		{"peer aws: ASN 0", func(c *Config) { c.Peers[0].ASN = 0 }},
		{"ASN 65000 is our own", func(c *Config) { c.Peers[0].ASN = 65000 }},
		{"Hold 2s", func(c *Config) { c.Peers[0].Hold = 2 * time.Second }},
		{"Hold 3.5s", func(c *Config) { c.Peers[0].Hold = 3500 * time.Millisecond }},
		{"Keepalive 11s", func(c *Config) { c.Peers[0].Keepalive = 11 * time.Second }},
		{"MaxPrefixes -1", func(c *Config) { c.Peers[0].MaxPrefixes = -1 }},
		{"Prepend 11", func(c *Config) { c.Peers[0].Prepend = 11 }},
		{"Pause", func(c *Config) { c.Peers[0].Pause = -1 }},
		{"host bits", func(c *Config) { c.Peers[0].Announce = list("192.168.1.1/24") }},
		{"a prefix of the session's family", func(c *Config) { c.Peers[0].Announce = list("fd00::/64") }},
		{"there twice", func(c *Config) { c.Peers[0].Announce = list("10.0.0.0/8", "10.0.0.0/8") }},
	}
	for _, tt := range tests {
		cfg, _ := pair()
		tt.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want it to say %q", err, tt.want)
		}
		if s, newErr := New(cfg, Options{}); newErr == nil || s != nil {
			t.Errorf("%s: New took it", tt.want)
		}
	}
	cfg, _ := pair()
	if err := cfg.Validate(); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

func TestNotificationsHaveNames(t *testing.T) {
	for want, n := range map[string][2]int64{
		"6/1 (Cease/Maximum Number of Prefixes Reached)":  {6, 1},
		"4/0 (Hold Timer Expired)":                        {4, 0},
		"6/99 (Cease)":                                    {6, 99},
		"9/1 (Unknown)":                                   {9, 1},
		"2/7 (OPEN Message Error/Unsupported Capability)": {2, 7},
	} {
		if got := notification(n[0], n[1]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	p := Peer{Remote: addr("169.254.10.1")}
	good := Route{Prefix: prefix("10.0.0.0/16"), NextHop: p.Remote, ASPath: []uint32{64512}}
	for want, change := range map[string]func(*Route){
		"":                            func(*Route) {},
		"as-path contains our own AS": func(r *Route) { r.ASPath = []uint32{64512, 65000, 64512} },
		"is not the connected peer":   func(r *Route) { r.NextHop = addr("169.254.10.5") },
		DefaultRefused:                func(r *Route) { r.Prefix = prefix("0.0.0.0/0") },
		"martian prefix":              func(r *Route) { r.Prefix = prefix("169.254.10.0/30") },
		"of 51 systems, more than 50": func(r *Route) { r.ASPath = make([]uint32, 51) },
	} {
		r := good
		change(&r)
		if got := Refusal(r, p, 65000); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%v: got %q, want %q", r, got, want)
		}
	}
}

// What a status holds of a peer is bounded, however long its paths are.
func TestAStatusHasTheBeginningOfALongPath(t *testing.T) {
	p := Peer{Remote: addr("169.254.10.1")}
	long := Route{Prefix: prefix("10.0.0.0/16"), NextHop: p.Remote, ASPath: slices.Repeat([]uint32{64512}, 1000)}
	got := status(p, view{state: api.PeerState_SESSION_STATE_ESTABLISHED, routes: []Route{long}}, &note{}, 65000)
	if len(got.Routes) != 1 || len(got.Routes[0].ASPath) != MaxPath || got.Routes[0].Refused == "" || got.Accepted != 0 || len(long.ASPath) != 1000 {
		t.Errorf("got %d routes, the first with %d systems, want one, refused, with %d", len(got.Routes), len(got.Routes[0].ASPath), MaxPath)
	}
}
