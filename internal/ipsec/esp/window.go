package esp

import "math"

const (
	// MinWindow and MaxWindow bound the replay window, in packets (vpn §2.1,
	// ReplayWindowSize); DefaultWindow is what 0 means.
	MinWindow     = 64
	MaxWindow     = 2048
	DefaultWindow = 1024
)

// windowBits is the size of the bitmap: a power of two that exceeds MaxWindow
// by at least one word, so that a word is emptied before it is needed again.
const windowBits = 4096

// A window is the anti-replay window of one SA (RFC 4303 section 3.4.3 and
// appendix A2): which of the size sequence numbers up to top were accepted.
type window struct {
	top  uint64 // the highest number accepted
	size uint64
	esn  bool
	seen [windowBits / 64]uint64
}

// sequence completes the 32 bits of a packet to the sequence number it most
// likely has (RFC 4303 appendix A2.2). ok is false when that would lie before
// the first packet.
func (w *window) sequence(low uint32) (seq uint64, ok bool) {
	if !w.esn {
		return uint64(low), true
	}
	high, topLow := w.top>>32, uint32(w.top)
	bottom := topLow - uint32(w.size) + 1 // modulo 1<<32, as in the appendix
	if uint64(topLow) >= w.size-1 {       // case A: the window lies in one subspace
		if low < bottom {
			if high == math.MaxUint32 {
				return 0, false
			}
			high++
		}
	} else if low >= bottom { // case B: it spans two
		if high == 0 {
			return 0, false
		}
		high--
	}
	return high<<32 | uint64(low), true
}

// fresh reports whether seq may be accepted: not seen and not left of the
// window. It changes nothing, for the packet is not authentic yet.
func (w *window) fresh(seq uint64) bool {
	switch {
	case seq == 0: // the first packet of an SA has 1
		return false
	case seq > w.top:
		return true
	case w.top-seq >= w.size:
		return false
	}
	return w.seen[seq/64%uint64(len(w.seen))]&(1<<(seq%64)) == 0
}

// accept marks seq, whose packet is authentic, and moves the window to it if
// that is to the right.
func (w *window) accept(seq uint64) {
	words := uint64(len(w.seen))
	if seq > w.top {
		from, to := w.top/64, seq/64
		if to-from > words {
			from = to - words
		}
		for i := from + 1; i <= to; i++ {
			w.seen[i%words] = 0
		}
		w.top = seq
	}
	w.seen[seq/64%words] |= 1 << (seq % 64)
}

// begin makes the window one that has seen every number up to top.
func (w *window) begin(top uint64) {
	w.top = top
	for i := range w.seen {
		w.seen[i] = math.MaxUint64
	}
	// Of the word that top is in, what lies right of it is still to come.
	w.seen[top/64%uint64(len(w.seen))] = math.MaxUint64 >> (63 - top%64)
}
