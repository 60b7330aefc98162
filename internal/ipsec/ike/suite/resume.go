package suite

// NextIV is the IV of the next message where IVs count messages, and 0 where
// they are random.
func (p *Protector) NextIV() uint64 { return p.next }

// SkipTo lets the counted IVs go on at n, for a Protector whose key was in use
// before. One that is further already stays where it is: an IV is never used
// twice.
func (p *Protector) SkipTo(n uint64) { p.next = max(p.next, n) }
