//go:build e2e

package e2e

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// addNatives adds to a round of counters an exemplar each, and as many exponential histograms.
func addNatives(data pmetric.Metrics, round int, now time.Time) {
	metrics := data.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
	at := pcommon.NewTimestampFromTime(now)
	points := metrics.At(0).Sum().DataPoints()
	for i := range points.Len() {
		e := points.At(i).Exemplars().AppendEmpty()
		e.SetTimestamp(at)
		e.SetDoubleValue(float64(round))
		e.SetTraceID(pcommon.TraceID{byte(round), byte(round >> 8), byte(i), 1})
	}
	m := metrics.AppendEmpty()
	m.SetName("latency")
	m.SetUnit("s")
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for i := range points.Len() {
		p := m.ExponentialHistogram().DataPoints().AppendEmpty()
		p.SetTimestamp(at)
		p.Attributes().PutStr("i", strconv.Itoa(i))
		p.SetCount(uint64(round))
		p.SetSum(float64(round))
		p.SetScale(3)
		p.Positive().BucketCounts().FromRaw([]uint64{uint64(round)})
	}
}
