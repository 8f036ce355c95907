package limit

import (
	"regexp"
	"slices"
	"sync/atomic"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// Attr is one attribute of a series.
type Attr struct {
	Key       string
	KeyHash   uint64
	Hash      uint64 // of key and value
	Protected bool   // is never replaced
}

// Series is one that comes.
type Series struct {
	Hash     uint64
	Resource uint64 // hash of the resource
	Attrs    []Attr
	OldKeys  []uint64 // the keys of the place by the dimensions of Old
}

// Options bound the limiter.
type Options struct {
	Idle     series.Step // a series that was not seen for so long gives its place back
	MaxBytes int         // of sets, leaves and budgets; above it nothing new is admitted
	Hash     func(string) uint64
	Allow    *regexp.Regexp // metrics without limits; nil: none
	// Lowest admits the series with the lowest hashes instead of those that come first: one may have to make way for another.
	Lowest bool
}

// Limiter holds the rules, their budgets and the series that were admitted. Find and Leaf.Series.Hit need no lock; everything else needs
// the caller's.
type Limiter struct {
	opts     Options
	learning bool

	rules   []Rule
	dims    atomic.Pointer[dims]
	leaves  leafTable
	budgets map[uint64]*budget
	old     []*Old

	bytes  int         // of sets, leaves and budgets
	extra  int         // of them, what only helps to tell who is to blame; at most one eighth of MaxBytes
	now    series.Step // when Admit was called last
	turned series.Step // the idle timeout for which demand was begun last
	blames int
	// Who makes way for the series that is being admitted.
	leaving []entry
	counts  Counts
	events  []Event
	cursor  sweep
}

// Counts are totals since the start.
type Counts struct {
	Admitted, Expired int64
}

// Event is a budget's change of state.
type Event struct {
	Rule      string
	Budget    []string
	Place     *Place // nil when it is about all of a budget
	Service   string
	From, To  State
	Active    int
	Max       int
	Attribute string // one that explodes, if there is one
}

// Decision says what Admit did.
type Decision uint8

const (
	// Admitted series may pass.
	Admitted Decision = iota
	// Observed series may pass, but an observing rule would have turned them away.
	Observed
	// Rejected series do not fit.
	Rejected
	// NoMemory is for series that may fit, but there is no room to remember them.
	NoMemory
)

// Verdict is the answer about one series.
type Verdict struct {
	Decision Decision
	Rule     int // index of the rule that turns it away, -1 without
	Action   Action
	Per      []string // that rule's
	Replace  []bool   // which attributes to replace; valid until the next call
}

// New makes a limiter without rules.
func New(opts Options) *Limiter {
	l := &Limiter{opts: opts, budgets: map[uint64]*budget{}}
	l.leaves.slots.Store(newLeafSlots(0))
	l.dims.Store(&dims{resource: []string{serviceName}})
	return l
}

// ResourceKeys are the resource attributes that tell leaves apart, and whether scopes do. It needs no lock, and the answer may have
// changed when the lock is taken: compare the slice's identity.
func (l *Limiter) ResourceKeys() (keys []string, scope bool) {
	d := l.dims.Load()
	return d.resource, d.scope
}

// Limits tells whether a rule is for the metric.
func (l *Limiter) Limits(metric string) bool {
	if l.opts.Allow != nil && l.opts.Allow.MatchString(metric) {
		return false
	}
	return slices.ContainsFunc(l.rules, func(r Rule) bool { return r.matches(metric) })
}

// Learn lets series pass up to twice the limits: at a start that remembers nothing, the first to come are not the ones to keep.
func (l *Limiter) Learn(on bool) { l.learning = on }

// Find gives the leaf of a key, nil when there is none. It needs no lock.
func (l *Limiter) Find(key uint64) *Leaf { return l.leaves.find(key) }

// Leaf gives the leaf of a key, a new one when there is none; nil when there is no memory for it.
func (l *Limiter) Leaf(key uint64, now series.Step, place func() *Place) *Leaf {
	if leaf := l.leaves.find(key); leaf != nil {
		if leaf.dead {
			leaf.dead = false
			l.attach(leaf)
			l.bytes += leaf.bytes()
		}
		return leaf
	}
	if l.bytes+leafBytes > l.opts.MaxBytes {
		return nil
	}
	leaf := &Leaf{key: key, Place: place(), dims: l.dims.Load(), touched: now}
	l.attach(leaf)
	l.leaves.add(leaf)
	l.bytes += leaf.bytes()
	return leaf
}

const leafBytes = 320 // with its place and its share of the tables

// attach finds the leaf's budgets, makes those that are new, and charges them with what the leaf has: after a change of the rules or a
// restart, or when it comes back from the dead. A leaf of earlier rules has the budgets that its dimensions tell.
func (l *Limiter) attach(leaf *Leaf) {
	leaf.budgets, leaf.values = nil, nil
	leaf.observer.Store(noObserver)
	if l.opts.Allow == nil || !l.opts.Allow.MatchString(leaf.Place.Metric) {
		for i := range l.rules {
			if r := &l.rules[i]; r.matches(leaf.Place.Metric) && leaf.dims.know(r) {
				l.attachTo(leaf, i)
			}
		}
	}
	for _, b := range leaf.budgets {
		if r := &l.rules[b.rule]; b.leafs == 1 && r.Reserve > 0 && b.granted == 0 {
			l.grant(b, leaf)
		}
	}
	n, marked := leaf.Series.Len(), leaf.marked
	leaf.marked = 0
	l.charge(leaf, n-marked, false)
	l.charge(leaf, marked, true)
	l.rankAll(leaf)
	leaf.free.Store(len(leaf.budgets)+len(leaf.values) == 0)
	leaf.watch.Store(nil)
	if n > 0 && !leaf.valuesKnown() {
		leaf.until.Store(uint32(l.now + l.opts.Idle)) // its values are not known as yet
	}
	if len(leaf.values) > 0 {
		watched := slices.Clone(leaf.values)
		leaf.watch.Store(&watched)
	}
}

func (l *Limiter) attachTo(leaf *Leaf, rule int) {
	r := &l.rules[rule]
	key, per := l.budgetOf(rule, leaf)
	b := l.budgets[key]
	if b == nil {
		b = &budget{key: key, per: per}
		l.budgets[key] = b
		l.bytes += budgetBytes
	}
	if b.leafs == 0 { // new, or left from earlier rules
		switch {
		case !r.Values():
			l.bytes -= b.dropValues()
		case b.values == nil:
			b.values = map[uint64]*values{}
		}
	}
	b.rule = rule
	b.leafs++
	if r.Observe && leaf.Observer() == noObserver {
		leaf.observer.Store(int32(rule)) //nolint:gosec // few rules
	}
	if r.Values() {
		leaf.values = append(leaf.values, b)
	} else {
		leaf.budgets = append(leaf.budgets, b)
	}
}

// grant keeps a budget's reserve free in the coarser ones of the leaf.
func (l *Limiter) grant(b *budget, leaf *Leaf) {
	var parents []*budget
	for _, other := range leaf.budgets {
		if r := &l.rules[other.rule]; other != b && !r.Observe && coarser(r.Per, l.rules[b.rule].Per) {
			parents = append(parents, other)
		}
	}
	b.grant(l.rules[b.rule].Reserve, parents, l.limit)
}

// coarser tells whether all of a's dimensions, and not only they, are b's.
func coarser(a, b []string) bool {
	return len(a) < len(b) && !slices.ContainsFunc(a, func(per string) bool { return !slices.Contains(b, per) })
}

func (l *Limiter) limit(b *budget) int { return l.rules[b.rule].Max }

// budgetOf names a rule's budget for a leaf.
func (l *Limiter) budgetOf(rule int, leaf *Leaf) (key uint64, per []string) {
	// By name, so that a budget outlives a change of the rules around it.
	key = l.opts.Hash(l.rules[rule].Name)
	for _, p := range l.rules[rule].Per {
		if p == PerAttribute {
			continue
		}
		value := leaf.Place.value(p, leaf.dims)
		per = append(per, value)
		key += l.opts.Hash(p)
		key = key*0x9e3779b97f4a7c15 + l.opts.Hash(value)
		key ^= key >> 29
	}
	return key, per
}

// TakeEvents gives the changes of state since the last call.
func (l *Limiter) TakeEvents() []Event {
	events := l.events
	l.events = nil
	return events
}

// Counts gives totals since the start.
func (l *Limiter) Counts() Counts { return l.counts }

// Bytes is what the limiter holds.
func (l *Limiter) Bytes() int { return l.bytes + l.leaves.bytes() }
