package limit

import (
	"maps"
	"slices"
	"sync/atomic"

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

	lowest highest // with Options.Lowest: its series, the one with the highest hash first

	// What finer budgets of rules with a reserve may still take: it is kept free for them.
	held    int
	granted int
	parents []*budget

	// Of a rule on values: by the hash of the attribute's name, and the same to read without the lock.
	values map[uint64]*values
	list   atomic.Pointer[[]*values]
	demand *demand // series that were turned away
	folded int64
	state  State
}

// values are those of one attribute.
type values struct {
	key  uint64
	name string
	set  series.Set
}

// maxKeys bounds the attributes of one budget whose values are counted; series with more are up to the rules on series.
const maxKeys = 128

func (b *budget) addKey(a *Attr) *values {
	v := &values{key: a.KeyHash, name: a.Key}
	b.values[a.KeyHash] = v
	b.publish()
	return v
}

// dropValues forgets all values, and tells how many bytes that were.
func (b *budget) dropValues() (bytes int) {
	for _, v := range b.values {
		bytes += v.bytes()
	}
	b.values = nil
	b.list.Store(nil)
	return bytes
}

func (v *values) bytes() int { return budgetBytes + len(v.name) + v.set.Bytes() }

// publish lets readers without the lock see which attributes there are.
func (b *budget) publish() {
	list := slices.Collect(maps.Values(b.values))
	b.list.Store(&list)
}

// see notes, without the lock, that values are in use; false when one is not known.
func (b *budget) see(attrs []Attr, now series.Step) (known bool) {
	list := b.list.Load()
	if list == nil {
		return false
	}
	known = true
	for i := range attrs {
		if a := &attrs[i]; !a.Protected && !seeOne(*list, a, now) {
			known = false
		}
	}
	return known
}

func seeOne(list []*values, a *Attr, now series.Step) bool {
	for _, v := range list {
		if v.key == a.KeyHash {
			found, _, _ := v.set.Hit(a.Hash, now)
			return found
		}
	}
	return false
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
)

func (b *budget) bytes() int {
	n := budgetBytes + entryBytes*cap(b.lowest)
	for _, v := range b.values {
		n += v.bytes()
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
