package limit

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// entry is a series of a budget, by the key that its leaf's set has of it. That key's order is the order of admission with
// Options.Lowest: whatever comes first, those with the lowest keys stay, on every replica that hashes with the same seed.
type entry struct {
	key  uint64
	leaf *Leaf
}

const entryBytes = 16

// live tells whether the series is still admitted.
func (e entry) live() bool { return !e.leaf.dead && e.leaf.Series.HasKey(e.key) }

// highest is a heap. Entries of series that have gone stay until they come up, or until they are too many.
type highest []entry

func (h highest) Len() int           { return len(h) }
func (h highest) Less(i, j int) bool { return h[i].key > h[j].key }
func (h highest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *highest) Push(x any)        { *h = append(*h, x.(entry)) }
func (h *highest) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// top is the live entry with the highest key.
func (h *highest) top() (entry, bool) {
	for len(*h) > 0 {
		if e := (*h)[0]; e.live() {
			return e, true
		}
		heap.Pop(h)
	}
	return entry{}, false
}

// add puts an entry in. grown is how many bytes more the heap holds.
func (h *highest) add(e entry, live int) (grown int) {
	grown = h.clean(live)
	before := cap(*h)
	heap.Push(h, e)
	return grown + entryBytes*(cap(*h)-before)
}

// clean leaves one entry of each series that is there, when more than about half of them may have gone.
func (h *highest) clean(live int) (grown int) {
	if len(*h) <= 2*live+64 {
		return 0
	}
	before := cap(*h)
	kept := slices.DeleteFunc(*h, func(e entry) bool { return !e.live() })
	slices.SortFunc(kept, func(a, b entry) int { return cmp.Compare(b.key, a.key) })
	kept = slices.CompactFunc(kept, func(a, b entry) bool { return a == b })
	*h = slices.Clone(kept)
	heap.Init(h)
	return entryBytes * (cap(*h) - before)
}

// rank remembers a series in the order of its budgets.
func (l *Limiter) rank(leaf *Leaf, key uint64) {
	if !l.opts.Lowest {
		return
	}
	for _, b := range leaf.budgets {
		if !l.rules[b.rule].Observe {
			l.bytes += b.lowest.add(entry{key, leaf}, b.active)
		}
	}
}

// rankAll does so for all series of a leaf, and has its finest budgets asked first: who leaves one of these leaves the coarser ones, too.
func (l *Limiter) rankAll(leaf *Leaf) {
	if !l.opts.Lowest {
		return
	}
	slices.SortStableFunc(leaf.budgets, func(a, b *budget) int { return cmp.Compare(len(b.per), len(a.per)) })
	for word := range leaf.Series.Words() {
		l.rank(leaf, series.KeyOfWord(word))
	}
}

// makesWay finds who has to leave a full budget for a series with a lower key: nobody more, if one that leaves another budget is in
// this one, too. It is false when the series has to stay out.
func (b *budget) makesWay(key uint64, leaving []entry) ([]entry, bool) {
	if slices.ContainsFunc(leaving, func(e entry) bool { return slices.Contains(e.leaf.budgets, b) }) {
		return leaving, true
	}
	e, ok := b.lowest.top()
	if !ok || e.key <= key {
		return leaving, false
	}
	return append(leaving, e), true
}

// leave takes a series out that has to make way. It is folded from its next point on.
func (l *Limiter) leave(e entry, now series.Step) {
	found, marked := e.leaf.Series.RemoveKey(e.key)
	if !found {
		return
	}
	l.charge(e.leaf, -1, marked)
	before := e.leaf.moved.Bytes()
	if !e.leaf.moved.HasKey(e.key) {
		e.leaf.moved.AddKey(e.key, now)
	}
	l.bytes += e.leaf.moved.Bytes() - before
}
