package cardinalitylimiterprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/sluice-otel/sluice/components/cardinalitylimiterprocessor/internal/fold"
)

// form is a type with its temporality. Each series of it counts 3 in round 0, and 2 more in each round after that.
type form struct {
	name  string
	kind  fold.Kind
	build func(m pmetric.Metric, round, series int)
}

var (
	delta      = pmetric.AggregationTemporalityDelta
	cumulative = pmetric.AggregationTemporalityCumulative
)

func forms() []form {
	amount := func(t pmetric.AggregationTemporality, round int) int {
		switch {
		case t == cumulative:
			return 3 + 2*round
		case round > 0:
			return 2
		default:
			return 3
		}
	}
	sums := func(t pmetric.AggregationTemporality, monotonic bool) func(pmetric.Metric, int, int) {
		return func(m pmetric.Metric, round, series int) {
			s := m.SetEmptySum()
			s.SetIsMonotonic(monotonic)
			s.SetAggregationTemporality(t)
			for i := range series {
				p := s.DataPoints().AppendEmpty()
				p.SetIntValue(int64(amount(t, round)))
				stampRound(p, t, round, i)
			}
		}
	}
	histograms := func(t pmetric.AggregationTemporality) func(pmetric.Metric, int, int) {
		return func(m pmetric.Metric, round, series int) {
			h := m.SetEmptyHistogram()
			h.SetAggregationTemporality(t)
			for i := range series {
				p := h.DataPoints().AppendEmpty()
				n := amount(t, round)
				p.SetCount(uint64(n))
				p.SetSum(float64(n) / 2)
				p.ExplicitBounds().FromRaw([]float64{1, 2})
				p.BucketCounts().FromRaw([]uint64{uint64(n) - 1, 0, 1})
				stampRound(p, t, round, i)
			}
		}
	}
	exponentials := func(t pmetric.AggregationTemporality) func(pmetric.Metric, int, int) {
		return func(m pmetric.Metric, round, series int) {
			h := m.SetEmptyExponentialHistogram()
			h.SetAggregationTemporality(t)
			for i := range series {
				p := h.DataPoints().AppendEmpty()
				n := amount(t, round)
				p.SetCount(uint64(n))
				p.SetSum(float64(n) / 2)
				p.SetZeroCount(1)
				p.Positive().BucketCounts().FromRaw([]uint64{uint64(n) - 1})
				stampRound(p, t, round, i)
			}
		}
	}
	return []form{
		{"delta sum", fold.DeltaSum, sums(delta, true)},
		{"cumulative sum", fold.CumulativeSum, sums(cumulative, true)},
		{"delta up-down sum", fold.DeltaSum, sums(delta, false)},
		{"cumulative up-down sum", fold.CumulativeUpDown, sums(cumulative, false)},
		{"delta histogram", fold.DeltaHistogram, histograms(delta)},
		{"cumulative histogram", fold.CumulativeHistogram, histograms(cumulative)},
		{"delta exponential histogram", fold.DeltaExponential, exponentials(delta)},
		{"cumulative exponential histogram", fold.CumulativeExponential, exponentials(cumulative)},
	}
}

const roundLength = 10 * time.Second

func stampRound(p interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
}, t pmetric.AggregationTemporality, round, series int,
) {
	end := epoch.Add(time.Duration(round) * roundLength)
	start := epoch.Add(-roundLength)
	if t == delta {
		start = end.Add(-roundLength)
	}
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	p.SetTimestamp(pcommon.NewTimestampFromTime(end))
	p.Attributes().PutStr("user", fmt.Sprint("u", series))
}

// Two hundred series of every shape become the limit and one, in every round, and nothing of what they say is lost or told twice.
func TestAllShapesBecomeTheLimitAndOne(t *testing.T) {
	for _, s := range forms() {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t, perMetric(20, "overflow"))
			var all []sample
			const rounds = 4
			for round := range rounds {
				all = append(all, r.round(s, round, 200)...)
				require.Len(t, streams(all), 21)
				require.Len(t, unfolded(all), 20)
			}
			value, sum := said(all, s.kind)
			assert.InDelta(t, 200*(3+2*(rounds-1)), value, 0)
			if s.kind >= fold.DeltaHistogram {
				assert.InDelta(t, value/2, sum, 0)
			}
			inOrder(t, all)
			assert.Equal(t, map[string]int64{"passed": 20 * rounds, "overflow": 180 * rounds}, r.points())
		})
	}
}

// round sends one point of each series, flushes, and waits for the next round.
func (r *rig) round(f form, round, series int) []sample {
	r.t.Helper()
	r.send(batch("shop", func(ms pmetric.MetricSlice) {
		m := ms.AppendEmpty()
		m.SetName("m")
		f.build(m, round, series)
	}))
	got := append(r.out.take(), r.folded()...)
	r.clock.advance(roundLength - time.Second)
	return got
}

// said adds up all deltas, or the last points of all streams.
func said(all []sample, kind fold.Kind) (value, sum float64) {
	last := map[string]sample{}
	for _, s := range all {
		switch kind {
		case fold.DeltaSum, fold.DeltaHistogram, fold.DeltaExponential:
			value += s.value
			sum += s.sum
		default:
			last[s.id] = s
		}
	}
	for _, s := range last {
		value += s.value
		sum += s.sum
	}
	return value, sum
}

// inOrder holds against every stream what whoever stores it expects: its times go on, and its intervals do not overlap.
func inOrder(t *testing.T, all []sample) {
	t.Helper()
	last := map[string]sample{}
	for _, s := range all {
		before, known := last[s.id]
		last[s.id] = s
		if !known {
			continue
		}
		assert.Greater(t, s.time, before.time, s.id)
		if s.kind == fold.DeltaSum || s.kind == fold.DeltaHistogram || s.kind == fold.DeltaExponential || s.start != before.start {
			assert.GreaterOrEqual(t, s.start, before.time, s.id)
		}
	}
}

// One name with different types or units is different series, and different overflow streams.
func TestTypesAndUnitsDoNotMix(t *testing.T) {
	r := newRig(t, perMetric(1, "overflow"))
	r.send(batch("shop", func(ms pmetric.MetricSlice) {
		for i, s := range forms() {
			for _, unit := range []string{"s", "By"} {
				m := ms.AppendEmpty()
				m.SetName("m")
				m.SetUnit(unit)
				s.build(m, 0, i+2)
			}
		}
	}))
	r.out.take()
	counts := map[string]float64{}
	for _, s := range r.folded() {
		counts[s.id] += s.value
	}
	assert.Len(t, counts, 16)
	for id, n := range counts {
		for i, s := range forms() {
			if len(having([]sample{{id: id}}, fmt.Sprintf(" %d %t ", s.kind, i < 2))) == 1 && (s.kind != fold.DeltaSum || i == 0) {
				assert.Zero(t, int(n)%3, id)
			}
		}
	}
	assert.InDelta(t, 16*5.5-1, r.points()["overflow"], 0)
}
