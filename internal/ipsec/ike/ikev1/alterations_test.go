package ikev1

import (
	"net/netip"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// keyLengthAttr is the type of the key length attribute: in phase 1 (RFC 2409
// appendix A), and in phase 2 (RFC 2407 section 4.5).
const (
	keyLengthAttr1 = 14
	keyLengthAttr2 = 6
)

// attribute changes the attributes of a type in every transform; nil drops
// them.
func attribute(kind uint16, change func(a wire.Attribute) []wire.Attribute) func(*rogue, []wire.Payload) []wire.Payload {
	return func(_ *rogue, list []wire.Payload) []wire.Payload {
		p, ok := wire.Find[*wire.SA](list)
		if !ok {
			return list
		}
		for i := range p.Proposals {
			for j := range p.Proposals[i].Transforms {
				x := &p.Proposals[i].Transforms[j]
				var out []wire.Attribute
				for _, a := range x.Attributes {
					if a.Type == kind {
						out = append(out, change(a)...)
					} else {
						out = append(out, a)
					}
				}
				x.Attributes = out
			}
		}
		return list
	}
}

// ke gives the KE payload other contents; nil drops it.
func ke(change func(b []byte) []byte) func(*rogue, []wire.Payload) []wire.Payload {
	return func(_ *rogue, list []wire.Payload) []wire.Payload {
		return slices.DeleteFunc(list, func(p wire.Payload) bool {
			k, ok := p.(*wire.KE)
			if ok && change != nil {
				k.Public = change(k.Public)
			}
			return ok && change == nil
		})
	}
}

// identities keeps as many ID payloads; more than there are repeat the first.
func identities(n int) func(*rogue, []wire.Payload) []wire.Payload {
	return func(_ *rogue, list []wire.Payload) []wire.Payload {
		ids := wire.FindAll[*wire.ID](list)
		list = slices.DeleteFunc(list, func(p wire.Payload) bool { _, ok := p.(*wire.ID); return ok })
		for i := range n {
			list = append(list, ids[i%len(ids)])
		}
		return list
	}
}

// named has every ID payload call its address a name.
func named(r *rogue, list []wire.Payload) []wire.Payload {
	for i, p := range list {
		if _, ok := p.(*wire.ID); ok {
			list[i] = wire.NewID(ike.Identity{Type: ike.IDFQDN, Data: r.cfg.Local.Addr().String()})
		}
	}
	return list
}

// originals adds NAT-OA payloads for n addresses.
func originals(n int) func(*rogue, []wire.Payload) []wire.Payload {
	return func(r *rogue, list []wire.Payload) []wire.Payload {
		for i := range n {
			list = append(list, &wire.NATOA{Addr: []netip.AddrPort{r.cfg.Local, r.cfg.Remote}[i%2].Addr()})
		}
		return list
	}
}

// alterations are what scripts can tell a rogue to do to its next message of a
// kind.
func alterations() map[string]alteration {
	out := map[string]alteration{
		"spi-i-zero":         {exchange: wire.MainMode, nth: 1, header: func(h *ike.Header) { h.SPIi = 0 }},
		"spi-r-zero":         {exchange: wire.MainMode, nth: 2, header: func(h *ike.Header) { h.SPIr = 0 }},
		"bad-hash-quick-1":   {exchange: wire.QuickMode, nth: 1, badHash: true},
		"bad-hash-quick-2":   {exchange: wire.QuickMode, nth: 2, badHash: true},
		"bad-hash-quick-3":   {exchange: wire.QuickMode, nth: 3, badHash: true},
		"id-none":            {exchange: wire.QuickMode, nth: 1, change: identities(0)},
		"id-one":             {exchange: wire.QuickMode, nth: 1, change: identities(1)},
		"id-three":           {exchange: wire.QuickMode, nth: 1, change: identities(3)},
		"id-none-response":   {exchange: wire.QuickMode, nth: 2, change: identities(0)},
		"id-one-response":    {exchange: wire.QuickMode, nth: 2, change: identities(1)},
		"id-three-response":  {exchange: wire.QuickMode, nth: 2, change: identities(3)},
		"id-named":           {exchange: wire.QuickMode, nth: 1, change: named},
		"nat-oa":             {exchange: wire.QuickMode, nth: 1, change: originals(2)},
		"nat-oa-response":    {exchange: wire.QuickMode, nth: 2, change: originals(2)},
		"nat-oa-many":        {exchange: wire.QuickMode, nth: 1, change: originals(9)},
		"ke-none-quick":      {exchange: wire.QuickMode, nth: 1, change: ke(nil)},
		"ke-zero-quick":      {exchange: wire.QuickMode, nth: 1, change: ke(zeroed)},
		"ke-zero-quick-resp": {exchange: wire.QuickMode, nth: 2, change: ke(zeroed)},
	}
	for name, change := range map[string]func([]byte) []byte{"ke-zero": zeroed, "ke-empty": emptied, "ke-none": nil} {
		out[name] = alteration{exchange: wire.MainMode, nth: 3, change: ke(change)}
		out[name+"-response"] = alteration{exchange: wire.MainMode, nth: 4, change: ke(change)}
	}
	for name, change := range map[string]func(a wire.Attribute) []wire.Attribute{
		"none":  func(wire.Attribute) []wire.Attribute { return nil },
		"zero":  func(a wire.Attribute) []wire.Attribute { return []wire.Attribute{wire.Basic(a.Type, 0)} },
		"odd":   func(a wire.Attribute) []wire.Attribute { return []wire.Attribute{wire.Basic(a.Type, 99)} },
		"twice": func(a wire.Attribute) []wire.Attribute { return []wire.Attribute{a, a} },
	} {
		out["key-length-"+name] = alteration{exchange: wire.MainMode, nth: 1, change: attribute(keyLengthAttr1, change)}
		out["key-length-"+name+"-response"] = alteration{exchange: wire.MainMode, nth: 2, change: attribute(keyLengthAttr1, change)}
		out["key-length-"+name+"-quick"] = alteration{exchange: wire.QuickMode, nth: 1, change: attribute(keyLengthAttr2, change)}
	}
	return out
}

func zeroed(b []byte) []byte { return make([]byte, len(b)) }

func emptied([]byte) []byte { return nil }
