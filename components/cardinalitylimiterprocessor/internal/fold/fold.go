// Package fold keeps the streams that many input series are folded into, for every metric type and temporality. It knows which series
// goes where (the members), adds up what comes in and hands it out once an interval. It is not safe for concurrent use.
package fold

import "time"

// Key is a 128-bit hash of the identity of a series or of a stream: at 64 bits a collision would corrupt values too often.
type Key struct{ Hi, Lo uint64 }

// Kind is a metric type with its temporality.
type Kind uint8

// The kinds. A delta sum is added up whether it is monotonic or not, a cumulative one is not.
const (
	DeltaSum Kind = iota
	CumulativeSum
	CumulativeUpDown
	Gauge
	DeltaHistogram
	CumulativeHistogram
	DeltaExponential
	CumulativeExponential
	Summary
	kinds
)

// cumulative tells whether the kind's state outlives the interval.
func (k Kind) cumulative() bool {
	switch k {
	case CumulativeSum, CumulativeUpDown, CumulativeHistogram, CumulativeExponential, Summary:
		return true
	default:
		return false
	}
}

// GaugeFold is what becomes of the gauges of one stream in one interval.
type GaugeFold uint8

// The folds. None of them depends on the order in which points arrive.
const (
	GaugeDrop GaugeFold = iota // the default: any other value is invented
	GaugeLast                  // the newest point; of several, the greatest
	GaugeMin                   // the lowest of all points
	GaugeMax                   // the greatest of all points
	GaugeMean                  // the mean of each series' newest point; of several, its greatest
	GaugeSum                   // the sum of the same
)

// perMember tells whether only a series' newest point counts, so that the table has to know it.
func (g GaugeFold) perMember() bool { return g == GaugeMean || g == GaugeSum }

// Exponents is one side of an exponential histogram.
type Exponents struct {
	Offset int32
	Counts []uint64
}

// Point is one data point, in or out. Its slices are borrowed: the table copies what it keeps, and what it hands out is good only until
// emit returns.
type Point struct {
	Start, Time uint64 // Unix nanoseconds, 0 if unknown
	NoValue     bool   // the series ended
	Moved       bool   // the series had an output of its own until now: only what comes after the point counts

	IsInt bool
	Int   int64
	Float float64

	Count                  uint64
	Sum, Min, Max          float64
	HasSum, HasMin, HasMax bool

	Bounds  []float64
	Buckets []uint64

	Scale              int32
	ZeroCount          uint64
	ZeroThreshold      float64
	Positive, Negative Exponents
}

// Outcome says what became of a point. The set is closed: it becomes an attribute of a metric.
type Outcome uint8

// The outcomes. Whatever begins with Dropped has no effect on any stream.
const (
	Folded           Outcome = iota
	Baseline                 // a cumulative series' first point, part of which is older than the stream: only what comes after it counts
	Stale                    // an end, nothing to add
	DroppedGauge             // gauges are not folded
	DroppedStream            // there is no stream for it
	DroppedState             // no memory left for a member, without which the point could be counted twice
	DroppedOrder             // older than the series' last point
	DroppedNotFinite         // NaN or infinite
	DroppedMalformed         // buckets or bounds contradict themselves, or a monotonic value is negative
	DroppedOverflow          // the stream's count would pass 64 bits
	outcomes
)

var outcomeNames = [outcomes]string{
	Folded:           "folded",
	Baseline:         "baseline",
	Stale:            "stale",
	DroppedGauge:     "gauge",
	DroppedStream:    "overflow_streams",
	DroppedState:     "member_state",
	DroppedOrder:     "out_of_order",
	DroppedNotFinite: "not_finite",
	DroppedMalformed: "malformed",
	DroppedOverflow:  "count_overflow",
}

func (o Outcome) String() string { return outcomeNames[o] }

// Dropped tells whether the point was lost.
func (o Outcome) Dropped() bool { return o >= DroppedGauge }

// Config bounds a table. Where something is 0 there is no limit, or nothing is ever idle.
type Config struct {
	Gauge      GaugeFold
	MaxStreams int
	MaxBytes   int           // members and streams together
	Idle       time.Duration // counted in whole seconds, rounded up
}
