package ikev2

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

// extensions are the names of what was negotiated on s.
func (s *sa) extensions() []string {
	out := s.ext.names()
	for _, g := range s.suite.AddKE.List() {
		out = append(out, g.String())
	}
	return out
}

// names are those that status shows.
func (e *extensions) names() []string {
	var out []string
	if e.fragments.on {
		out = append(out, "fragmentation")
	}
	if e.mobike.on {
		out = append(out, "MOBIKE")
	}
	if e.sync.on {
		out = append(out, "message-id-sync")
	}
	if e.ppk {
		out = append(out, "PPK")
	}
	if e.resumed {
		out = append(out, "resumed")
	}
	return out
}
