package reconcile

import "container/heap"

// A schedule is a heap of items, the first due on top. Each item knows its
// place, so that its date can be moved.
type schedule[K comparable] []*item[K]

var _ heap.Interface = (*schedule[int])(nil)

// Len is part of heap.Interface.
func (s schedule[K]) Len() int { return len(s) }

// Less is part of heap.Interface.
func (s schedule[K]) Less(i, j int) bool { return s[i].at.Before(s[j].at) }

// Swap is part of heap.Interface.
func (s schedule[K]) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push is part of heap.Interface.
func (s *schedule[K]) Push(x any) {
	it := x.(*item[K])
	it.index = len(*s)
	*s = append(*s, it)
}

// Pop is part of heap.Interface.
func (s *schedule[K]) Pop() any {
	old := *s
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	it.index = -1
	return it
}
