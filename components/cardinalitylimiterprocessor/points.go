package cardinalitylimiterprocessor

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// point is what all data points have.
type point interface {
	pmetric.NumberDataPoint | pmetric.HistogramDataPoint | pmetric.ExponentialHistogramDataPoint | pmetric.SummaryDataPoint
	Attributes() pcommon.Map
	Flags() pmetric.DataPointFlags
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// arena lends the slices of points that are read: until it is reset they stay where they are.
type arena struct {
	counts []uint64
	bounds []float64
}

func (a *arena) reset() { a.counts, a.bounds = a.counts[:0], a.bounds[:0] }

func (a *arena) copyCounts(from pcommon.UInt64Slice) []uint64 {
	start := len(a.counts)
	for i := range from.Len() {
		a.counts = append(a.counts, from.At(i))
	}
	return a.counts[start:len(a.counts):len(a.counts)]
}

func (a *arena) copyBounds(from pcommon.Float64Slice) []float64 {
	start := len(a.bounds)
	for i := range from.Len() {
		a.bounds = append(a.bounds, from.At(i))
	}
	return a.bounds[start:len(a.bounds):len(a.bounds)]
}

// readPoint gives a point to the engine.
func readPoint[P point](from P, to *fold.Point, a *arena) {
	*to = fold.Point{Start: uint64(from.StartTimestamp()), Time: uint64(from.Timestamp()), NoValue: from.Flags().NoRecordedValue()}
	switch from := any(from).(type) {
	case pmetric.NumberDataPoint:
		switch from.ValueType() {
		case pmetric.NumberDataPointValueTypeInt:
			to.IsInt, to.Int = true, from.IntValue()
		default:
			to.Float = from.DoubleValue()
		}
	case pmetric.HistogramDataPoint:
		to.Count = from.Count()
		to.HasSum, to.Sum = from.HasSum(), from.Sum()
		to.HasMin, to.Min = from.HasMin(), from.Min()
		to.HasMax, to.Max = from.HasMax(), from.Max()
		to.Bounds, to.Buckets = a.copyBounds(from.ExplicitBounds()), a.copyCounts(from.BucketCounts())
	case pmetric.ExponentialHistogramDataPoint:
		to.Count = from.Count()
		to.HasSum, to.Sum = from.HasSum(), from.Sum()
		to.HasMin, to.Min = from.HasMin(), from.Min()
		to.HasMax, to.Max = from.HasMax(), from.Max()
		to.Scale, to.ZeroCount, to.ZeroThreshold = from.Scale(), from.ZeroCount(), from.ZeroThreshold()
		to.Positive = fold.Exponents{Offset: from.Positive().Offset(), Counts: a.copyCounts(from.Positive().BucketCounts())}
		to.Negative = fold.Exponents{Offset: from.Negative().Offset(), Counts: a.copyCounts(from.Negative().BucketCounts())}
	case pmetric.SummaryDataPoint:
		to.Count, to.HasSum, to.Sum = from.Count(), true, from.Sum()
	}
}

// writePoint fills the only point of a stream's metric, which has its attributes already.
func writePoint(from *fold.Point, exemplars []pmetric.Exemplar, m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		to := m.Gauge().DataPoints().At(0)
		writeNumber(from, to)
		putExemplars(exemplars, to)
	case pmetric.MetricTypeSum:
		to := m.Sum().DataPoints().At(0)
		writeNumber(from, to)
		putExemplars(exemplars, to)
	case pmetric.MetricTypeHistogram:
		to := m.Histogram().DataPoints().At(0)
		writeHistogram(from, to)
		putExemplars(exemplars, to)
	case pmetric.MetricTypeExponentialHistogram:
		to := m.ExponentialHistogram().DataPoints().At(0)
		writeExponential(from, to)
		putExemplars(exemplars, to)
	case pmetric.MetricTypeSummary:
		to := m.Summary().DataPoints().At(0)
		stamp(from, to)
		to.SetCount(from.Count)
		to.SetSum(from.Sum)
	}
}

func stamp(from *fold.Point, to interface {
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
},
) {
	to.SetStartTimestamp(pcommon.Timestamp(from.Start))
	to.SetTimestamp(pcommon.Timestamp(from.Time))
	to.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(from.NoValue))
}

func writeNumber(from *fold.Point, to pmetric.NumberDataPoint) {
	stamp(from, to)
	switch {
	case from.NoValue:
	case from.IsInt:
		to.SetIntValue(from.Int)
	default:
		to.SetDoubleValue(from.Float)
	}
}

func writeHistogram(from *fold.Point, to pmetric.HistogramDataPoint) {
	stamp(from, to)
	to.SetCount(from.Count)
	if from.HasSum {
		to.SetSum(from.Sum)
	}
	if from.HasMin {
		to.SetMin(from.Min)
	}
	if from.HasMax {
		to.SetMax(from.Max)
	}
	to.ExplicitBounds().FromRaw(from.Bounds)
	to.BucketCounts().FromRaw(from.Buckets)
}

func writeExponential(from *fold.Point, to pmetric.ExponentialHistogramDataPoint) {
	stamp(from, to)
	to.SetCount(from.Count)
	if from.HasSum {
		to.SetSum(from.Sum)
	}
	if from.HasMin {
		to.SetMin(from.Min)
	}
	if from.HasMax {
		to.SetMax(from.Max)
	}
	to.SetScale(from.Scale)
	to.SetZeroCount(from.ZeroCount)
	to.SetZeroThreshold(from.ZeroThreshold)
	to.Positive().SetOffset(from.Positive.Offset)
	to.Positive().BucketCounts().FromRaw(from.Positive.Counts)
	to.Negative().SetOffset(from.Negative.Offset)
	to.Negative().BucketCounts().FromRaw(from.Negative.Counts)
}
