package ikev2

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// keptFields says of every field of what Export keeps whether it is kept, or
// why it need not be.
var keptFields = map[reflect.Type]map[string]string{
	reflect.TypeFor[Machine](): {
		"sas": "kept", "current": "kept", "children": "kept", "start": "kept", "status": "kept",
		"counts": "rekeys are kept, retransmissions are not worth a save each",
		"cfg":    "given to Restore", "shared": "given to Restore", "live": "heard anew", "closed": "not exported then",
		"export": "what this is about", "shown": "made of the rest", "turn": "over when Step returns", "strangers": "half-open attempts of others are forgotten", "session": "without a ticket the full exchange follows",
	},
	reflect.TypeFor[sa](): {
		"state": "kept", "initiator": "kept", "rekeyed": "kept", "spiI": "kept", "spiR": "kept", "peer": "kept", "suite": "kept",
		"keys": "kept", "ext": "kept", "path": "kept", "window": "kept", "tasks": "kept", "busy": "kept", "established": "kept",
		"soft": "kept", "hard": "kept", "until": "kept",
		"seal": "made of keys; its next IV is kept", "open": "made of keys", "shake": "only until it is up",
	},
	reflect.TypeFor[path](): {
		"local": "kept", "remote": "kept", "natLocal": "kept", "natRemote": "kept", "supported": "kept",
		"sent": "a keepalive may come early",
	},
	reflect.TypeFor[extensions]():      {"fragments": "kept", "mobike": "kept", "sync": "kept", "ppk": "kept", "resumed": "kept", "pending": "kept"},
	reflect.TypeFor[synchronization](): {"on": "kept", "ours": "kept", "theirs": "kept"},
	reflect.TypeFor[mobility]():        {"on": "kept", "lead": "kept", "others": "only told when the peer dies", "mapped": "asked anew"},
	reflect.TypeFor[fragmentation]():   {"on": "kept", "requests": "the peer sends all fragments again", "responses": "so it does when asked again"},
	reflect.TypeFor[window]():          {"next": "kept", "out": "kept", "expect": "kept", "cached": "kept", "early": "only until the SA is up"},
	reflect.TypeFor[flight](): {
		"id": "kept", "data": "kept", "task": "kept",
		"pause": "begins anew", "again": "at once", "giveUp": "begins anew", "proof": "set by resume", "spared": "begins anew",
	},
	reflect.TypeFor[child](): {
		"SA": "kept", "ike": "kept", "state": "kept", "used": "kept", "next": "kept", "lowest": "kept", "soft": "kept", "hard": "kept", "until": "kept",
	},
	reflect.TypeFor[ike.ChildSA](): {
		"SPIIn": "kept", "SPIOut": "kept", "Suite": "kept", "KeysIn": "kept", "KeysOut": "kept", "LocalTS": "kept", "RemoteTS": "kept",
		"Encap": "kept", "Local": "kept", "Remote": "kept", "Created": "kept", "Initiator": "kept", "Resumed": "set by Restore",
	},
	reflect.TypeFor[suite.IKE]():       {"Encr": "kept", "KeyBits": "kept", "PRF": "kept", "Integ": "kept", "Group": "kept", "AddKE": "kept"},
	reflect.TypeFor[suite.ESP]():       {"Encr": "kept", "KeyBits": "kept", "Integ": "kept", "Group": "kept", "AddKE": "kept", "ESN": "kept"},
	reflect.TypeFor[createChild]():     {"old": "kept", "offer": "kept", "key": "kept", "ni": "kept", "group": "kept", "tries": "kept", "plan": "kept", "own": "kept", "theirs": "kept", "lowest": "kept", "deleted": "kept"},
	reflect.TypeFor[offer]():           {"spi": "kept", "x": "made of key", "pfs": "kept"},
	reflect.TypeFor[rekeyIKE]():        {"spi": "kept", "ni": "kept", "x": "made of key", "key": "kept", "group": "kept", "tries": "kept", "next": "kept", "in": "kept", "own": "kept", "theirs": "kept", "lowest": "kept"},
	reflect.TypeFor[deleteChild]():     {"spiIn": "kept", "spiOut": "kept"},
	reflect.TypeFor[updateAddresses](): {"stale": "kept"},
	reflect.TypeFor[routeCheck]():      {"to": "kept", "cookie": "kept"},
	reflect.TypeFor[followUp]():        {"of": "kept", "groups": "kept", "link": "kept", "x": "made of key", "key": "kept"},
	reflect.TypeFor[pending]():         {"link": "kept", "groups": "kept", "until": "kept", "lowest": "kept", "child": "kept", "old": "kept", "next": "kept", "in": "kept"},
	reflect.TypeFor[childPlan]():       {"spiIn": "kept", "spiOut": "kept", "suite": "kept", "local": "kept", "remote": "kept", "in": "kept", "initiator": "kept"},
	reflect.TypeFor[suite.KeyInput]():  {"Ni": "kept", "Nr": "kept", "SPIi": "those of the SA that is made", "SPIr": "those of the SA that is made", "Shared": "kept", "More": "kept"},
	reflect.TypeFor[busyness]():        {"since": "kept", "last": "kept"},
	reflect.TypeFor[starter]():         {"at": "an IKE SA is up", "insist": "the same", "pause": "kept", "childAt": "kept"},
}

