package limit

import (
	"slices"
	"sync/atomic"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// Place is where a metric's series are from: what tells one leaf from another, and what reports name.
type Place struct {
	Metric   string
	Scope    string
	Resource []string // values of the resource attributes that rules name, in the order of Limiter.ResourceKeys
}

// value is what the place has for one dimension of a rule.
func (p *Place) value(per string, d *dims) string {
	switch per {
	case PerMetric:
		return p.Metric
	case PerScope:
		return p.Scope
	}
	i, _ := slices.BinarySearch(d.resource, per[len(ResourcePrefix):])
	return p.Resource[i]
}

func (p *Place) size() int {
	n := len(p.Metric) + len(p.Scope)
	for _, value := range p.Resource {
		n += 16 + len(value)
	}
	return n
}

// Leaf is the finest combination that the rules tell apart: the series in it charge the same budgets.
type Leaf struct {
	Series series.Set
	Place  *Place

	key     uint64
	dims    *dims
	budgets []*budget // of rules on series, in the rules' order
	values  []*budget // of rules on values
	free    atomic.Bool
	watch   atomic.Pointer[[]*budget] // values, to read without the lock
	until   atomic.Uint32             // up to this step, See wants to see all its series
	curious atomic.Bool               // Refresh wants to see all its series
	// observer is the rule that would have turned away the series that are marked.
	observer atomic.Int32
	dead     bool
	moved    series.Set // series that had to make way
	marked   int        // series that an observing rule would have turned away
	touched  series.Step
	hot      *hotKeys
	demand   *demand // series that were turned away
	folded   int64   // points of series that were turned away
}

// Free tells whether no rule is for the metric: its series are not counted.
func (f *Leaf) Free() bool { return f.free.Load() }

// period is how many steps pass until the values of a series are noted again: they live so much longer than series.
const period = 32

// Due tells whether See is to be called for a series that was last seen age steps ago.
func (f *Leaf) Due(now, age series.Step) bool {
	return (now/period != (now-age)/period || now < series.Step(f.until.Load())) && (f.watch.Load() != nil || f.curious.Load())
}

// valuesKnown is false when a rule on values is new: the series that were there before it have values, too.
func (f *Leaf) valuesKnown() bool {
	return !slices.ContainsFunc(f.values, func(b *budget) bool { return len(b.values) == 0 })
}

// See notes that the values of a series are in use. It needs no lock. When it is false, Refresh has to do it.
func (f *Leaf) See(attrs []Attr, now series.Step) (done bool) {
	done = !f.curious.Load()
	if budgets := f.watch.Load(); budgets != nil {
		for _, b := range *budgets {
			done = b.see(attrs, now) && done
		}
	}
	return done
}

// bytes is what the leaf holds, without what only helps to tell who is to blame.
func (f *Leaf) bytes() int { return leafBytes + f.Place.size() + f.Series.Bytes() + f.moved.Bytes() }

const noObserver = -1

// Moved tells whether a series was admitted and had to make way.
func (f *Leaf) Moved(h uint64) bool { return f.moved.Len() > 0 && f.moved.Has(h) }

// Observer is the rule that would have turned away the series of the leaf that are marked; -1 when the rules observe it no longer.
func (f *Leaf) Observer() int { return int(f.observer.Load()) }

// leafTable finds leaves without a lock. Writers need the caller's.
type leafTable struct{ slots atomic.Pointer[leafSlots] }

type leafSlots struct {
	slots []atomic.Pointer[Leaf] // a power of two, at most half full
	used  int
}

func newLeafSlots(n int) *leafSlots {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return &leafSlots{slots: make([]atomic.Pointer[Leaf], size)}
}

func (t *leafTable) find(key uint64) *Leaf {
	s := t.slots.Load()
	for i := key; ; i++ {
		f := s.slots[i&uint64(len(s.slots)-1)].Load()
		if f == nil || f.key == key {
			return f
		}
	}
}

func (t *leafTable) add(f *Leaf) {
	s := t.slots.Load()
	if 2*(s.used+1) > len(s.slots) {
		s = t.rebuild(len(s.slots), func(*Leaf) bool { return true })
	}
	s.put(f)
}

// rebuild makes a table with room for n leaves of those that keep wants.
func (t *leafTable) rebuild(n int, keep func(*Leaf) bool) *leafSlots {
	next := newLeafSlots(n)
	for f := range t.all {
		if keep(f) {
			next.put(f)
		}
	}
	t.slots.Store(next)
	return next
}

func (s *leafSlots) put(f *Leaf) {
	for i := f.key; ; i++ {
		if slot := &s.slots[i&uint64(len(s.slots)-1)]; slot.Load() == nil {
			slot.Store(f)
			s.used++
			return
		}
	}
}

func (t *leafTable) all(yield func(*Leaf) bool) {
	s := t.slots.Load()
	for i := range s.slots {
		if f := s.slots[i].Load(); f != nil && !yield(f) {
			return
		}
	}
}

func (t *leafTable) len() int   { return t.slots.Load().used }
func (t *leafTable) bytes() int { return 8 * len(t.slots.Load().slots) }
