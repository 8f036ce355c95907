package cardinalitylimiterprocessor

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/ident"
)

// attributesHash does not depend on the attributes' order.
func attributesHash(h ident.Hasher, m pcommon.Map) (sum uint64) {
	for key, value := range m.All() {
		sum += valueHash(h.String(key), value)
	}
	return sum
}

// valueHash stands for a key, by its hash, and a value.
func valueHash(key uint64, v pcommon.Value) uint64 {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return ident.Str(key, v.Str())
	case pcommon.ValueTypeInt:
		return ident.Int(key, v.Int())
	case pcommon.ValueTypeDouble:
		return ident.Double(key, math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		return ident.Bool(key, v.Bool())
	default:
		return ident.Other(key, v.AsString())
	}
}

func scopeHash(h ident.Hasher, s pcommon.InstrumentationScope) uint64 {
	return ident.Mix(ident.Mix(h.String(s.Name()), h.String(s.Version())), attributesHash(h, s.Attributes()))
}

// metricHash has everything that makes points of one name different streams: two services that disagree on a metric's type or unit do
// not get into one stream.
func metricHash(h ident.Hasher, m pmetric.Metric, kind fold.Kind, monotonic bool) uint64 {
	x := ident.Mix(h.String(m.Name()), h.String(m.Unit()))
	if monotonic {
		x++
	}
	return ident.Mix(x, uint64(kind))
}

// kindOf is not ok for metrics without points and of temporalities that are none.
func kindOf(m pmetric.Metric) (kind fold.Kind, monotonic, ok bool) {
	pick := func(t pmetric.AggregationTemporality, delta, cumulative fold.Kind) (fold.Kind, bool, bool) {
		switch t {
		case pmetric.AggregationTemporalityDelta:
			return delta, monotonic, true
		case pmetric.AggregationTemporalityCumulative:
			return cumulative, monotonic, true
		default:
			return unknownKind(m), monotonic, false
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return fold.Gauge, false, true
	case pmetric.MetricTypeSum:
		monotonic = m.Sum().IsMonotonic()
		cumulative := fold.CumulativeUpDown
		if monotonic {
			cumulative = fold.CumulativeSum
		}
		return pick(m.Sum().AggregationTemporality(), fold.DeltaSum, cumulative)
	case pmetric.MetricTypeHistogram:
		return pick(m.Histogram().AggregationTemporality(), fold.DeltaHistogram, fold.CumulativeHistogram)
	case pmetric.MetricTypeExponentialHistogram:
		return pick(m.ExponentialHistogram().AggregationTemporality(), fold.DeltaExponential, fold.CumulativeExponential)
	case pmetric.MetricTypeSummary:
		return fold.Summary, false, true
	default:
		return unknownKind(m), false, false
	}
}

// unknownKind tells metrics apart that cannot be folded.
func unknownKind(m pmetric.Metric) fold.Kind { return fold.Kind(128 + m.Type()) } //nolint:gosec // a small enum