// TestEveryFieldIsKeptOrNeedNotBe fails when a field is added that Export does
// not know of: code it in export.go and count stateVersion up, or say in
// keptFields why a restarted gateway can do without it.
func TestEveryFieldIsKeptOrNeedNotBe(t *testing.T) {
	for typ, fields := range keptFields {
		for i := range typ.NumField() {
			if name := typ.Field(i).Name; fields[name] == "" {
				t.Errorf("%v.%s: neither kept by Export nor said why not: code it in export.go, or add it to keptFields in this file with the reason", typ, name)
			}
		}
		if got := typ.NumField(); got < len(fields) {
			t.Errorf("%v has %d fields, %d are listed", typ, got, len(fields))
		}
	}
}

// busyState is the state of a machine with all that can be kept: two IKE SAs,
// two CHILD SAs, exchanges under way and waiting, and references between them.
func busyState(t testing.TB) (*Machine, []byte) {
	t.Helper()
	d := upDuo(t, nil)
	d.Step(0, ike.RekeyIKE{})
	d.DeliverNext()
	d.DeliverNext() // a's new IKE SA; its delete of the old one is under way
	d.Step(1, ike.RekeyChild{})
	d.Step(0, ike.RekeyChild{})
	for range 3 {
		d.DeliverNext()
	}
	m := d.a
	m.current.tasks = append(m.current.tasks, &deleteChild{1, 2}, &deleteIKE{}, &probe{}, &updateAddresses{stale: true}, &routeCheck{to: elsewhere, cookie: []byte{1}}, &announce{}, &rekeyIKE{theirs: goneSA()}, &createChild{old: goneChild()})
	m.export.stale = true
	state, ok := m.Export()
	if !ok {
		t.Fatal("not exported")
	}
	if len(m.sas) < 2 || len(m.children) < 2 || m.current.window.out == nil {
		t.Fatalf("got %d IKE SAs and %d CHILD SAs, want two of each and an exchange under way", len(m.sas), len(m.children))
	}
	return m, state.Reveal()
}

// recode reads state and writes it again.
func recode(state []byte) ([]byte, error) {
	m, ivs := &Machine{}, map[*sa]uint64{}
	in := &codec{b: bytes.Clone(state), reading: true}
	if m.code(in, ivs); in.err != nil {
		return nil, in.err
	}
	out := &codec{}
	m.code(out, ivs)
	return out.b, out.err
}

func TestStateIsReadBackAsItWas(t *testing.T) {
	m, state := busyState(t)
	again, err := recode(state)
	if err != nil || !bytes.Equal(again, state) {
		t.Fatalf("got %d octets, %v, want the same %d octets", len(again), err, len(state))
	}
	r, ivs := &Machine{}, map[*sa]uint64{}
	in := &codec{b: bytes.Clone(state), reading: true}
	r.code(in, ivs)
	for i, s := range r.sas {
		was := m.sas[i]
		if !reflect.DeepEqual(s.keys, was.keys) || s.suite != was.suite || s.window.next != was.window.next || s.window.expect != was.window.expect ||
			!reflect.DeepEqual(s.window.cached, was.window.cached) || ivs[s] != was.seal.NextIV() || len(s.tasks) != len(was.tasks) {
			t.Errorf("IKE SA %d: got %+v, want %+v", i, s, was)
		}
	}
	for i, c := range r.children {
		if !c.SA.Created.Equal(m.children[i].SA.Created) {
			t.Errorf("CHILD SA %d: got %v, want %v", i, c.SA.Created, m.children[i].SA.Created)
		}
		c.SA.Created = m.children[i].SA.Created
		if !reflect.DeepEqual(c.SA, m.children[i].SA) {
			t.Errorf("CHILD SA %d: got %+v, want %+v", i, c.SA, m.children[i].SA)
		}
	}
}

