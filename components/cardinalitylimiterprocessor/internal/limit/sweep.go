package limit

import (
	"maps"
	"math"
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// sweep is where the pass over all leaves, and then over all budgets, stands.
type sweep struct {
	leaves  []*Leaf
	next    int
	words   series.Cursor
	died    bool
	budgets []*budget
	turn    bool // another idle timeout has begun
}

// Sweep forgets the series that were idle for too long. It looks at about that many words and returns; done when the pass has come round.
// A pass must start at least every four steps.
func (l *Limiter) Sweep(now series.Step, words int) (done bool) {
	c := &l.cursor
	if c.leaves == nil {
		c.turn = now/l.opts.Idle != l.turned
		l.turned, l.blames = now/l.opts.Idle, 0
		c.leaves = slices.Collect(l.everyLeaf)
	}
	for ; c.next < len(c.leaves); c.next++ {
		if words <= 0 {
			return false
		}
		leaf := c.leaves[c.next]
		size := leaf.Series.Bytes() / 8
		if !l.sweepLeaf(leaf, now, words) {
			return false
		}
		words -= 64 + size
	}
	if c.budgets == nil {
		l.bury()
		c.budgets = slices.Collect(maps.Values(l.budgets))
	}
	for len(c.budgets) > 0 {
		if words <= 0 {
			return false
		}
		words -= 64 + l.sweepBudget(c.budgets[0], now)/8
		c.budgets = c.budgets[1:]
	}
	l.cursor = sweep{}
	return true
}

func (l *Limiter) sweepLeaf(leaf *Leaf, now series.Step, words int) (done bool) {
	before := leaf.Series.Bytes()
	removed, marked, done := leaf.Series.Sweep(now, l.opts.Idle, &l.cursor.words, words)
	l.bytes += leaf.Series.Bytes() - before
	l.charge(leaf, marked-removed, false)
	l.charge(leaf, -marked, true)
	l.counts.Expired += int64(removed)
	if done && leaf.moved.Len() > 0 {
		before = leaf.moved.Bytes()
		leaf.moved.Sweep(now, l.opts.Idle, new(series.Cursor), math.MaxInt)
		l.bytes += leaf.moved.Bytes() - before
	}
	if done && l.cursor.turn {
		leaf.demand = l.turnDemand(leaf.demand)
	}
	if done && leaf.hot != nil && !leaf.fillsUp(l.rules) {
		l.takeExtra(-leaf.hot.bytes())
		leaf.hot = nil
		leaf.curious.Store(false)
	}
	if done && leaf.Series.Len() == 0 && !leaf.dead && now-leaf.touched > l.opts.Idle {
		l.detach(leaf)
	}
	return done
}

// fillsUp tells whether one of the leaf's budgets is a quarter full: only then it matters which attribute explodes. Half full is where
// that begins to be looked at.
func (f *Leaf) fillsUp(rules []Rule) bool {
	return slices.ContainsFunc(f.budgets, func(b *budget) bool { return 4*b.active >= rules[b.rule].Max })
}

func (l *Limiter) turnDemand(d *demand) *demand {
	if d == nil || d.turn() {
		return d
	}
	l.takeExtra(-demandBytes)
	return nil
}

// bury takes the leaves out that died.
func (l *Limiter) bury() {
	if !l.cursor.died {
		return
	}
	alive := func(f *Leaf) bool { return !f.dead }
	l.leaves.rebuild(l.leaves.len(), alive)
	for _, old := range l.old {
		old.leaves.rebuild(old.leaves.len(), alive)
	}
	l.old = slices.DeleteFunc(l.old, func(o *Old) bool { return o.leaves.len() == 0 })
}

// sweepBudget forgets values that are not in use, and tells how much there was to look at.
func (l *Limiter) sweepBudget(b *budget, now series.Step) (bytes int) {
	if l.budgets[b.key] != b {
		return 0
	}
	for key, v := range b.values {
		before := v.set.Bytes()
		bytes += before
		v.set.Sweep(now, l.opts.Idle+period, new(series.Cursor), math.MaxInt)
		l.bytes += v.set.Bytes() - before
		if v.set.Len() == 0 {
			delete(b.values, key)
			b.publish()
			l.bytes -= v.bytes()
		}
	}
	if l.cursor.turn {
		b.demand = l.turnDemand(b.demand)
	}
	l.bytes += b.lowest.clean(b.active)
	l.recover(b)
	return bytes
}

// recover lets a budget that has room again say so.
func (l *Limiter) recover(b *budget) {
	r := &l.rules[b.rule]
	to := Calm
	active := b.inUse()
	switch {
	case active+b.held >= r.Max:
		to = Limited
	case active*10 >= r.Max*8:
		to = Warned
	}
	if to >= b.state {
		return
	}
	l.tell(Event{Rule: r.Name, Budget: b.per, From: b.state, To: to, Active: active, Max: r.Max})
	b.state = to
}

func (l *Limiter) drop(b *budget) {
	delete(l.budgets, b.key)
	l.bytes -= b.bytes()
	if b.demand != nil {
		l.takeExtra(-demandBytes)
	}
}

// detach takes a leaf out. Somebody may still hold it: dead tells.
func (l *Limiter) detach(leaf *Leaf) {
	leaf.dead, l.cursor.died = true, true
	l.bytes -= leaf.bytes()
	if leaf.hot != nil {
		l.takeExtra(-leaf.hot.bytes())
		leaf.hot = nil
	}
	if leaf.demand != nil {
		l.takeExtra(-demandBytes)
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
