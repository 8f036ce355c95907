package remotewriteexporter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// put adds a metric with n points of any type to a batch of its own resource.
func put(md pmetric.Metrics, name string, kind pmetric.MetricType, n int) pmetric.Metric {
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	const cumulative, at = pmetric.AggregationTemporalityCumulative, pcommon.Timestamp(1e9)
	//exhaustive:enforce
	switch kind {
	case pmetric.MetricTypeGauge:
		m.SetEmptyGauge()
		for i := range n {
			p := m.Gauge().DataPoints().AppendEmpty()
			p.SetTimestamp(at)
			p.SetIntValue(int64(i))
			p.Attributes().PutInt("i", int64(i))
		}
	case pmetric.MetricTypeSum:
		m.SetEmptySum().SetAggregationTemporality(cumulative)
		m.Sum().SetIsMonotonic(true)
		for i := range n {
			p := m.Sum().DataPoints().AppendEmpty()
			p.SetTimestamp(at)
			p.SetDoubleValue(float64(i))
			p.Attributes().PutInt("i", int64(i))
		}
	case pmetric.MetricTypeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(cumulative)
		for i := range n {
			p := m.Histogram().DataPoints().AppendEmpty()
			p.SetTimestamp(at)
			p.SetCount(3)
			p.SetSum(2)
			p.ExplicitBounds().FromRaw([]float64{1})
			p.BucketCounts().FromRaw([]uint64{2, 1})
			p.Attributes().PutInt("i", int64(i))
		}
	case pmetric.MetricTypeExponentialHistogram:
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(cumulative)
		for i := range n {
			p := m.ExponentialHistogram().DataPoints().AppendEmpty()
			p.SetTimestamp(at)
			p.SetCount(3)
			p.Positive().BucketCounts().FromRaw([]uint64{2, 1})
			p.Attributes().PutInt("i", int64(i))
		}
	case pmetric.MetricTypeSummary:
		m.SetEmptySummary()
		for i := range n {
			p := m.Summary().DataPoints().AppendEmpty()
			p.SetTimestamp(at)
			p.SetCount(3)
			q := p.QuantileValues().AppendEmpty()
			q.SetQuantile(0.5)
			q.SetValue(1)
			p.Attributes().PutInt("i", int64(i))
		}
	case pmetric.MetricTypeEmpty:
	}
	return m
}

var types = []pmetric.MetricType{
	pmetric.MetricTypeGauge, pmetric.MetricTypeSum, pmetric.MetricTypeHistogram, pmetric.MetricTypeExponentialHistogram, pmetric.MetricTypeSummary,
}

// every is a batch with all types, n points each.
func every(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for _, kind := range types {
		put(md, "m."+kind.String(), kind, n)
	}
	return md
}

// What is wrong with metrics, what is left out for it and what is not.
func TestClean(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(md pmetric.Metrics)
		want   findings
		points int // that are left of the 10
	}{
		"nothing":      {func(pmetric.Metrics) {}, findings{}, 10},
		"empty metric": {func(md pmetric.Metrics) { put(md, "x", pmetric.MetricTypeGauge, 0) }, findings{}, 10},
		"no type":      {func(md pmetric.Metrics) { put(md, "x", pmetric.MetricTypeEmpty, 0) }, findings{}, 10},
		"delta sum": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeSum, 3).Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		}, findings{points: [numUnsent]int{wrongTemporality: 3}, metric: "x"}, 10},
		"unspecified histogram": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeHistogram, 3).Histogram().SetAggregationTemporality(pmetric.AggregationTemporalityUnspecified)
		}, findings{points: [numUnsent]int{wrongTemporality: 3}, metric: "x"}, 10},
		"delta exponential histogram": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeExponentialHistogram, 3).ExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		}, findings{points: [numUnsent]int{wrongTemporality: 3}, metric: "x"}, 10},
		"name":      {func(md pmetric.Metrics) { put(md, "", pmetric.MetricTypeGauge, 3) }, findings{points: [numUnsent]int{noName: 3}}, 10},
		"name of _": {func(md pmetric.Metrics) { put(md, "--", pmetric.MetricTypeGauge, 3) }, findings{points: [numUnsent]int{noName: 3}, metric: "--"}, 10},
		"scale": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeExponentialHistogram, 3).ExponentialHistogram().DataPoints().At(1).SetScale(-5)
		}, findings{points: [numUnsent]int{coarseScale: 1}, metric: "x"}, 12},
		"no value": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeGauge, 3).Gauge().DataPoints().AppendEmpty()
			put(md, "x", pmetric.MetricTypeSum, 0).Sum().DataPoints().AppendEmpty()
		}, findings{points: [numUnsent]int{noValue: 2}, metric: "x"}, 13},
		"stale": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeGauge, 0).Gauge().DataPoints().AppendEmpty().SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		}, findings{}, 11},
		"keys": {func(md pmetric.Metrics) {
			a := put(md, "x", pmetric.MetricTypeSummary, 1).Summary().DataPoints().At(0).Attributes()
			a.PutStr("", "v")
			a.PutStr("___", "is key_") // the translator mends these
			a.PutStr("1", "is key_1")
			a.PutStr("ü", "is _")
			md.ResourceMetrics().At(0).Resource().Attributes().PutStr("", "v")
		}, findings{mended: [numMends]int{mendKey: 2}}, 11},
		"utf8": {func(md pmetric.Metrics) {
			put(md, "x", pmetric.MetricTypeHistogram, 1).Histogram().DataPoints().At(0).Attributes().PutStr("k", "a\xff")
			put(md, "x", pmetric.MetricTypeSum, 1).Sum().DataPoints().At(0).Attributes().PutStr("k", "\xff\xfeb")
		}, findings{mended: [numMends]int{mendUTF8: 2}}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			md := every(2)
			c.spoil(md)
			before, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
			require.NoError(t, err)
			md.MarkReadOnly() // a batch may be another exporter's, too
			out, found := newCleaner(true).clean(md)
			assert.Equal(t, c.want, found)
			assert.Equal(t, c.points, out.DataPointCount())
			after, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
			require.NoError(t, err)
			assert.Equal(t, before, after)

			converter := &converter{}
			_, stats, problems := converter.convert(out)
			assert.Empty(t, problems, "the translator has nothing left to complain about")
			assert.Positive(t, stats.Points())
			again, found := newCleaner(true).clean(out)
			assert.Zero(t, found)
			assert.Equal(t, out, again)
		})
	}
}

func TestMendedText(t *testing.T) {
	md := pmetric.NewMetrics()
	put(md, "x", pmetric.MetricTypeSum, 1).Sum().DataPoints().At(0).Attributes().PutStr("k", "a\xff\xfeb")
	out, _ := newCleaner(true).clean(md)
	v, _ := out.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).Attributes().Get("k")
	assert.Equal(t, "a\uFFFDb", v.Str())
}
