package ikev2

import (
	"bytes"
	"net/netip"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// without drops the payloads of the given kinds.
func without(kinds ...wire.Kind) func(*rogue, *wire.Message) {
	return func(_ *rogue, m *wire.Message) {
		m.Payloads = slices.DeleteFunc(m.Payloads, func(p wire.Payload) bool { return slices.Contains(kinds, p.Kind()) })
	}
}

// with changes the first payload of type P.
func with[P wire.Payload](change func(r *rogue, p P)) func(*rogue, *wire.Message) {
	return func(r *rogue, m *wire.Message) {
		if p, ok := wire.Find[P](m.Payloads); ok {
			change(r, p)
		}
	}
}

// rawly changes the octets of the first payload of a kind.
func rawly(kind wire.Kind, change func(b []byte) []byte) func(*rogue, *wire.Message) {
	return func(_ *rogue, m *wire.Message) {
		for i, p := range m.Payloads {
			if p.Kind() == kind {
				_, b := wire.AppendChain(nil, []wire.Payload{p})
				m.Payloads[i] = &wire.Raw{Type: kind, Data: change(b[4:])}
				return
			}
		}
	}
}

// adding adds transforms to every proposal.
func adding(more ...wire.Transform) func(*rogue, *wire.Message) {
	return with(func(_ *rogue, p *wire.SA) {
		for i := range p.Proposals {
			p.Proposals[i].Transforms = append(p.Proposals[i].Transforms, more...)
		}
	})
}

// keyLength gives every cipher another key length; 0 is to leave it out.
func keyLength(bits uint16) func(*rogue, *wire.Message) {
	return with(func(_ *rogue, p *wire.SA) {
		for i := range p.Proposals {
			for j := range p.Proposals[i].Transforms {
				if x := &p.Proposals[i].Transforms[j]; x.Type == wire.TypeEncr {
					x.KeyBits = bits
				}
			}
		}
	})
}

// keyLengthOctets puts other octets in the place of the key length attribute.
func keyLengthOctets(attr ...byte) func(*rogue, *wire.Message) {
	return rawly(wire.KindSA, func(b []byte) []byte {
		if at := bytes.Index(b, []byte{0x80, 14}); at >= 0 {
			copy(b[at:], attr)
		}
		return b
	})
}

// retell narrows or widens both TS payloads.
func retell(prefix ike.Selector) func(*rogue, *wire.Message) {
	return func(_ *rogue, m *wire.Message) {
		for _, p := range m.Payloads {
			if ts, ok := p.(*wire.TS); ok {
				ts.Selectors = []ike.Selector{prefix}
			}
		}
	}
}

// ke gives the KE payload other contents.
func ke(change func(b []byte) []byte) func(*rogue, *wire.Message) {
	return with(func(_ *rogue, p *wire.KE) { p.Public = change(slices.Clone(p.Public)) })
}

func zeroed(b []byte) []byte { return make([]byte, len(b)) }

func emptied([]byte) []byte { return nil }

// alterations are what scripts can tell a rogue to do to its next message of a
// kind.
func alterations() map[string]alteration {
	out := map[string]alteration{
		"omit-child-request":  {exchange: wire.IKEAuth, change: without(wire.KindSA, wire.KindTSi, wire.KindTSr)},
		"omit-child-response": {exchange: wire.IKEAuth, response: true, change: without(wire.KindSA, wire.KindTSi, wire.KindTSr)},
		"reserved": {exchange: wire.IKESAInit, octets: func(b []byte) {
			b[19] |= 0xc7              // flags that mean nothing
			b[ike.HeaderLen+1] |= 0x7f // and what is reserved in a payload
		}},
		"spi-i-zero":          {exchange: wire.IKESAInit, octets: func(b []byte) { clear(b[:8]) }},
		"spi-r-zero":          {exchange: wire.IKESAInit, response: true, octets: func(b []byte) { clear(b[8:16]) }},
		"spi-i-zero-response": {exchange: wire.IKESAInit, response: true, octets: func(b []byte) { clear(b[:8]) }},
		"spi-r-zero-auth":     {exchange: wire.IKEAuth, change: func(_ *rogue, m *wire.Message) { m.Header.SPIr = 0 }},
		"ts-none":             {exchange: wire.IKEAuth, change: rawly(wire.KindTSi, func(b []byte) []byte { b[0] = 0; return b })},
		"ts-many":             {exchange: wire.IKEAuth, change: rawly(wire.KindTSi, func(b []byte) []byte { b[0] = 9; return b })},
		"ts-none-response":    {exchange: wire.IKEAuth, response: true, change: rawly(wire.KindTSi, func(b []byte) []byte { b[0] = 0; return b })},
		"ts-many-response":    {exchange: wire.IKEAuth, response: true, change: rawly(wire.KindTSi, func(b []byte) []byte { b[0] = 9; return b })},
		"wrong-delete":        {exchange: wire.Informational, response: true, change: with(deleteUsed)},
		"wrong-delete-none":   {exchange: wire.Informational, response: true, change: with(func(_ *rogue, p *wire.Delete) { p.SPIs = []uint32{0xdeadbeef} })},
	}
	for name, change := range map[string]func(*rogue, *wire.Message){
		"ke-zero": ke(zeroed), "ke-empty": ke(emptied), "ke-none": without(wire.KindKE),
		"key-length-none": keyLength(0), "key-length-odd": keyLength(99), "key-length-zero": keyLengthOctets(0x80, 14, 0, 0),
		"key-length-unknown": keyLengthOctets(0x80, 77), "key-length-long": keyLengthOctets(0, 14, 0xff, 0xff),
		"dh-none": adding(wire.Transform{Type: wire.TypeDH}), "integ-none": adding(wire.Transform{Type: wire.TypeInteg}),
		"transform-type": adding(wire.Transform{Type: 200, ID: 1}), "transform-id": adding(wire.Transform{Type: wire.TypeEncr, ID: 9999, KeyBits: 128}),
	} {
		out[name] = alteration{exchange: wire.IKESAInit, change: change}
		out[name+"-response"] = alteration{exchange: wire.IKESAInit, response: true, change: change}
		out[name+"-auth"] = alteration{exchange: wire.IKEAuth, change: change}
		out[name+"-rekey"] = alteration{exchange: wire.CreateChildSA, change: change}
		out[name+"-rekey-response"] = alteration{exchange: wire.CreateChildSA, response: true, change: change}
	}
	for name, change := range map[string]func(p *wire.Notify){
		"rekey-protocol-none": func(p *wire.Notify) { p.Protocol, p.SPI = 0, nil },
		"rekey-protocol-ah":   func(p *wire.Notify) { p.Protocol = 2 },
		"rekey-protocol-99":   func(p *wire.Notify) { p.Protocol = 99 },
		"rekey-spi-zero":      func(p *wire.Notify) { clear(p.SPI) },
	} {
		out[name] = alteration{exchange: wire.CreateChildSA, change: with(func(_ *rogue, p *wire.Notify) { change(p) })}
	}
	for name, prefix := range map[string]string{"ts-narrow": "10.1.0.0/16", "ts-wide": "0.0.0.0/0", "ts-other": "172.16.0.0/12"} {
		change := retell(ike.FromPrefix(netip.MustParsePrefix(prefix)))
		out[name] = alteration{exchange: wire.CreateChildSA, change: change}
		out[name+"-response"] = alteration{exchange: wire.CreateChildSA, response: true, change: change}
	}
	return out
}

// deleteUsed names the CHILD SA in use, or its successor, where another is
// deleted.
func deleteUsed(r *rogue, p *wire.Delete) {
	if c := r.used(); c != nil {
		p.SPIs = []uint32{c.SA.SPIIn}
	}
}
