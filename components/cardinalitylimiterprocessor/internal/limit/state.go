package limit

import (
	"slices"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// demand estimates how many different series, or values, were turned away in the last idle timeout or two.
type demand struct{ now, before series.Sketch }

const demandBytes = 2 * 1024

func (d *demand) add(h uint64) { d.now.Add(h) }

func (d *demand) estimate() int {
	if d == nil {
		return 0
	}
	return max(d.now.Estimate(), d.before.Estimate())
}

// turn begins a new idle timeout; false when nothing was turned away in the one before.
func (d *demand) turn() (needed bool) {
	d.before, d.now = d.now, series.Sketch{}
	return d.before.Estimate() > 0
}

// turnAway counts a series, or a value, that had no room in the budget.
func (l *Limiter) turnAway(b *budget, h uint64) {
	b.folded++
	if b.demand = l.demand(b.demand); b.demand != nil {
		b.demand.add(h)
	}
}

// demand makes one where there is none and memory is left.
func (l *Limiter) demand(d *demand) *demand {
	if d == nil && l.spare(demandBytes) {
		l.takeExtra(demandBytes)
		return &demand{}
	}
	return d
}

// spare tells whether so much is left for what only helps to tell who is to blame.
func (l *Limiter) spare(n int) bool {
	return l.extra+n <= l.opts.MaxBytes/8 && l.bytes+n <= l.opts.MaxBytes
}

func (l *Limiter) takeExtra(n int) {
	l.extra += n
	l.bytes += n
}

// changed notes a budget's new state, if it is a worse one, and the attribute that explodes, if it is known.
func (l *Limiter) changed(b *budget, leaf *Leaf, to State, attribute string) {
	if to <= b.state {
		return
	}
	r := &l.rules[b.rule]
	if to == Limited && attribute == "" {
		leaf = l.heaviest(b, leaf)
	}
	e := Event{Rule: r.Name, Budget: b.per, Place: leaf.Place, Service: leaf.Place.value(ResourcePrefix+serviceName, l.dims.Load()), From: b.state, To: to, Active: b.inUse(), Max: r.Max, Attribute: attribute}
	if attribute == "" && leaf.hot != nil {
		e.Attribute = leaf.hot.name()
	}
	b.state = to
	l.tell(e)
}

// heaviest is the leaf that has most of a budget: who comes last is not who fills it.
func (l *Limiter) heaviest(b *budget, leaf *Leaf) *Leaf {
	if b.leafs == 1 || l.blames == maxBlames {
		return leaf
	}
	l.blames++
	for other := range l.leaves.all {
		if other.Series.Len() > leaf.Series.Len() && slices.Contains(other.budgets, b) {
			leaf = other
		}
	}
	return leaf
}

// maxBlames bounds how often, between two sweeps, all leaves are looked at for the one to blame.
const maxBlames = 10

func (l *Limiter) tell(e Event) {
	if len(l.events) < maxEvents {
		l.events = append(l.events, e)
	}
}

// maxEvents bounds the changes of state that wait to be told.
const maxEvents = 100
