package lanes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// A Job is one message to authenticate.
type Job struct {
	Msg    []byte
	Suffix [4]byte // as if it stood behind Msg; Sum says how much of it counts
	Sum    [sha256.Size]byte
}

// A digest is the state of SHA-256, its words in the order in which the
// instructions want them: F E B A, H G D C.
type digest [8]uint32

// initial is the state before the first block (FIPS 180-4 section 5.3.3).
var initial = digest{
	0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667,
	0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372,
}

// put writes d as the hash that it is.
func (d *digest) put(to *[sha256.Size]byte) {
	for i, word := range [8]uint32{d[3], d[2], d[7], d[6], d[1], d[0], d[5], d[4]} {
		binary.BigEndian.PutUint32(to[4*i:], word)
	}
}

// An HMAC256 is HMAC-SHA-256 with one key (RFC 2104).
type HMAC256 struct {
	fast         bool
	inner, outer digest // the states behind the padded key

	slow hash.Hash // when not fast
	buf  [sha256.Size]byte
}

// NewHMAC256 returns the HMAC for key. One longer than 64 octets, which ESP does
// not have, costs the speed.
func NewHMAC256(key []byte) *HMAC256 { return newHMAC256(key, haveSHA()) }

func newHMAC256(key []byte, fast bool) *HMAC256 {
	if !fast || len(key) > sha256.BlockSize {
		return &HMAC256{slow: hmac.New(sha256.New, key)}
	}
	h := &HMAC256{fast: true, inner: initial, outer: initial}
	var ipad, opad [sha256.BlockSize]byte
	copy(ipad[:], key)
	copy(opad[:], key)
	for i := range ipad {
		ipad[i] ^= 0x36
		opad[i] ^= 0x5c
	}
	hash2(&h.inner, &h.outer, &ipad[0], &opad[0], 1)
	clear(ipad[:])
	clear(opad[:])
	return h
}

// Sum fills in the sum of each job, over Msg and the first suffix octets of
// Suffix.
func (h *HMAC256) Sum(jobs []Job, suffix int) {
	if h.fast {
		h.sumLanes(jobs, suffix)
		return
	}
	for i := range jobs {
		h.slow.Reset()
		h.slow.Write(jobs[i].Msg)
		copy(h.buf[:], jobs[i].Suffix[:])
		h.slow.Write(h.buf[:suffix])
		copy(jobs[i].Sum[:], h.slow.Sum(h.buf[:0]))
	}
}

// The stages of a job.
const (
	idle  = iota
	body  // the whole blocks of Msg
	tail  // what is left of Msg, the suffix and the padding
	outer // the second hash
)

// A lane is a place for a job in work. What its stage has to hash is Msg, or
// buf after body; of that, the octets from at to end are left.
type lane struct {
	state   digest
	stage   int
	job     int
	at, end int
	buf     [2 * sha256.BlockSize]byte
}

// sumLanes keeps both lanes busy: whenever one has finished a stage it begins
// the next, or the first one of the next job.
func (h *HMAC256) sumLanes(jobs []Job, suffix int) {
	var lanes [2]lane
	var spare digest
	a, b := &lanes[0], &lanes[1]
	next := 0
	for {
		next = h.advance(a, jobs, next, suffix)
		next = h.advance(b, jobs, next, suffix)
		if a.stage == idle {
			a, b = b, a
		}
		if a.stage == idle {
			return
		}
		n, state, from := a.blocks(), &spare, a.from(jobs)
		if b.stage != idle {
			n, state, from = min(n, b.blocks()), &b.state, b.from(jobs)
		}
		// A lane with nothing to do costs no time: it hashes, for nothing, what
		// the other does.
		hash2(&a.state, state, a.from(jobs), from, n)
		a.at += n * sha256.BlockSize
		b.at += n * sha256.BlockSize
	}
}

func (l *lane) blocks() int { return (l.end - l.at) / sha256.BlockSize }

// from is where the octets stand that l has to hash.
func (l *lane) from(jobs []Job) *byte {
	if l.stage == body {
		return &jobs[l.job].Msg[l.at]
	}
	return &l.buf[l.at]
}

// advance takes l on until it has blocks to hash or there is no job left. next
// is the job to begin next; that is returned.
func (h *HMAC256) advance(l *lane, jobs []Job, next, suffix int) int {
	for l.stage == idle || l.at == l.end {
		switch l.stage {
		case idle:
			if next == len(jobs) {
				return next
			}
			l.job = next
			next++
			l.stage, l.state = body, h.inner
			l.at, l.end = 0, len(jobs[l.job].Msg)&^(sha256.BlockSize-1)
		case body:
			l.stage = tail
			l.pad(&jobs[l.job], suffix)
		case tail:
			l.stage = outer
			l.state.put((*[sha256.Size]byte)(l.buf[:]))
			l.state = h.outer
			l.finish(sha256.Size, 0)
		case outer:
			l.stage = idle
			l.state.put(&jobs[l.job].Sum)
		}
	}
	return next
}

// pad prepares the stage tail, in which l.end octets of j are hashed already.
func (l *lane) pad(j *Job, suffix int) {
	n := copy(l.buf[:], j.Msg[l.end:])
	n += copy(l.buf[n:], j.Suffix[:suffix])
	l.finish(n, l.end)
}

// finish puts the padding behind the first n octets of buf: a one, zeros, and
// how many bits were hashed, with the padded key and before octets before these
// (FIPS 180-4 section 5.1.1).
func (l *lane) finish(n, before int) {
	l.at, l.end = 0, sha256.BlockSize
	if n > sha256.BlockSize-9 {
		l.end = 2 * sha256.BlockSize
	}
	l.buf[n] = 0x80
	clear(l.buf[n+1 : l.end-8])
	binary.BigEndian.PutUint64(l.buf[l.end-8:], uint64(sha256.BlockSize+before+n)*8)
}
