package ikev2

import "seikan/internal/ipsec/ike/suite"

// extensions is what was negotiated on one IKE SA beyond RFC 7296, and what it
// needs to remember for that. The successor of a rekeyed SA inherits what was
// negotiated, never what is remembered.
type extensions struct {
	fragments fragmentation
	mobike    mobility
	sync      synchronization
	ppk       bool     // a post-quantum pre-shared key is part of the keys (RFC 8784)
	resumed   bool     // it takes up a lost session again (RFC 5723)
	pending   *pending // what the peer has begun and not followed up yet
}

// inherited is what the successor of an SA with e begins with.
func (e *extensions) inherited() extensions {
	was := e.mobike
	was.mapped = nil // the hash covers the SPIs
	return extensions{fragments: fragmentation{on: e.fragments.on}, mobike: was, sync: synchronization{on: e.sync.on}, ppk: e.ppk, resumed: e.resumed}
}

// A marks says which extensions status names.
type marks struct{ fragments, mobike, sync, ppk, resumed bool }

func (e *extensions) marks() marks {
	return marks{e.fragments.on, e.mobike.on, e.sync.on, e.ppk, e.resumed}
}

// names are the names of e and of the additional key exchanges of its suite.
func (e marks) names(of suite.IKE) []string {
	var out []string
	if e.fragments {
		out = append(out, "fragmentation")
	}
	if e.mobike {
		out = append(out, "MOBIKE")
	}
	if e.sync {
		out = append(out, "message-id-sync")
	}
	if e.ppk {
		out = append(out, "PPK")
	}
	if e.resumed {
		out = append(out, "resumed")
	}
	for _, g := range of.AddKE.List() {
		out = append(out, g.String())
	}
	return out
}
