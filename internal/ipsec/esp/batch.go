package esp

import (
	"encoding/binary"

	"seikan/internal/ipsec/esp/lanes"
)

// group is how many packets go through the algorithms together; a longer batch
// is several groups.
const group = 16

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
// ErrExhausted, ErrRoom or ErrNotIP and is about the next one. The packets must
// not overlap.
func (o *Outbound) SealBatch(pkts [][]byte, lens []int) (sealed int, err error) {
	for sealed < len(pkts) {
		to := min(sealed+group, len(pkts))
		n, err := o.sealGroup(pkts[sealed:to], lens[sealed:to])
		sealed += n
		if err != nil {
			return sealed, err
		}
	}
	return sealed, nil
}

// sealGroup is SealBatch for up to group packets.
func (o *Outbound) sealGroup(pkts [][]byte, lens []int) (sealed int, err error) {
	last := o.last.Load()
	for sealed < len(pkts) && err == nil {
		if err = o.frame(pkts[sealed], lens[sealed], last+uint64(sealed)); err == nil {
			sealed++
		}
	}
	if sealed == 0 {
		return 0, err
	}
	// The numbers are spent before a packet that has one is complete.
	o.last.Store(last + uint64(sealed))
	if o.ledger != nil {
		o.ledger.Sent.Store(last + uint64(sealed))
	}
	if o.aead != nil {
		o.sealAEAD(pkts[:sealed], last)
	} else {
		o.sealCBC(pkts[:sealed], last)
	}
	return sealed, err
}

// frame puts header and trailer around the n octets at Prefix, or says why pkt
// cannot be sealed as the one after number last.
func (o *Outbound) frame(pkt []byte, n int, last uint64) error {
	if n < 0 || len(pkt) != o.SealedLen(n) {
		return ErrRoom
	}
	next, ok := nextHeader(pkt[o.Prefix():])
	if !ok || n == 0 {
		return ErrNotIP
	}
	// "[...] the transmitter ... MUST NOT send a packet on an SA if doing so
	// would cause the sequence number to cycle."
	// https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
	if last == o.max {
		return ErrExhausted
	}
	binary.BigEndian.PutUint32(pkt, o.spi)
	binary.BigEndian.PutUint32(pkt[4:], uint32(last+1))
	end := len(pkt) - o.icv
	pad := pkt[o.Prefix()+n : end-espTrailer]
	for i := range pad {
		pad[i] = byte(i + 1)
	}
	pkt[end-2], pkt[end-1] = byte(len(pad)), next
	return nil
}

// sealAEAD seals framed packets whose numbers follow last.
func (o *Outbound) sealAEAD(pkts [][]byte, last uint64) {
	for i, pkt := range pkts {
		seq := last + 1 + uint64(i)
		body := pkt[o.Prefix() : len(pkt)-o.icv]
		// A counter never repeats under one key, which is all that GCM asks of
		// an IV (RFC 4106 section 3.1).
		binary.BigEndian.PutUint64(pkt[espHeader:], seq)
		copy(o.nonce[saltLen:], pkt[espHeader:o.Prefix()])
		o.aead.Seal(body[:0], o.nonce[:], body, o.gcmAAD(pkt, seq))
	}
}

// sealCBC seals framed packets whose numbers follow last.
func (o *Outbound) sealCBC(pkts [][]byte, last uint64) {
	var msgs [group][]byte
	var jobs [group]lanes.Job
	for i, pkt := range pkts {
		o.randomIV(pkt[espHeader:o.Prefix()])
		msgs[i] = pkt[espHeader : len(pkt)-o.icv]
		o.toSign(&jobs[i], pkt, last+1+uint64(i))
	}
	o.cbc.Encrypt(msgs[:len(pkts)])
	o.sign(jobs[:len(pkts)])
	for i, pkt := range pkts {
		copy(pkt[len(pkt)-o.icv:], jobs[i].Sum[:])
	}
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
	defer in.note(in.window.top)
	if in.cbc == nil {
		for i, pkt := range pkts {
			pkts[i], errs[i] = in.open(nil, pkt)
		}
		return
	}
	for len(pkts) > 0 {
		n := min(group, len(pkts))
		in.openCBC(pkts[:n], errs[:n])
		pkts, errs = pkts[n:], errs[n:]
	}
}

// openCBC opens up to group packets of AES-CBC. The ICVs of those that may be
// admitted are computed together; then each is admitted in its turn, for one
// before it may have had its number or moved the window.
func (in *Inbound) openCBC(pkts [][]byte, errs []error) {
	var jobs [group]lanes.Job
	var as [group]uint64 // the number with which an ICV was computed; 0 if it was not
	n := 0
	for i, pkt := range pkts {
		if seq, err := in.check(pkt); err == nil {
			in.toSign(&jobs[n], pkt, seq)
			as[i] = seq
			n++
		}
	}
	in.sign(jobs[:n])
	n = 0
	for i, pkt := range pkts {
		if as[i] == 0 { // if that is still so, it costs no ICV
			pkts[i], errs[i] = in.open(nil, pkt)
			continue
		}
		pkts[i], errs[i] = in.openSigned(pkt, &jobs[n], as[i])
		n++
	}
}

// openSigned is open for pkt, whose ICV is in j if its number is still the one
// with which that was computed. With ESN, the window may have moved so far that
// it is another.
func (in *Inbound) openSigned(pkt []byte, j *lanes.Job, as uint64) ([]byte, error) {
	seq, err := in.admit(pkt)
	if err != nil {
		return nil, err
	}
	if seq != as {
		return in.open(nil, pkt)
	}
	plain, ok := in.decryptSigned(pkt[espHeader+in.iv:], pkt, j)
	return in.deliver(plain, ok, seq)
}
