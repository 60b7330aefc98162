package ikev2

import (
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// optional codes whether there is a v, and v with code if so.
func optional[T any](c *codec, v *T, code func(*T)) *T {
	there := v != nil
	if c.flag(&there); !there || c.err != nil {
		return v
	}
	if c.reading {
		v = new(T)
	}
	code(v)
	return v
}

// code codes an IKE_FOLLOWUP_KE with the exchange that it follows.
func (k *followUp) code(c *codec, g graph) {
	codeGroups(c, &k.groups)
	c.octets(&k.link)
	k.x = k.key.code(c, k.x)
	_, isIKE := k.of.(*rekeyIKE)
	if c.flag(&isIKE); c.reading {
		k.of = followed(&createChild{})
		if isIKE {
			k.of = &rekeyIKE{}
		}
	}
	switch of := k.of.(type) {
	case *createChild:
		if of.code(c, g); of.plan == nil {
			c.fail("IKE_FOLLOWUP_KE that follows nothing")
			of.plan = &childPlan{}
		}
	case *rekeyIKE:
		if of.code(c, g); of.next == nil {
			c.fail("IKE_FOLLOWUP_KE that follows nothing")
			of.next = goneSA()
		}
	}
	if len(k.groups) == 0 || k.groups[0] != k.key.group {
		c.fail("IKE_FOLLOWUP_KE without its key exchange")
	}
}

// code codes what the peer has begun.
func (p *pending) code(c *codec, g graph) {
	c.octets(&p.link)
	codeGroups(c, &p.groups)
	c.when(&p.until)
	c.octets(&p.lowest)
	p.child = optional(c, p.child, func(x *childPlan) { x.code(c) })
	ref(c, g.children, &p.old, goneChild())
	p.next = optional(c, p.next, func(s *sa) { s.codeNext(c) })
	codeKeyInput(c, &p.in)
	if (p.child == nil) == (p.next == nil) || len(p.groups) == 0 {
		c.fail("an exchange of the peer's that is not followed up, for nothing")
	}
}

// codeNext codes an IKE SA that has no keys yet.
func (s *sa) codeNext(c *codec) {
	c.flag(&s.initiator)
	number(c, &s.spiI)
	number(c, &s.spiR)
	codeIKESuite(c, &s.suite)
	if err := s.suite.Validate(); err != nil {
		c.fail("IKE SA that is being made: %v", err)
	}
}

func (p *childPlan) code(c *codec) {
	number(c, &p.spiIn)
	number(c, &p.spiOut)
	codeESPSuite(c, &p.suite)
	codeSelectors(c, &p.local)
	codeSelectors(c, &p.remote)
	codeKeyInput(c, &p.in)
	c.flag(&p.initiator)
	if err := p.suite.Validate(); err != nil {
		c.fail("CHILD SA that is being made: %v", err)
	}
}

// codeKeyInput codes what both ends have contributed so far. The SPIs are
// those of the SA that is made of it.
func codeKeyInput(c *codec, in *suite.KeyInput) {
	c.octets(&in.Ni)
	c.octets(&in.Nr)
	c.hidden(&in.Shared)
	n := c.count(len(in.More), len(suite.MoreKE{}))
	if c.reading {
		in.More = make([]secret.Secret, n)
	}
	for i := range in.More {
		c.hidden(&in.More[i])
	}
}

func codeGroups(c *codec, list *[]suite.Group) {
	n := c.count(len(*list), len(suite.MoreKE{}))
	if c.reading {
		*list = make([]suite.Group, n)
	}
	for i := range *list {
		if number(c, &(*list)[i]); !(*list)[i].Known() {
			c.fail("key exchange %d is not known", (*list)[i])
		}
	}
}
