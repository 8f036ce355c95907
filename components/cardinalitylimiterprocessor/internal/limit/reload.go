package limit

import "slices"

// Old are the leaves of rules that told places apart in another way. Their series move to new leaves when they are seen again.
type Old struct {
	Resource []string
	Scope    bool
	leaves   leafTable
}

// Old gives what is left of earlier rules; the caller computes a place's keys for Admit with their dimensions.
func (l *Limiter) Old() []*Old { return l.old }

// SetRules changes the rules. Series that were admitted stay, also where a limit is lower now: then new ones wait until enough are idle.
func (l *Limiter) SetRules(rules []Rule) {
	d := dimsOf(rules)
	if before := l.dims.Load(); !before.equal(d) {
		if l.leaves.len() > 0 {
			l.old = append(l.old, newOld(before, l.leaves.slots.Load()))
			l.leaves.slots.Store(newLeafSlots(0))
		}
		l.dims.Store(&d)
	}
	l.rules = slices.Clone(rules)
	l.cursor = sweep{}
	for _, b := range l.budgets {
		b.leafs, b.active, b.within, b.held, b.granted, b.parents, b.state = 0, 0, 0, 0, 0, nil, Calm
		l.bytes -= entryBytes * cap(b.lowest)
		b.lowest = nil
	}
	for leaf := range l.everyLeaf {
		if !leaf.dead {
			l.attach(leaf)
		}
	}
	for _, b := range l.budgets {
		if b.leafs == 0 {
			l.drop(b)
		}
	}
}

func newOld(d *dims, leaves *leafSlots) *Old {
	old := &Old{Resource: d.resource, Scope: d.scope}
	old.leaves.slots.Store(leaves)
	return old
}

// everyLeaf goes through those of earlier rules, too.
func (l *Limiter) everyLeaf(yield func(*Leaf) bool) {
	for leaf := range l.leaves.all {
		if !yield(leaf) {
			return
		}
	}
	for _, old := range l.old {
		for leaf := range old.leaves.all {
			if !yield(leaf) {
				return
			}
		}
	}
}

// adopt moves a series from a leaf of earlier rules; it keeps its place whatever the limits say now.
func (l *Limiter) adopt(h uint64, oldKeys []uint64) (found, marked bool) {
	for i, old := range l.old {
		if i == len(oldKeys) {
			break
		}
		if leaf := old.leaves.find(oldKeys[i]); leaf != nil {
			if found, marked = leaf.Series.Remove(h); found {
				l.charge(leaf, -1, marked)
				return found, marked
			}
		}
	}
	return false, false
}

// HasOld tells whether a series was admitted, and not seen since the rules changed.
func (l *Limiter) HasOld(h uint64, oldKeys []uint64) bool {
	for i := range min(len(l.old), len(oldKeys)) {
		if leaf := l.old[i].leaves.find(oldKeys[i]); leaf != nil && leaf.Series.Has(h) {
			return true
		}
	}
	return false
}

// ForgetOld frees the place of one that has ended.
func (l *Limiter) ForgetOld(h uint64, oldKeys []uint64) { l.adopt(h, oldKeys) }
