package cardinalitylimiterprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/ident"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/series"
)

// walker goes through one batch. It removes the points that do not pass; what becomes of them is noted, and done once the next
// component has taken the rest: a batch that is refused comes again.
type walker struct {
	p    *limiter
	step series.Step
	now  uint64 // Unix nanoseconds

	// where it is
	resource     pcommon.Resource
	schema       string
	resourceHash uint64
	dims         []string
	byScope      bool
	dimsHash     uint64
	scope        pcommon.InstrumentationScope
	scopeSchema  string
	scopeHash    uint64
	metric       pmetric.Metric
	kind         fold.Kind
	foldable     bool
	base         uint64 // of every series of the metric
	leafKey      uint64
	leaf         *limit.Leaf // nil: unknown as yet, or no memory for it

	// The hashes of the keys that points had at the same place before: those of one metric have the same keys, most often.
	keys []hashedKey
	// Of the points that come next.
	hashes [block]uint64

	// off the hot path, under the lock
	locked  bool
	second  uint64 // other half of base
	halved  bool
	point   pcommon.Map
	attrs   []limit.Attr
	marks   []bool
	oldKeys []uint64
	todo    []todo
	arena   arena
	counts  counts
	ended   map[uint64]int // the entries of todo that free a place, by series
	events  []limit.Event
}

type hashedKey struct {
	key  string
	hash uint64
}

// todo is what a point that did not pass will do.
type todo struct {
	point     fold.Point
	member    fold.Key
	stream    *fold.Stream
	exemplars []pmetric.Exemplar
	outcome   outcome
	rule      int
	// A series that ended gives its place back.
	leafKey, ended uint64
	oldKeys        []uint64 // of one that was not seen since the rules changed
}

// walk removes what does not pass.
func (w *walker) walk(md pmetric.Metrics) {
	md.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool {
		w.enterResource(rm)
		before := rm.ScopeMetrics().Len()
		rm.ScopeMetrics().RemoveIf(func(sm pmetric.ScopeMetrics) bool {
			w.enterScope(sm)
			before := sm.Metrics().Len()
			sm.Metrics().RemoveIf(w.walkMetric)
			return before > 0 && sm.Metrics().Len() == 0
		})
		return before > 0 && rm.ScopeMetrics().Len() == 0
	})
}

func (w *walker) enterResource(rm pmetric.ResourceMetrics) {
	w.resource, w.schema = rm.Resource(), rm.SchemaUrl()
	w.hashResource()
}

func (w *walker) hashResource() {
	w.dims, w.byScope = w.p.limits.ResourceKeys()
	w.resourceHash, w.dimsHash = 0, 0
	for key, value := range w.resource.Attributes().All() {
		h := valueHash(w.p.hash.String(key), value)
		w.resourceHash += h
		if contains(w.dims, key) {
			w.dimsHash += h
		}
	}
}

func contains(list []string, s string) bool {
	for i := range list {
		if list[i] == s {
			return true
		}
	}
	return false
}

func (w *walker) enterScope(sm pmetric.ScopeMetrics) {
	w.scope, w.scopeSchema = sm.Scope(), sm.SchemaUrl()
	w.scopeHash = scopeHash(w.p.hash, w.scope)
}

