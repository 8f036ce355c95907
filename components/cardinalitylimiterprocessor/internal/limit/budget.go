package limit

import (
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// budget is what a rule allows one combination of what it is kept per.
type budget struct {
	rule  int
	key   uint64
	per   []string // the combination, in the order of the rule's Per
	leafs int

	active int // series; of an observing rule all, of one that limits never more than Max, except while learning
	within int // of an observing rule: those that it would have let pass

	// What finer budgets of rules with a reserve may still take: it is kept free for them.
	held    int
	granted int
	parents []*budget

	values map[uint64]*values // of a rule on values, by the attribute's name
	demand *series.Sketch     // series that were turned away
	folded int64
	state  State
}

// values are those of one attribute.
type values struct {
	name string
	set  series.Set
}

// State of a budget, for logs.
type State uint8

const (
	// Calm has room.
	Calm State = iota
	// Warned is more than 80 % full.
	Warned
	// Limited turned a series away.
	Limited
)

func (s State) String() string { return [...]string{"ok", "warn", "limited"}[s] }

const (
	budgetBytes = 256
	sketchBytes = 1024
)

func (b *budget) bytes() int {
	n := budgetBytes
	for _, v := range b.values {
		n += budgetBytes + v.set.Bytes()
	}
	return n
}

// inUse is how much of the limit is taken: series, or the values of the attribute that has most.
func (b *budget) inUse() int {
	n := b.active
	for _, v := range b.values {
		n = max(n, v.set.Len())
	}
	return n
}

// room tells whether one more series fits.
func (b *budget) room(limit int, covered bool) bool {
	if covered {
		return b.active < limit
	}
	return b.active+b.held < limit
}

// covered tells whether a finer budget of the leaf has kept room in this one.
func covered(b *budget, leaf *Leaf) bool {
	for _, child := range leaf.budgets {
		if child.active < child.granted && slices.Contains(child.parents, b) {
			return true
		}
	}
	return false
}

// charge counts n more series (fewer, when it is negative) in one budget, and hands what it had kept free over to them.
func (b *budget) charge(n int) {
	before := max(0, b.granted-b.active)
	b.active += n
	if free := max(0, b.granted-b.active); free != before {
		for _, parent := range b.parents {
			parent.held += free - before
		}
	}
}

// grant keeps the rule's reserve free in the coarser budgets, as far as they have it.
func (b *budget) grant(reserve int, parents []*budget, limits func(*budget) int) {
	b.granted, b.parents = reserve, parents
	for _, parent := range parents {
		b.granted = max(0, min(b.granted, limits(parent)-parent.active-parent.held))
	}
	if free := max(0, b.granted-b.active); free > 0 {
		for _, parent := range parents {
			parent.held += free
		}
	}
}

// end gives back what it had kept free.
func (b *budget) end() {
	if free := max(0, b.granted-b.active); free > 0 {
		for _, parent := range b.parents {
			parent.held -= free
		}
	}
}
