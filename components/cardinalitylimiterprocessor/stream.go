package cardinalitylimiterprocessor

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/ident"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/limit"
)

// What streams are marked with.
const (
	// overflowKey is the attribute of the OpenTelemetry metrics SDK specification, section "cardinality limits".
	overflowKey = "otel.metric.overflow"
	// writerKey names the collector that folds, because every output stream must have a single writer. OpenTelemetry has no name for it.
	writerKey = "collector.instance"
)

// maxMeta bounds what describes a stream: attributes may be of any length.
const maxMeta = 16 << 10

// replacedStream is the one for the point's attributes with the placeholder in the marked places; nil when none is marked, or when
// there are too many streams. One half of the streams is kept for overflow streams, of which there are few.
func (w *walker) replacedStream(marks []bool) *fold.Stream {
	if !slices.Contains(marks, true) {
		return nil
	}
	var sum, second uint64
	for i := range w.attrs {
		h := w.attrs[i].Hash
		if w.isWriter(i) {
			continue
		}
		if marks[i] {
			h = ident.Str(w.attrs[i].KeyHash, w.p.cfg.Overflow.Placeholder)
		}
		sum += h
		second += ident.Mix(h, w.p.hash.Second().Seed())
	}
	key := fold.Key{Hi: ident.Mix(ident.Mix(w.base, sum), uint64(replaced)), Lo: ident.Mix(w.second, second)}
	if s := w.p.folds.Stream(key); s != nil {
		return s
	}
	if n, _ := w.p.folds.Len(); n >= w.p.cfg.Overflow.MaxStreams/2 {
		return nil
	}
	return w.addStream(key, replaced,
		func(string) bool { return true },
		func(i int) (keep bool) { return !marks[i] },
		func(to pcommon.Map) {
			for i := range w.attrs {
				if marks[i] {
					to.PutStr(w.attrs[i].Key, w.p.cfg.Overflow.Placeholder)
				}
			}
		})
}

// overflowStream is the one for all that a budget has no room for: of the resource it keeps what the budget is kept per, and what is
// protected.
func (w *walker) overflowStream(per []string) *fold.Stream {
	keepResource := func(name string) bool {
		return w.p.protect[name] || slices.ContainsFunc(per, func(p string) bool {
			kept, ok := strings.CutPrefix(p, limit.ResourcePrefix)
			return ok && kept == name
		})
	}
	second := w.p.hash.Second().Seed()
	var sums [4]uint64
	for name, value := range w.resource.Attributes().All() {
		if keepResource(name) {
			h := valueHash(w.p.hash.String(name), value)
			sums[0] += h
			sums[1] += ident.Mix(h, second)
		}
	}
	for i := range w.attrs {
		if w.attrs[i].Protected && !w.isWriter(i) {
			sums[2] += w.attrs[i].Hash
			sums[3] += ident.Mix(w.attrs[i].Hash, second)
		}
	}
	kind, monotonic, _ := kindOf(w.metric)
	what := ident.Mix(w.scopeHash, metricHash(w.p.hash, w.metric, kind, monotonic))
	key := fold.Key{
		Hi: ident.Mix(ident.Mix(what, ident.Mix(sums[0], sums[2])), uint64(overflow)),
		Lo: ident.Mix(ident.Mix(what, second), ident.Mix(sums[1], sums[3])),
	}
	if s := w.p.folds.Stream(key); s != nil {
		return s
	}
	return w.addStream(key, overflow, keepResource,
		func(i int) bool { return w.attrs[i].Protected },
		func(to pcommon.Map) { to.PutBool(overflowKey, true) })
}

// isWriter tells whether an attribute names a collector that has folded before: in our streams it is replaced by ours.
func (w *walker) isWriter(i int) bool { return w.p.writer != "" && w.attrs[i].Key == writerKey }

// addStream describes a new stream; nil when there are too many.
func (w *walker) addStream(key fold.Key, o outcome, resource func(string) bool, keep func(int) bool, mark func(pcommon.Map)) *fold.Stream {
	if n, _ := w.p.folds.Len(); n >= w.p.cfg.Overflow.MaxStreams {
		return nil
	}
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.SetSchemaUrl(w.schema)
	for name, value := range w.resource.Attributes().All() {
		if resource(name) {
			value.CopyTo(rm.Resource().Attributes().PutEmpty(name))
		}
	}
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.SetSchemaUrl(w.scopeSchema)
	w.scope.CopyTo(sm.Scope())
	attrs := emptyLike(w.metric, sm.Metrics().AppendEmpty())
	i := 0
	for name, value := range w.point.All() {
		if keep(i) {
			value.CopyTo(attrs.PutEmpty(name))
		}
		i++
	}
	mark(attrs)
	if w.p.writer != "" {
		attrs.PutStr(writerKey, w.p.writer)
	}
	proto, err := new(pmetric.ProtoMarshaler).MarshalMetrics(md)
	if err != nil || len(proto) > maxMeta {
		return nil
	}
	return w.p.folds.AddStream(key, w.kind, append([]byte{byte(o)}, proto...), w.now)
}

// emptyLike makes a metric of the same kind with one point, whose attributes it gives.
func emptyLike(from, to pmetric.Metric) pcommon.Map {
	to.SetName(from.Name())
	to.SetDescription(from.Description())
	to.SetUnit(from.Unit())
	switch from.Type() {
	case pmetric.MetricTypeGauge:
		return to.SetEmptyGauge().DataPoints().AppendEmpty().Attributes()
	case pmetric.MetricTypeSum:
		sum := to.SetEmptySum()
		sum.SetIsMonotonic(from.Sum().IsMonotonic())
		sum.SetAggregationTemporality(from.Sum().AggregationTemporality())
		return sum.DataPoints().AppendEmpty().Attributes()
	case pmetric.MetricTypeHistogram:
		h := to.SetEmptyHistogram()
		h.SetAggregationTemporality(from.Histogram().AggregationTemporality())
		return h.DataPoints().AppendEmpty().Attributes()
	case pmetric.MetricTypeExponentialHistogram:
		h := to.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(from.ExponentialHistogram().AggregationTemporality())
		return h.DataPoints().AppendEmpty().Attributes()
	default:
		return to.SetEmptySummary().DataPoints().AppendEmpty().Attributes()
	}
}

// outcomeOf says how a stream came to be.
func outcomeOf(s *fold.Stream) outcome {
	if meta := s.Meta(); len(meta) > 0 && outcome(meta[0]) == replaced {
		return replaced
	}
	return overflow
}

// describe reads what addStream wrote.
func describe(s *fold.Stream) (pmetric.Metrics, error) {
	meta := s.Meta()
	return new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(meta[min(1, len(meta)):])
}