// walkMetric tells whether nothing of the metric is left.
func (w *walker) walkMetric(m pmetric.Metric) (empty bool) {
	var monotonic bool
	w.kind, monotonic, w.foldable = kindOf(m)
	w.metric, w.halved = m, false
	w.base = ident.Mix(ident.Mix(w.resourceHash, w.scopeHash), metricHash(w.p.hash, m, w.kind, monotonic))
	w.findLeaf()
	if w.leaf != nil && w.leaf.Free() {
		w.counts.outcomes[passed] += pointsOf(m)
		return false
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		empty = walkPoints(w, m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		empty = walkPoints(w, m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		empty = walkPoints(w, m.Histogram().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		empty = walkPoints(w, m.ExponentialHistogram().DataPoints())
	case pmetric.MetricTypeSummary:
		empty = walkPoints(w, m.Summary().DataPoints())
	}
	w.unlock()
	return empty
}

func (w *walker) findLeaf() {
	w.leafKey = w.leafKeyOf(w.dimsHash, w.byScope)
	w.leaf = w.p.limits.Find(w.leafKey)
}

func (w *walker) leafKeyOf(dims uint64, byScope bool) uint64 {
	key := ident.Mix(dims, w.p.hash.String(w.metric.Name()))
	if byScope {
		key = ident.Mix(key, w.scopeHash)
	}
	return key
}

// slice is what all lists of points have.
type slice[P point] interface {
	Len() int
	At(i int) P
	RemoveIf(remove func(P) bool)
}

// block is how many points are hashed before the first of them is looked up: so the lookups, which wait for memory, wait together.
const block = 64

func walkPoints[P point, S slice[P]](w *walker, points S) (empty bool) {
	n := points.Len()
	passing := 0
	for passing < n && pass(w, points, passing, n) {
		passing++
	}
	if passing < n { // most often all pass, and nothing has to move
		i := -1
		points.RemoveIf(func(P) bool {
			i++
			return i == passing || i > passing && !pass(w, points, i, n)
		})
	}
	left := points.Len()
	w.counts.outcomes[passed] += left
	return n > 0 && left == 0
}

// pass tells whether the point at i of n passes. It must be asked in order, and may look at the points behind i. The usual case, a series
// that was admitted, takes no lock and allocates nothing.
func pass[P point, S slice[P]](w *walker, points S, i, n int) bool {
	if i%block == 0 {
		for j := i; j < min(i+block, n); j++ {
			w.hashes[j-i] = ident.Mix(w.base, w.hash(points.At(j).Attributes()))
		}
		if w.leaf != nil {
			for _, h := range w.hashes[:min(block, n-i)] {
				w.leaf.Series.Touch(h)
			}
		}
	}
	p, h := points.At(i), w.hashes[i%block]
	if w.leaf != nil && !p.Flags().NoRecordedValue() {
		if found, observed, age := w.leaf.Series.Hit(h, w.step); found && (age == 0 || w.seen(p.Attributes(), age)) {
			if len(w.ended) > 0 {
				w.goesOn(h)
			}
			if observed {
				w.observe(w.leaf.Observer())
			}
			return true
		}
	}
	return decide(w, p, h)
}

// seen notes now and then that the values of a series are in use; false when that needs the lock.
func (w *walker) seen(attrs pcommon.Map, age series.Step) bool {
	if !w.leaf.Due(w.step, age) {
		return true
	}
	w.readAttributes(attrs)
	return w.leaf.See(w.attrs, w.step)
}

// ends notes that a series ends with this batch.
func (w *walker) ends(h uint64, t todo) {
	t.outcome, t.ended = ended, h
	w.ended[h] = len(w.todo)
	w.todo = append(w.todo, t)
}

// goesOn is for a series that ended earlier in the same batch.
func (w *walker) goesOn(h uint64) {
	if i, ok := w.ended[h]; ok {
		t := &w.todo[i]
		t.leafKey, t.ended, t.oldKeys = 0, 0, nil
	}
}

// hash does not depend on the attributes' order. The usual case, a key that is known and a string, is here: calls would take a good
// part of the time.
func (w *walker) hash(m pcommon.Map) (sum uint64) {
	i := 0
	for key, value := range m.All() {
		var h uint64
		if i < len(w.keys) && w.keys[i].key == key {
			h = w.keys[i].hash
		} else {
			h = w.keyHash(i, key)
		}
		if s := value.Str(); s != "" {
			sum += ident.Str(h, s)
		} else {
			sum += valueHash(h, value)
		}
		i++
	}
	return sum
}

// maxKeys bounds the keys that are remembered.
const maxKeys = 32

func (w *walker) keyHash(i int, key string) uint64 {
	if i < len(w.keys) && w.keys[i].key == key {
		return w.keys[i].hash
	}
	h := w.p.hash.String(key)
	switch {
	case i < len(w.keys):
		w.keys[i] = hashedKey{key, h}
	case i == len(w.keys) && i < maxKeys:
		w.keys = append(w.keys, hashedKey{key, h})
	}
	return h
}

func pointsOf(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	default:
		return 0
	}
}