func TestEveryStateThatIsNotWholeIsRefused(t *testing.T) {
	_, state := busyState(t)
	for n := range state {
		if _, err := recode(state[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("%d of %d octets: got %v, want %v", n, len(state), err, ErrState)
		}
	}
	if _, err := recode(append(bytes.Clone(state), 0)); !errors.Is(err, ErrState) {
		t.Errorf("an octet too many: got %v, want %v", err, ErrState)
	}
	other := bytes.Clone(state)
	other[7]++
	if _, err := recode(other); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), fmt.Sprintf("format %d", stateVersion+1)) {
		t.Errorf("another version: got %v", err)
	}
}

// upState is an established end a and what it exports.
func upState(t testing.TB) (*Machine, secret.Secret) {
	t.Helper()
	d := upDuo(t, nil)
	state, ok := d.a.Export()
	if !ok {
		t.Fatal("an established machine exports nothing")
	}
	return d.a, state
}

func TestStateIsExportedOnlyWhileAnSAIsUp(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	if _, ok := d.a.Export(); ok {
		t.Error("a half-open attempt is exported")
	}
	d.Run()
	if _, ok := d.a.Export(); !ok {
		t.Error("an established machine is not")
	}
	d.Step(0, ike.Close{})
	if _, ok := d.a.Export(); ok {
		t.Error("a closed machine is")
	}
}

func TestStateChangesWithWhatThePeerKnows(t *testing.T) {
	d := upDuo(t, nil)
	export := func() string { s, _ := d.a.Export(); return string(s.Reveal()) }
	before := export()
	d.Step(0, ike.PeerAlive{At: d.Now})
	if export() != before {
		t.Error("a sign of life changed the state: it would be saved for every batch of packets")
	}
	d.Step(0, ike.RekeyChild{})
	if export() == before {
		t.Error("a request that a made did not change its state")
	}
}

func TestStateThatCannotGoOnIsRefused(t *testing.T) {
	_, state := upState(t)
	for _, c := range []struct {
		name   string
		now    time.Time
		change func(*policy.Config)
		want   string
	}{
		{"too old", begin.Add(8 * time.Hour), nil, "lifetime ended"},
		{"CHILD SA too old", begin.Add(time.Hour), nil, "CHILD SA's lifetime ended"},
		{"our address", begin, func(c *policy.Config) { c.Local = c.Remote }, "our address was"},
		{"peer", begin, func(c *policy.Config) { c.RemoteID = ike.Identity{Type: ike.IDFQDN, Data: "other"} }, "the peer was"},
		{"suite", begin, func(c *policy.Config) { c.IKE[0].KeyBits = 256 }, "not allowed any more"},
	} {
		cfg := testConfig(0)
		if c.change != nil {
			c.change(&cfg)
		}
		if _, err := Restore(cfg, nil, c.now, state); !errors.Is(err, ErrState) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want it to say %q", c.name, err, c.want)
		}
	}
	if _, err := Restore(testConfig(0), nil, begin, state); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// TestContradictionsAreRefused changes one thing at a time so that it cannot be.
