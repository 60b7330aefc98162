package dataplane

import (
	"maps"
	"sync/atomic"
)

// spiShards is how many maps an SPI table is made of: with ten thousand tunnels
// a change copies some forty entries instead of all.
const spiShards = 256

// A spiTable finds an SA by its inbound SPI. Any goroutine may look up, without
// a lock; who changes it holds engine.mu. SPIs are our own choice and random,
// so that the lowest octet spreads them.
type spiTable struct {
	shards [spiShards]atomic.Pointer[map[uint32]*inboundSA]
}

// get is the SA of spi, or nil.
func (s *spiTable) get(spi uint32) *inboundSA {
	if m := s.shards[spi%spiShards].Load(); m != nil {
		return (*m)[spi]
	}
	return nil
}

// setLocked makes sa the SA of spi; nil removes it. The caller holds engine.mu.
func (s *spiTable) setLocked(spi uint32, sa *inboundSA) {
	shard := &s.shards[spi%spiShards]
	next := map[uint32]*inboundSA{}
	if m := shard.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if sa != nil {
		next[spi] = sa
	} else {
		delete(next, spi)
	}
	if len(next) == 0 {
		shard.Store(nil)
		return
	}
	shard.Store(&next)
}

// size is how many SAs there are.
func (s *spiTable) size() (n int) {
	for i := range s.shards {
		if m := s.shards[i].Load(); m != nil {
			n += len(*m)
		}
	}
	return n
}
