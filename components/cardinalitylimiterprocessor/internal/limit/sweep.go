package limit

import (
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// sweep is where the pass over all leaves stands.
type sweep struct {
	leaves []*Leaf
	next   int
	words  series.Cursor
	died   bool
}

// Sweep forgets the series that were idle for too long. It looks at about that many words and returns; done when the pass has come round.
// A pass must start at least every Idle/2.
func (l *Limiter) Sweep(now series.Step, words int) (done bool) {
	c := &l.cursor
	if c.leaves == nil {
		c.leaves = slices.Collect(l.leaves.all)
		for _, old := range l.old {
			c.leaves = slices.AppendSeq(c.leaves, old.leaves.all)
		}
	}
	for ; c.next < len(c.leaves); c.next++ {
		if words <= 0 {
			return false
		}
		leaf := c.leaves[c.next]
		before := leaf.Series.Bytes()
		removed, marked, end := leaf.Series.Sweep(now, l.opts.Idle, &c.words, words)
		words -= 64 + before/8
		l.bytes += leaf.Series.Bytes() - before
		l.charge(leaf, marked-removed, false)
		l.charge(leaf, -marked, true)
		l.counts.Expired += int64(removed)
		if !end {
			return false
		}
		c.words = series.Cursor{}
		if leaf.Series.Len() == 0 && now-leaf.touched > l.opts.Idle {
			l.detach(leaf)
		}
	}
	l.endSweep(now)
	return true
}

func (l *Limiter) endSweep(now series.Step) {
	if l.cursor.died {
		alive := func(f *Leaf) bool { return !f.dead }
		l.leaves.rebuild(l.leaves.len(), alive)
		for _, old := range l.old {
			old.leaves.rebuild(old.leaves.len(), alive)
		}
		l.old = slices.DeleteFunc(l.old, func(o *Old) bool { return o.leaves.len() == 0 })
	}
	l.cursor = sweep{}
	for _, b := range l.budgets {
		for key, v := range b.values {
			before := v.set.Bytes()
			v.set.Sweep(now, l.opts.Idle, new(series.Cursor), 1<<30)
			l.bytes += v.set.Bytes() - before
			if v.set.Len() == 0 {
				delete(b.values, key)
				l.bytes -= v.set.Bytes() + budgetBytes
			}
		}
		l.recover(b)
	}
}

// recover lets a budget that has room again say so.
func (l *Limiter) recover(b *budget) {
	r := &l.rules[b.rule]
	to := Calm
	active := b.inUse()
	switch {
	case active >= r.Max:
		to = Limited
	case active*10 >= r.Max*8:
		to = Warned
	}
	if to >= b.state {
		return
	}
	l.tell(Event{Rule: r.Name, Budget: b.per, From: b.state, To: to, Active: active, Max: r.Max})
	b.state = to
	if to == Calm && b.demand != nil {
		b.demand = nil
		l.takeExtra(-sketchBytes)
	}
}

func (l *Limiter) drop(b *budget) {
	delete(l.budgets, b.key)
	l.bytes -= b.bytes()
	if b.demand != nil {
		l.takeExtra(-sketchBytes)
	}
}

// detach takes a leaf out. Somebody may still hold it: dead tells.
func (l *Limiter) detach(leaf *Leaf) {
	leaf.dead, l.cursor.died = true, true
	l.bytes -= leafBytes + leaf.Place.size() + leaf.Series.Bytes()
	if leaf.hot != nil {
		l.takeExtra(-leaf.hot.bytes())
		leaf.hot = nil
	}
	if leaf.demand != nil {
		l.takeExtra(-sketchBytes)
		leaf.demand = nil
	}
	for _, b := range slices.Concat(leaf.budgets, leaf.values) {
		if b.leafs--; b.leafs > 0 {
			continue
		}
		b.end()
		l.drop(b)
	}
}
