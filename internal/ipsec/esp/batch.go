package esp

// Prefix is how many octets stand before the IP packet in a sealed one: ESP
// header and IV.
func (o *Outbound) Prefix() int { return espHeader + o.iv }

// SealedLen is the length of the ESP packet that an IP packet of n octets
// becomes.
func (o *Outbound) SealedLen(n int) int {
	return espHeader + o.iv + n + o.padding(n) + espTrailer + o.icv
}

// SealBatch seals packets in place, in order. The IP packet i, of lens[i]
// octets, stands at Prefix in pkts[i], whose length is SealedLen(lens[i]). It
// returns how many packets were sealed; when those are not all, the error is
// ErrExhausted, ErrRoom or ErrNotIP and is about the next one.
func (o *Outbound) SealBatch(pkts [][]byte, lens []int) (sealed int, err error) {
	for i, pkt := range pkts {
		if len(pkt) != o.SealedLen(lens[i]) {
			return i, ErrRoom
		}
		next, ok := nextHeader(pkt[o.Prefix():])
		if !ok || lens[i] == 0 {
			return i, ErrNotIP
		}
		if err := o.seal(pkt, lens[i], next); err != nil {
			return i, err
		}
	}
	return len(pkts), nil
}

// nextHeader is what the ESP trailer says of an IP packet.
func nextHeader(pkt []byte) (next byte, ok bool) {
	switch pkt[0] >> 4 {
	case 4:
		return protoIPv4, true
	case 6:
		return protoIPv6, true
	}
	return 0, false
}

// OpenBatch opens packets of the SA in place, in order, as Open does with each:
// pkts[i] becomes the IP packet inside, or errs[i] says why there is none. Both
// are as long.
func (in *Inbound) OpenBatch(pkts [][]byte, errs []error) {
	for i, pkt := range pkts {
		pkts[i], errs[i] = in.Open(nil, pkt)
	}
}
