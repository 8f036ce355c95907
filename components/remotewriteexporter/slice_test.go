package remotewriteexporter

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// texts lists every point with all that is around it, in order.
func texts(t *testing.T, md pmetric.Metrics) (all []string) {
	t.Helper()
	for i := range md.DataPointCount() {
		text, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(between(md, i, i+1))
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}

// Pieces have every point once, in order, with its metric, scope and resource.
func TestParts(t *testing.T) {
	md := every(7)
	rm := md.ResourceMetrics().At(1)
	rm.SetSchemaUrl("a")
	rm.Resource().Attributes().PutStr("r", "1")
	rm.ScopeMetrics().At(0).Scope().SetName("s")
	rm.ScopeMetrics().At(0).SetSchemaUrl("b")
	m := rm.ScopeMetrics().At(0).Metrics().At(0)
	m.SetUnit("s")
	m.SetDescription("d")
	m.Metadata().PutStr("k", "v")
	m.CopyTo(rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty())
	want := texts(t, md)
	assert.Len(t, want, 42)
	md.MarkReadOnly()
	for n := range 50 {
		pieces := parts(md, n)
		var got []string
		for _, piece := range pieces {
			assert.NotZero(t, piece.DataPointCount())
			got = append(got, texts(t, piece)...)
		}
		assert.Len(t, pieces, max(1, min(n, 42)))
		require.Equal(t, want, got)
		assert.Equal(t, want, texts(t, join(pieces)))
		slices.SortFunc(pieces, func(a, b pmetric.Metrics) int { return a.DataPointCount() - b.DataPointCount() })
		assert.LessOrEqual(t, pieces[len(pieces)-1].DataPointCount()-pieces[0].DataPointCount(), 1)
	}
}

// Half of a metric is the metric but for its points.
func TestHalfAMetric(t *testing.T) {
	for _, kind := range types {
		md := pmetric.NewMetrics()
		m := put(md, "x", kind, 2)
		m.SetUnit("s")
		m.SetDescription("d")
		m.Metadata().PutStr("prometheus.type", "info")
		piece := between(md, 1, 2)
		switch kind { //nolint:exhaustive // what is left is to be equal to the half
		case pmetric.MetricTypeGauge:
			m.Gauge().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return p.IntValue() == 0 })
		case pmetric.MetricTypeSum:
			m.Sum().DataPoints().RemoveIf(func(p pmetric.NumberDataPoint) bool { return p.DoubleValue() == 0 })
		default:
			continue
		}
		assert.Equal(t, md, piece)
	}
	md := every(2)
	for i := range md.ResourceMetrics().Len() {
		whole := md.ResourceMetrics().At(i).ScopeMetrics().At(0).Metrics().At(0)
		half := between(md, 2*i, 2*i+1).ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
		assert.Equal(t, whole.Type(), half.Type())
		//exhaustive:enforce
		switch half.Type() {
		case pmetric.MetricTypeHistogram:
			assert.Equal(t, whole.Histogram().AggregationTemporality(), half.Histogram().AggregationTemporality())
		case pmetric.MetricTypeExponentialHistogram:
			assert.Equal(t, whole.ExponentialHistogram().AggregationTemporality(), half.ExponentialHistogram().AggregationTemporality())
		case pmetric.MetricTypeEmpty, pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeSummary:
		}
	}
}
