package limit

import (
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// Admit says whether a series that Hit did not find may pass, and remembers it if so.
func (l *Limiter) Admit(leaf *Leaf, s Series, now series.Step, scratch []bool) Verdict {
	h, attrs := s.Hash, s.Attrs
	leaf.touched, l.now = now, now
	if found, marked, _ := leaf.Series.Hit(h, now); found { // Hit may miss a series while another one moves
		return leaf.passed(marked)
	}
	if found, marked := l.adopt(h, s.OldKeys); found {
		l.put(leaf, h, attrs, marked, now)
		return leaf.passed(marked)
	}
	l.look(leaf, &s)
	replace := scratch[:0]
	for range attrs {
		replace = append(replace, false)
	}
	observed := false
	var over *budget // whose rule turns it away
	v := Verdict{Decision: Admitted, Rule: -1, Replace: replace}

	for _, b := range leaf.values {
		r := &l.rules[b.rule]
		marks := replace
		if r.Observe {
			marks = nil
		}
		first := l.overValues(b, attrs, marks, now)
		if first == nil {
			continue
		}
		l.changed(b, leaf, Limited, first.Key)
		l.turnAway(b, first.Hash)
		if r.Observe {
			observed = true
			v.Rule = b.rule
		} else if over == nil {
			over = b
		}
	}
	if over != nil {
		// What is not replaced is seen in the output.
		for _, b := range leaf.values {
			l.addValues(b, leaf, attrs, now)
		}
		return l.reject(leaf, over, h, Verdict{Decision: Rejected, Replace: replace})
	}
	l.leaving = l.leaving[:0]
	for _, b := range leaf.budgets {
		r := &l.rules[b.rule]
		if r.Observe || b.room(l.allowed(r), covered(b, leaf)) {
			continue
		}
		if l.opts.Lowest {
			var ok bool
			if l.leaving, ok = b.makesWay(series.Key(h), l.leaving); ok {
				l.turnAway(b, h)
				continue
			}
		}
		if r.Action == Replace || r.Action == Degrade {
			l.watchKeys(leaf) // after a restart
			leaf.markHot(attrs, replace)
		}
		l.turnAway(b, h)
		return l.reject(leaf, b, h, Verdict{Decision: Rejected, Replace: replace})
	}
	if grow := leaf.Series.GrowthBytes(); l.bytes+grow > l.opts.MaxBytes {
		return Verdict{Decision: NoMemory, Rule: -1, Action: Overflow, Replace: replace}
	}
	for _, b := range leaf.budgets {
		if r := &l.rules[b.rule]; !observed && r.Observe && b.within >= l.allowed(r) {
			observed = true
			l.turnAway(b, h)
			l.changed(b, leaf, Limited, "")
			v.Rule = b.rule
		}
	}
	for _, e := range l.leaving {
		l.leave(e, now)
	}
	l.put(leaf, h, attrs, observed, now)
	if observed {
		v.Decision = Observed
		leaf.observer.Store(int32(v.Rule)) //nolint:gosec // few rules
	}
	return v
}

func (f *Leaf) passed(marked bool) Verdict {
	if marked {
		return Verdict{Decision: Observed, Rule: f.Observer()}
	}
	return Verdict{Decision: Admitted, Rule: -1}
}

// allowed is a rule's limit now.
func (l *Limiter) allowed(r *Rule) int {
	if l.learning && !r.Observe {
		return 2 * r.Max
	}
	return r.Max
}

// put remembers a series, and charges its budgets.
func (l *Limiter) put(leaf *Leaf, h uint64, attrs []Attr, observed bool, now series.Step) {
	before := leaf.Series.Bytes()
	leaf.Series.Add(h, observed, now)
	l.bytes += leaf.Series.Bytes() - before
	l.counts.Admitted++
	l.charge(leaf, 1, observed)
	l.rank(leaf, series.Key(h))
	for _, b := range leaf.values {
		l.addValues(b, leaf, attrs, now)
	}
	for _, b := range leaf.budgets {
		r := &l.rules[b.rule]
		if b.active*10 >= r.Max*8 {
			l.changed(b, leaf, Warned, "")
		}
		if b.active*2 >= r.Max && r.Action >= Replace && !r.Observe {
			l.watchKeys(leaf)
		}
	}
}

// charge counts n series more, or fewer, in all budgets of a leaf.
func (l *Limiter) charge(leaf *Leaf, n int, observed bool) {
	if observed {
		leaf.marked += n
	}
	for _, b := range leaf.budgets {
		b.charge(n)
		if !observed {
			b.within += n
		}
	}
}

// Refresh does what See could not: it remembers values that are new, because a rule is, and looks at those of a leaf that fills up.
func (l *Limiter) Refresh(leaf *Leaf, s Series, now series.Step) {
	leaf.touched = now
	l.look(leaf, &s)
	for _, b := range leaf.values {
		l.addValues(b, leaf, s.Attrs, now)
	}
}

// Touch notes that a series is active that was turned away: its values are in the output, but for those that were replaced.
func (l *Limiter) Touch(leaf *Leaf, h uint64, attrs []Attr, now series.Step) {
	if leaf == nil {
		return
	}
	leaf.touched = now
	leaf.See(attrs, now)
	if leaf.demand != nil {
		leaf.demand.add(h)
	}
	for _, b := range leaf.budgets {
		if b.demand != nil {
			b.demand.add(h)
		}
	}
}

// Forget frees the place of a series that has ended; false when it had none.
func (l *Limiter) Forget(leaf *Leaf, h uint64) bool {
	found, marked := leaf.Series.Remove(h)
	if found {
		l.charge(leaf, -1, marked)
	}
	return found
}

// overValues marks the attributes whose values do not fit, and gives the first.
func (l *Limiter) overValues(b *budget, attrs []Attr, replace []bool, now series.Step) (first *Attr) {
	limit := l.allowed(&l.rules[b.rule])
	for i := range attrs {
		a := &attrs[i]
		if a.Protected {
			continue
		}
		v := b.values[a.KeyHash]
		if v == nil {
			continue
		}
		if found, _, _ := v.set.Hit(a.Hash, now); !found && v.set.Len() >= limit {
			if first == nil {
				first = a
			}
			if replace != nil {
				replace[i] = true
			}
		}
	}
	return first
}

// addValues remembers those that are new and fit.
func (l *Limiter) addValues(b *budget, leaf *Leaf, attrs []Attr, now series.Step) {
	limit := l.allowed(&l.rules[b.rule])
	for i := range attrs {
		a := &attrs[i]
		if a.Protected {
			continue
		}
		v := b.values[a.KeyHash]
		if l.bytes >= l.opts.MaxBytes {
			return
		}
		if v == nil {
			if len(b.values) == maxKeys {
				continue
			}
			v = b.addKey(a)
			l.bytes += v.bytes()
		}
		if found, _, _ := v.set.Hit(a.Hash, now); found || v.set.Len() >= limit {
			continue
		}
		before := v.set.Bytes()
		v.set.Add(a.Hash, false, now)
		l.bytes += v.set.Bytes() - before
		if v.set.Len()*10 >= limit*8 {
			l.changed(b, leaf, Warned, v.name)
		}
	}
}

// reject notes who was turned away.
func (l *Limiter) reject(leaf *Leaf, b *budget, h uint64, v Verdict) Verdict {
	r := &l.rules[b.rule]
	v.Rule, v.Action, v.Per = b.rule, r.Action, r.Per
	leaf.folded++
	if leaf.demand = l.demand(leaf.demand); leaf.demand != nil {
		leaf.demand.add(h)
	}
	l.changed(b, leaf, Limited, "")
	return v
}
