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
			old := &Old{Resource: before.resource, Scope: before.scope}
			old.leaves.slots.Store(l.leaves.slots.Load())
			for leaf := range old.leaves.all {
				leaf.budgets, leaf.values = nil, nil
			}
			l.old = append(l.old, old)
			l.leaves.slots.Store(newLeafSlots(0))
		}
		l.dims.Store(&d)
	}
	l.rules = slices.Clone(rules)
	l.cursor = sweep{}
	for _, b := range l.budgets {
		b.leafs, b.active, b.within, b.held, b.granted, b.parents, b.state = 0, 0, 0, 0, 0, nil, Calm
	}
	for leaf := range l.leaves.all {
		l.attach(leaf)
	}
	for _, b := range l.budgets {
		if b.leafs == 0 {
			l.drop(b)
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
				return found, marked
			}
		}
	}
	return false, false
}
