package ikev2

import (
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// stateVersion is that of the encoding. Whoever changes what is kept counts it
// up: a state of another version is refused, and the tunnel begins anew.
const stateVersion = 10

// Export is what a new process needs to go on with the machine's SAs: the IKE
// SAs that are up or end, with their keys, windows, cached responses and
// requests under way, and the CHILD SAs. Half-open attempts are left out, and
// so are retransmission times and when the peer was last heard. ok is false
// while no IKE SA is up. Whoever keeps it does so before what the last Step
// sent goes out, so that the peer never knows more than is kept.
//
// The sequence numbers of CHILD SAs are not in it: the data plane has them.
func (m *Machine) Export() (state secret.Secret, ok bool) {
	if m.closed || m.current == nil || m.current.state != up {
		m.export.forget()
		return secret.Secret{}, false
	}
	if !m.export.stale && !m.export.state.IsZero() {
		return m.export.state, true
	}
	m.export.forget()
	c := &codec{}
	defer func() { clear(c.b) }()
	ivs := map[*sa]uint64{}
	for _, s := range m.sas {
		if s.seal != nil {
			ivs[s] = s.seal.NextIV()
		}
	}
	m.code(c, ivs)
	if c.err != nil {
		return secret.Secret{}, false
	}
	m.export.state = secret.New(c.b)
	return m.export.state, true
}

// exported is what Export gave last. It is made anew only after something
// authentic or a timer could have changed it: a flood of strangers must not
// make us encode keys.
type exported struct {
	state secret.Secret
	stale bool
}

// forget wipes what was given.
func (e *exported) forget() {
	e.state.Wipe()
	*e = exported{}
}

var _ ike.Exporter = (*Machine)(nil)

// A graph is the SAs that refer to each other.
type graph struct {
	sas      []*sa
	children []*child
	ivs      map[*sa]uint64 // the next counted IV of each
}

// What stands for an SA or a child that was forgotten while something still
// knew it. They do nothing.
func goneSA() *sa       { return &sa{state: gone} }
func goneChild() *child { return &child{state: childLingering, SA: &ike.ChildSA{}, ike: goneSA()} }

// code writes the machine's state, with the next counted IV of each IKE SA, or
// reads it into an empty machine and an empty map.
func (m *Machine) code(c *codec, ivs map[*sa]uint64) {
	version := uint64(stateVersion)
	if c.word(&version); version != stateVersion {
		c.fail("format %d, this program has %d", version, stateVersion)
		return
	}
	g := graph{children: m.children, ivs: ivs}
	for _, s := range m.sas {
		if s.kept() {
			g.sas = append(g.sas, s)
		}
	}
	g.sas = blank(c, g.sas)
	g.children = blank(c, g.children)
	for _, s := range g.sas {
		s.code(c, g)
		if c.reading && !s.kept() {
			c.fail("IKE SA in state %v, which is never written", s.state)
		}
	}
	for _, s := range g.children {
		s.code(c, g)
	}
	ref(c, g.sas, &m.current, nil)
	number(c, &m.status.phase)
	c.text(&m.status.reason)
	number(c, &m.start.pause)
	c.when(&m.start.childAt)
	number(c, &m.counts.rekeys)
	if !c.reading {
		return
	}
	m.sas, m.children = g.sas, g.children
	if len(c.b) > 0 {
		c.fail("%d octets too many", len(c.b))
	}
}

// kept reports whether s is one that is written: those that were never up, or
// failed, are of no use to a machine that goes on.
func (s *sa) kept() bool { return s.state >= up && !s.failed() }

// blank codes how many things are in list; a reader gets as many empty ones.
func blank[T any](c *codec, list []*T) []*T {
	n := c.count(len(list), maxKeptItems)
	if !c.reading {
		return list
	}
	list = nil
	for range n {
		list = append(list, new(T))
	}
	return list
}

// code codes one IKE SA.
func (s *sa) code(c *codec, g graph) {
	number(c, &s.state)
	c.flag(&s.initiator)
	c.flag(&s.rekeyed)
	number(c, &s.spiI)
	number(c, &s.spiR)
	number(c, &s.peer.Type)
	c.text(&s.peer.Data)
	c.text(&s.peer.auth)
	c.when(&s.peer.until)
	c.datagrams(&s.peer.chain)
	c.digest(&s.peer.trust)
	codeIKESuite(c, &s.suite)
	for _, k := range []*secret.Secret{&s.keys.D, &s.keys.Ai, &s.keys.Ar, &s.keys.Ei, &s.keys.Er, &s.keys.Pi, &s.keys.Pr} {
		c.hidden(k)
	}
	iv := g.ivs[s]
	number(c, &iv)
	g.ivs[s] = iv
	s.path.code(c)
	s.ext.code(c, g)
	s.window.code(c, g)
	s.codeTasks(c, g)
	c.when(&s.busy.since)
	c.when(&s.busy.last)
	c.when(&s.established)
	c.when(&s.soft)
	c.when(&s.hard)
	c.when(&s.until)
}

func (e *extensions) code(c *codec, g graph) {
	c.flag(&e.fragments.on)
	c.flag(&e.mobike.on)
	c.flag(&e.mobike.lead)
	c.flag(&e.sync.on)
	number(c, &e.sync.ours)
	number(c, &e.sync.theirs)
	c.flag(&e.ppk)
	c.flag(&e.resumed)
	e.pending = optional(c, e.pending, func(p *pending) { p.code(c, g) })
}

func codeIKESuite(c *codec, s *suite.IKE) {
	number(c, &s.Encr)
	number(c, &s.KeyBits)
	number(c, &s.PRF)
	number(c, &s.Integ)
	number(c, &s.Group)
	codeMoreKE(c, &s.AddKE)
}

func codeMoreKE(c *codec, list *suite.MoreKE) {
	for i := range list {
		number(c, &list[i])
	}
}

func (p *path) code(c *codec) {
	c.addrPort(&p.local)
	c.addrPort(&p.remote)
	c.flag(&p.natLocal)
	c.flag(&p.natRemote)
	c.flag(&p.supported)
}

// code codes a window. When the request under way is due again is for the
// reader to say.
func (w *window) code(c *codec, g graph) {
	number(c, &w.next)
	number(c, &w.expect)
	c.datagrams(&w.cached)
	under := w.out != nil
	if under {
		_, syncing := w.out.task.(*syncIDs) // begun anew, with another id
		under = !syncing
	}
	if c.flag(&under); !under || c.err != nil {
		return
	}
	if c.reading {
		w.out = &flight{}
	}
	number(c, &w.out.id)
	c.datagrams(&w.out.data)
	w.out.task = codeTask(c, g, w.out.task)
}

// codeTasks codes the exchanges that wait. Those that cannot be kept are left
// out: nothing of them is known to the peer.
func (s *sa) codeTasks(c *codec, g graph) {
	var keep []task
	for _, k := range s.tasks {
		if kindOf(k) != 0 {
			keep = append(keep, k)
		}
	}
	n := c.count(len(keep), maxKeptItems)
	if c.reading {
		keep = make([]task, n)
	}
	for i := range keep {
		keep[i] = codeTask(c, g, keep[i])
	}
	if c.reading {
		s.tasks = keep
	}
}

// The tasks that can be kept.
const (
	keptProbe = 1 + iota
	keptDeleteChild
	keptDeleteIKE
	keptCreateChild
	keptRekeyIKE
	keptUpdate
	keptRouteCheck
	keptAnnounce
	keptFollowUp
)

// kindOf is the number of k's kind, 0 for one that cannot be kept.
func kindOf(k task) uint64 {
	switch k.(type) {
	case *probe:
		return keptProbe
	case *deleteChild:
		return keptDeleteChild
	case *deleteIKE:
		return keptDeleteIKE
	case *createChild:
		return keptCreateChild
	case *rekeyIKE:
		return keptRekeyIKE
	case *updateAddresses:
		return keptUpdate
	case *routeCheck:
		return keptRouteCheck
	case *announce:
		return keptAnnounce
	case *followUp:
		return keptFollowUp
	}
	return 0
}

// codeTask codes k, and returns what was read in its place.
func codeTask(c *codec, g graph, k task) task {
	kind := kindOf(k)
	c.word(&kind)
	if c.reading {
		blanks := map[uint64]task{
			keptProbe: &probe{}, keptDeleteChild: &deleteChild{}, keptDeleteIKE: &deleteIKE{},
			keptCreateChild: &createChild{}, keptRekeyIKE: &rekeyIKE{},
			keptUpdate: &updateAddresses{}, keptRouteCheck: &routeCheck{}, keptAnnounce: &announce{}, keptFollowUp: &followUp{},
		}
		k = blanks[kind]
	}
	switch k := k.(type) {
	case *probe, *deleteIKE, *announce:
	case *updateAddresses:
		c.flag(&k.stale)
	case *routeCheck:
		c.addrPort(&k.to)
		c.octets(&k.cookie)
	case *deleteChild:
		number(c, &k.spiIn)
		number(c, &k.spiOut)
	case *createChild:
		k.code(c, g)
	case *rekeyIKE:
		k.code(c, g)
	case *followUp:
		k.code(c, g)
	default:
		c.fail("exchange of kind %d", kind)
		if c.reading {
			return &probe{}
		}
	}
	return k
}

func (k *createChild) code(c *codec, g graph) {
	ref(c, g.children, &k.old, goneChild())
	number(c, &k.offer.spi)
	c.flag(&k.offer.pfs)
	k.offer.x = k.key.code(c, k.offer.x)
	c.octets(&k.ni)
	number(c, &k.group)
	number(c, &k.tries)
	k.plan = optional(c, k.plan, func(p *childPlan) { p.code(c) })
	c.octets(&k.own)
	ref(c, g.children, &k.theirs, goneChild())
	c.octets(&k.lowest)
	early := c.count(len(k.deleted), maxEarly)
	if c.reading && early > 0 {
		k.deleted = make([]uint32, early)
	}
	for i := range k.deleted {
		number(c, &k.deleted[i])
	}
}

func (k *rekeyIKE) code(c *codec, g graph) {
	number(c, &k.spi)
	c.octets(&k.ni)
	k.x = k.key.code(c, k.x)
	number(c, &k.group)
	number(c, &k.tries)
	k.next = optional(c, k.next, func(s *sa) { s.codeNext(c) })
	codeKeyInput(c, &k.in)
	c.octets(&k.own)
	ref(c, g.sas, &k.theirs, goneSA())
	c.octets(&k.lowest)
}

// code codes one CHILD SA.
func (s *child) code(c *codec, g graph) {
	if c.reading {
		s.SA = &ike.ChildSA{}
	}
	codeChildSA(c, s.SA)
	ref(c, g.sas, &s.ike, goneSA())
	number(c, &s.state)
	c.flag(&s.used)
	ref(c, g.children, &s.next, goneChild())
	c.octets(&s.lowest)
	c.when(&s.soft)
	c.when(&s.hard)
	c.when(&s.until)
}

func codeChildSA(c *codec, s *ike.ChildSA) {
	number(c, &s.SPIIn)
	number(c, &s.SPIOut)
	codeESPSuite(c, &s.Suite)
	for _, k := range []*secret.Secret{&s.KeysIn.Encr, &s.KeysIn.Integ, &s.KeysOut.Encr, &s.KeysOut.Integ} {
		c.hidden(k)
	}
	codeSelectors(c, &s.LocalTS)
	codeSelectors(c, &s.RemoteTS)
	c.flag(&s.Encap)
	c.addrPort(&s.Local)
	c.addrPort(&s.Remote)
	c.when(&s.Created)
	c.flag(&s.Initiator)
}

func codeESPSuite(c *codec, s *suite.ESP) {
	number(c, &s.Encr)
	number(c, &s.KeyBits)
	number(c, &s.Integ)
	number(c, &s.Group)
	codeMoreKE(c, &s.AddKE)
	c.flag(&s.ESN)
}
