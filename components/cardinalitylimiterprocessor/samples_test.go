package cardinalitylimiterprocessor

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// sample is a point that came out.
type sample struct {
	id     string // of its stream: resource, scope, metric, kind and attributes
	metric string
	attrs  map[string]any
	folded bool
	ended  bool
	kind   fold.Kind
	start  pcommon.Timestamp
	time   pcommon.Timestamp
	value  float64 // of a number; the count of everything else
	sum    float64
}

func samplesOf(batches ...pmetric.Metrics) (all []sample) {
	for _, md := range batches {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				where := fmt.Sprint(rm.Resource().Attributes().AsRaw(), sm.Scope().Name(), sm.Scope().Attributes().AsRaw())
				for _, m := range sm.Metrics().All() {
					all = appendSamples(all, where, m)
				}
			}
		}
	}
	return all
}

func appendSamples(all []sample, where string, m pmetric.Metric) []sample {
	first := len(all)
	kind, monotonic, ok := kindOf(m)
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			all = append(all, sampleOf(p, number(p), 0))
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			all = append(all, sampleOf(p, number(p), 0))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			all = append(all, sampleOf(p, float64(p.Count()), p.Sum()))
		}
	}
	for i := first; i < len(all); i++ {
		s := &all[i]
		s.metric = m.Name()
		s.kind = kind
		s.id = fmt.Sprintf("%s %s %q %s %d %t %t %v", where, m.Name(), m.Unit(), m.Type(), kind, monotonic, ok, s.attrs)
	}
	return all
}

func number(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
}

func sampleOf[P point](p P, value, sum float64) sample {
	attrs := p.Attributes().AsRaw()
	s := sample{
		attrs: attrs, start: p.StartTimestamp(), time: p.Timestamp(), value: value, sum: sum, ended: p.Flags().NoRecordedValue(),
	}
	for key, v := range attrs {
		s.folded = s.folded || key == overflowKey || v == "__overflow__"
	}
	return s
}

// streams are the sums of the values of each identity.
func streams(all []sample) map[string]float64 {
	sums := map[string]float64{}
	for i := range all {
		sums[all[i].id] += all[i].value
	}
	return sums
}

// unfolded are the identities that passed as they came.
func unfolded(all []sample) map[string]bool {
	ids := map[string]bool{}
	for i := range all {
		if !all[i].folded && !all[i].ended {
			ids[all[i].id] = true
		}
	}
	return ids
}

func total(all []sample) (value float64) {
	for i := range all {
		value += all[i].value
	}
	return value
}

func sum(counts map[string]int64) (n int64) {
	for v := range maps.Values(counts) {
		n += v
	}
	return n
}

func having(all []sample, text string) (some []sample) {
	for i := range all {
		if strings.Contains(all[i].id, text) {
			some = append(some, all[i])
		}
	}
	return some
}

// batch is one resource with what build puts in.
func batch(service string, build ...func(pmetric.MetricSlice)) pmetric.Metrics {
	return from(map[string]any{"service.name": service}, build...)
}

func from(resource map[string]any, build ...func(pmetric.MetricSlice)) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	_ = rm.Resource().Attributes().FromRaw(resource)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("test")
	for _, b := range build {
		b(sm.Metrics())
	}
	return md
}

// counter is a delta sum with one point of value 1 for each series user=u<from>…, of two methods in turn.
func counter(name string, from, to int) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		points := deltaCounter(ms, name)
		points.EnsureCapacity(to - from)
		for i := from; i < to; i++ {
			p := points.AppendEmpty()
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(epoch.Add(-time.Second)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
			p.SetIntValue(1)
			p.Attributes().PutStr("user", fmt.Sprint("u", i))
			p.Attributes().PutStr("method", []string{"GET", "POST"}[i%2])
		}
	}
}

func deltaCounter(ms pmetric.MetricSlice, name string) pmetric.NumberDataPointSlice {
	m := ms.AppendEmpty()
	m.SetName(name)
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	return s.DataPoints()
}

// one is a point of a delta counter with the attributes.
func one(name string, attrs map[string]any) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		p := deltaCounter(ms, name).AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(epoch))
		p.SetIntValue(1)
		_ = p.Attributes().FromRaw(attrs)
	}
}

// marker is the end of a series: a point without value.
func marker(name string, attrs map[string]any) func(pmetric.MetricSlice) {
	return func(ms pmetric.MetricSlice) {
		one(name, attrs)(ms)
		p := ms.At(ms.Len() - 1).Sum().DataPoints().At(0)
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
}

func user(i int) map[string]any { return map[string]any{"user": fmt.Sprint("u", i)} }