func TestContradictionsAreRefused(t *testing.T) {
	for name, change := range map[string]func(m *Machine){
		"no current":       func(m *Machine) { m.current = nil },
		"larval":           func(m *Machine) { m.current.state = larval },
		"SPI 0":            func(m *Machine) { m.current.spiR = 0 },
		"no peer":          func(m *Machine) { m.current.path.remote = netip.AddrPort{} },
		"short SK_d":       func(m *Machine) { m.current.keys.D = secret.New([]byte{1}) },
		"short SK_e":       func(m *Machine) { m.current.keys.Ei = secret.New([]byte{1}) },
		"IVs used up":      func(m *Machine) { m.current.seal.SkipTo(1<<64 - 1) },
		"idle":             func(m *Machine) { m.status.phase = ike.Idle },
		"two used":         func(m *Machine) { m.children = append(m.children, clonedChild(m, 0x77777777)) },
		"same SPI":         func(m *Machine) { m.children = append(m.children, clonedChild(m, m.children[0].SA.SPIIn)) },
		"reserved SPI":     func(m *Machine) { m.children[0].SA.SPIIn = 255 },
		"short key":        func(m *Machine) { m.children[0].SA.KeysOut.Encr = secret.New([]byte{1}) },
		"no selectors":     func(m *Machine) { m.children[0].SA.LocalTS = nil },
		"crooked selector": func(m *Machine) { m.children[0].SA.LocalTS[0].EndPort, m.children[0].SA.LocalTS[0].StartPort = 1, 2 },
		"unknown cipher":   func(m *Machine) { m.children[0].SA.Suite.Encr = 3 },
		"lingering, used":  func(m *Machine) { m.children[0].state = childLingering },
		"request's id":     func(m *Machine) { m.current.window.out = &flight{id: 77, data: [][]byte{{1}}, task: &probe{}} },
	} {
		m, state := upState(t)
		in := &codec{b: bytes.Clone(state.Reveal()), reading: true}
		r, ivs := &Machine{}, map[*sa]uint64{}
		r.code(in, ivs)
		r.current.seal = m.current.seal
		m.sas, m.children, m.current = r.sas, r.children, r.current
		last := m.current
		change(m)
		ivs[last] = last.seal.NextIV()
		out := &codec{}
		m.code(out, ivs)
		if out.err != nil {
			t.Errorf("%s: %v", name, out.err)
		}
		if _, err := Restore(testConfig(0), nil, begin, secret.New(out.b)); !errors.Is(err, ErrState) {
			t.Errorf("%s: got %v, want %v", name, err, ErrState)
		}
	}
}

// clonedChild is another CHILD SA like the first.
func clonedChild(m *Machine, spi uint32) *child {
	c, sa := *m.children[0], *m.children[0].SA
	sa.SPIIn = spi
	c.SA = &sa
	return &c
}

// FuzzRestore gives Restore anything: it may be refused, but what is taken is
// written again as it was and leads to a machine that can be run.
func FuzzRestore(f *testing.F) {
	_, busy := busyState(f)
	_, state := upState(f)
	for _, s := range [][]byte{busy, state.Reveal()} {
		f.Add(uint16(0), []byte{}, s)
		f.Add(uint16(20), []byte{0xff}, s)
	}
	f.Add(uint16(0), []byte{}, []byte{0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, at uint16, patch, state []byte) {
		state = bytes.Clone(state)
		if int(at) < len(state) {
			copy(state[at:], patch)
		}
		again, err := recode(state)
		if err == nil && !bytes.Equal(again, state) {
			t.Fatalf("%x is read, and written as %x", state, again)
		}
		m, err := Restore(testConfig(0), nil, begin, secret.New(state))
		if err != nil {
			return
		}
		var out ike.Outputs
		if err := m.Step(begin, ike.Resume{}, &out); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			at := m.Deadline()
			if at.IsZero() {
				break
			}
			out.Reset()
			if err := m.Step(slices.MaxFunc([]time.Time{at, begin}, time.Time.Compare), ike.TimerFired{}, &out); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestStrangersDoNotMakeUsEncodeState: what proves nothing must not cost an
// export, and what does must not be missed.
func TestStrangersDoNotMakeUsEncodeState(t *testing.T) {
	d := upDuo(t, nil)
	d.b.Export()
	before := d.b.export.state
	forged := bytes.Clone(d.Sent[2].Data)
	forged[len(forged)-1] ^= 1
	for _, data := range [][]byte{d.Sent[0].Data, d.Sent[2].Data, forged, {0xff}} {
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bytes.Clone(data)})
		if d.b.export.stale {
			t.Errorf("%x made the state stale", data)
		}
	}
	if got, ok := d.b.Export(); !ok || !reflect.DeepEqual(got, before) {
		t.Error("the state is another one")
	}
	d.say(t, 37)
	if got, _ := d.b.Export(); reflect.DeepEqual(got, before) {
		t.Error("an authentic request did not change the state")
	}
}

func TestBufferThatGrowsLeavesNoKeysBehind(t *testing.T) {
	key := secret.New(bytes.Repeat([]byte{7}, 64))
	c := &codec{}
	c.hidden(&key)
	before := c.b
	for range 100 {
		c.hidden(&key)
	}
	if &before[0] == &c.b[0] {
		t.Fatal("the buffer did not grow")
	}
	if bytes.Contains(before, []byte{7}) {
		t.Error("the old buffer still holds the key")
	}
}
