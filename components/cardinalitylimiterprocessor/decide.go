package cardinalitylimiterprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/ident"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// decide is for points whose series is not known to pass: new ones, folded ones, ended ones. It keeps the lock until the metric is done.
func decide[P point](w *walker, p P, h uint64) (pass bool) {
	w.lock()
	if w.leaf != nil && w.leaf.Free() {
		return true
	}
	w.point = p.Attributes()
	w.readAttributes(p.Attributes())
	key := w.memberKey(h)
	limits, folds := w.p.limits, w.p.folds
	if p.Flags().NoRecordedValue() {
		switch {
		case w.leaf != nil && w.leaf.Series.Has(h):
			w.ends(h, todo{leafKey: w.leafKey})
			return true
		case limits.HasOld(h, w.oldKeys):
			w.ends(h, todo{oldKeys: slices.Clone(w.oldKeys)})
			return true
		case folds.Member(key) != nil:
			note(w, p, key, folds.Member(key), outcomeOf(folds.Member(key)), noRule)
		default:
			w.counts.drop(stale, noRule)
		}
		return false
	}
	w.leaf = limits.Leaf(w.leafKey, w.step, w.place)
	if w.leaf != nil && w.leaf.Free() || w.leaf == nil && !limits.Limits(w.metric.Name()) {
		return true
	}
	if w.leaf != nil {
		if found, observed, _ := w.leaf.Series.Hit(h, w.step); found {
			limits.Refresh(w.leaf, limit.Series{Hash: h, Resource: w.resourceHash, Attrs: w.attrs}, w.step)
			w.goesOn(h)
			if observed {
				w.observe(w.leaf.Observer())
			}
			return true
		}
	}
	if s := folds.Member(key); s != nil { // once folded, always folded while it is active
		limits.Touch(w.leaf, h, w.attrs, w.step)
		note(w, p, key, s, outcomeOf(s), noRule)
		return false
	}
	v := limit.Verdict{Decision: limit.NoMemory, Rule: noRule, Action: limit.Overflow}
	if w.leaf != nil {
		v = limits.Admit(w.leaf, limit.Series{Hash: h, Resource: w.resourceHash, Attrs: w.attrs, OldKeys: w.oldKeys}, w.step, w.marks)
		w.marks = v.Replace
	}
	switch v.Decision {
	case limit.Admitted:
		return true
	case limit.Observed:
		w.observe(v.Rule)
		return true
	}
	moved := w.leaf != nil && w.leaf.Moved(h)
	w.turnAway(v, func(s *fold.Stream, o outcome) {
		note(w, p, key, s, o, v.Rule)
		w.todo[len(w.todo)-1].point.Moved = moved
	})
	return false
}

const noRule = -1

// turnAway goes down the ladder of the verdict's action.
func (w *walker) turnAway(v limit.Verdict, into func(*fold.Stream, outcome)) {
	if v.Decision == limit.NoMemory {
		w.p.tel.outOfMemory()
	}
	if !w.foldable {
		w.counts.drop(malformed, v.Rule)
		return
	}
	if w.kind == fold.Gauge && w.p.gauge == fold.GaugeDrop && v.Action != limit.Drop {
		w.counts.drop(reasonOf(fold.DroppedGauge), v.Rule)
		return
	}
	if v.Action == limit.Replace || v.Action == limit.Degrade {
		if s := w.replacedStream(v.Replace); s != nil {
			into(s, replaced)
			return
		}
	}
	if v.Action == limit.Overflow || v.Action == limit.Degrade {
		if s := w.overflowStream(v.Per); s != nil {
			into(s, overflow)
			return
		}
	}
	switch {
	case v.Decision == limit.NoMemory:
		w.counts.drop(memory, v.Rule)
	case v.Action == limit.Drop:
		w.counts.drop(byRule, v.Rule)
	default:
		w.counts.drop(noStream, v.Rule)
	}
}

// note remembers to fold a point.
func note[P point](w *walker, p P, key fold.Key, s *fold.Stream, o outcome, rule int) {
	w.todo = append(w.todo, todo{member: key, stream: s, outcome: o, rule: rule})
	t := &w.todo[len(w.todo)-1]
	readPoint(p, &t.point, &w.arena)
	t.exemplars = takeExemplars(p)
}

func (w *walker) lock() {
	if w.locked {
		return
	}
	w.locked = true
	w.p.mu.Lock()
	w.p.latest = max(w.p.latest, w.now)
	limits := w.p.limits
	if dims, _ := limits.ResourceKeys(); !sameSlice(dims, w.dims) { // the rules have changed meanwhile
		w.hashResource()
		w.leafKey = w.leafKeyOf(w.dimsHash, w.byScope)
	}
	w.leaf = limits.Find(w.leafKey)
	w.oldKeys = w.oldKeys[:0]
	for _, old := range limits.Old() {
		var dims uint64
		for key, value := range w.resource.Attributes().All() {
			if contains(old.Resource, key) {
				dims += valueHash(w.p.hash.String(key), value)
			}
		}
		w.oldKeys = append(w.oldKeys, w.leafKeyOf(dims, old.Scope))
	}
}

func (w *walker) unlock() {
	if w.locked {
		w.locked = false
		w.events = append(w.events, w.p.limits.TakeEvents()...)
		w.p.mu.Unlock()
	}
}

func sameSlice(a, b []string) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// place says where the metric is from.
func (w *walker) place() *limit.Place {
	place := &limit.Place{Metric: w.metric.Name()}
	if w.byScope {
		place.Scope = w.scope.Name()
	}
	for _, key := range w.dims {
		value := ""
		if v, ok := w.resource.Attributes().Get(key); ok {
			value = v.AsString()
		}
		place.Resource = append(place.Resource, value)
	}
	return place
}

func (w *walker) readAttributes(m pcommon.Map) {
	w.attrs = w.attrs[:0]
	protect := w.p.protect
	i := 0
	for key, value := range m.All() {
		h := w.keyHash(i, key)
		w.attrs = append(w.attrs, limit.Attr{Key: key, KeyHash: h, Hash: valueHash(h, value), Protected: len(protect) > 0 && protect[key]})
		i++
	}
}

// memberKey is the series' identity in 128 bits.
func (w *walker) memberKey(h uint64) fold.Key {
	second := w.p.hash.Second()
	if !w.halved {
		w.halved = true
		kind, monotonic, _ := kindOf(w.metric)
		w.second = ident.Mix(ident.Mix(attributesHash(second, w.resource.Attributes()), scopeHash(second, w.scope)),
			metricHash(second, w.metric, kind, monotonic))
	}
	return fold.Key{Hi: h, Lo: ident.Mix(w.second, w.attributesSecond())}
}

// attributesSecond is the other half of the hash of the attributes that were read. The first half's hashes are seeds enough: both would
// have to collide.
func (w *walker) attributesSecond() (sum uint64) {
	for i := range w.attrs {
		sum += ident.Mix(w.attrs[i].Hash, w.p.hash.Second().Seed())
	}
	return sum
}

func (w *walker) observe(rule int) {
	if rule < 0 {
		return // it was marked for a rule that is gone
	}
	w.counts.observed++
	w.counts.byRule(rule, observed, 1)
}
