package harness

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Point is a data point of a metric of any type with what surrounds it.
type Point struct {
	Origin
	Name, Unit  string
	Type        string // "Gauge", "Sum", "Histogram", "ExponentialHistogram", "Summary"
	Temporality string // "Cumulative", "Delta"; empty for gauges and summaries
	Monotonic   bool   // of a sum
	Attrs       map[string]any
	Start, Time time.Time
	NoValue     bool // the flag "no recorded value", a staleness marker
	Exemplars   []Exemplar

	Value float64 // of gauges and sums
	IsInt bool    // whether Value came as an integer

	Count     uint64 // this and the following: of histograms and summaries
	Sum       float64
	Bounds    []float64
	Buckets   []uint64            // one more than Bounds; of a Histogram only
	Scale     int32               // of an ExponentialHistogram, whose buckets are left to Metrics()
	Quantiles map[float64]float64 // of a Summary
}

// Exemplar is a sample of a point, perhaps with the trace it comes from.
type Exemplar struct {
	TraceID, SpanID string
	Value           float64
	Time            time.Time
	Attrs           map[string]any
}

func flattenMetrics(data pmetric.Metrics) []Point {
	var list []Point
	for _, rm := range data.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			from := origin(rm.Resource(), sm.Scope())
			for _, m := range sm.Metrics().All() {
				list = append(list, flattenMetric(from, m)...)
			}
		}
	}
	return list
}

func flattenMetric(from Origin, m pmetric.Metric) []Point {
	base := Point{Origin: from, Name: m.Name(), Unit: m.Unit(), Type: m.Type().String()}
	var list []Point
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		list = numbers(base, m.Gauge().DataPoints())
	case pmetric.MetricTypeSum:
		base.Temporality, base.Monotonic = m.Sum().AggregationTemporality().String(), m.Sum().IsMonotonic()
		list = numbers(base, m.Sum().DataPoints())
	case pmetric.MetricTypeHistogram:
		base.Temporality = m.Histogram().AggregationTemporality().String()
		for _, dp := range m.Histogram().DataPoints().All() {
			p := common(base, dp)
			p.Exemplars = exemplars(dp.Exemplars())
			p.Count, p.Sum = dp.Count(), dp.Sum()
			p.Bounds, p.Buckets = dp.ExplicitBounds().AsRaw(), dp.BucketCounts().AsRaw()
			list = append(list, p)
		}
	case pmetric.MetricTypeExponentialHistogram:
		base.Temporality = m.ExponentialHistogram().AggregationTemporality().String()
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			p := common(base, dp)
			p.Exemplars = exemplars(dp.Exemplars())
			p.Count, p.Sum, p.Scale = dp.Count(), dp.Sum(), dp.Scale()
			list = append(list, p)
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			p := common(base, dp)
			p.Count, p.Sum, p.Quantiles = dp.Count(), dp.Sum(), map[float64]float64{}
			for _, q := range dp.QuantileValues().All() {
				p.Quantiles[q.Quantile()] = q.Value()
			}
			list = append(list, p)
		}
	case pmetric.MetricTypeEmpty: // a metric without data has no points
	}
	return list
}

func numbers(base Point, points pmetric.NumberDataPointSlice) []Point {
	list := make([]Point, 0, points.Len())
	for _, dp := range points.All() {
		p := common(base, dp)
		p.Exemplars = exemplars(dp.Exemplars())
		if p.IsInt = dp.ValueType() == pmetric.NumberDataPointValueTypeInt; p.IsInt {
			p.Value = float64(dp.IntValue())
		} else {
			p.Value = dp.DoubleValue()
		}
		list = append(list, p)
	}
	return list
}

type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
	Flags() pmetric.DataPointFlags
}

func common(p Point, dp dataPoint) Point {
	p.Attrs = dp.Attributes().AsRaw()
	p.Start, p.Time = moment(dp.StartTimestamp()), moment(dp.Timestamp())
	p.NoValue = dp.Flags().NoRecordedValue()
	return p
}

func exemplars(es pmetric.ExemplarSlice) []Exemplar {
	var list []Exemplar
	for _, e := range es.All() {
		x := Exemplar{
			TraceID: e.TraceID().String(), SpanID: e.SpanID().String(),
			Time: moment(e.Timestamp()), Attrs: e.FilteredAttributes().AsRaw(),
		}
		if e.ValueType() == pmetric.ExemplarValueTypeInt {
			x.Value = float64(e.IntValue())
		} else {
			x.Value = e.DoubleValue()
		}
		list = append(list, x)
	}
	return list
}
