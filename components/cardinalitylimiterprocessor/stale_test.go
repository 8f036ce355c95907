package cardinalitylimiterprocessor

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func TestAnEndedSeriesGivesItsPlaceBackAtOnce(t *testing.T) {
	r := newRig(t, perMetric(1, "drop"))
	r.send(batch("shop", one("m", user(1))))
	r.send(batch("shop", one("m", user(2))))
	require.Len(t, r.out.take(), 1)
	r.send(batch("shop", marker("m", user(1))))
	got := r.out.take()
	require.Len(t, got, 1, "whoever stores the series has to hear of its end")
	assert.True(t, got[0].ended)
	assert.Zero(t, r.active())
	r.send(batch("shop", one("m", user(2))))
	assert.Len(t, r.out.take(), 1)
	assert.Equal(t, map[string]int64{"passed": 3, "dropped": 1}, r.points())
}

func TestTheEndOfAnUnknownSeriesAllocatesNothing(t *testing.T) {
	r := newRig(t, perMetric(10, "overflow"))
	before, folds := r.bytes(), r.folds.Bytes()
	for i := range 100 {
		r.send(batch("shop", marker(fmt.Sprint("m", i), user(1))))
	}
	assert.Empty(t, r.out.take())
	assert.Equal(t, before, r.bytes())
	assert.Equal(t, folds, r.folds.Bytes())
	assert.Equal(t, map[string]int64{"stale": 100}, r.drops())
}

// An ended member of a stream of current values takes its value with it.
func TestAnEndedMemberLeavesItsStream(t *testing.T) {
	r := newRig(t, perMetric(1, "overflow"))
	point := func(i int, build func(string, map[string]any) func(pmetric.MetricSlice)) {
		r.send(batch("shop", func(ms pmetric.MetricSlice) {
			build("m", user(i))(ms)
			ms.At(0).Sum().SetIsMonotonic(false)
			ms.At(0).Sum().SetAggregationTemporality(cumulative)
		}))
	}
	for i := range 4 {
		point(i, one)
	}
	r.out.take()
	got := r.folded()
	require.Len(t, got, 1)
	assert.InDelta(t, 3, got[0].value, 0)
	point(2, marker)
	assert.Empty(t, r.out.take(), "the series was never there for whoever is next")
	got = r.folded()
	require.Len(t, got, 1)
	assert.InDelta(t, 2, got[0].value, 0)
	assert.Equal(t, map[string]int64{"": 2}, r.counted("folded_members", "none"))
}

// The place is free only once the end has been delivered: a batch that is refused comes again.
func TestARefusedEndFreesNothing(t *testing.T) {
	r := newRig(t, perMetric(1, "drop"))
	r.send(batch("shop", one("m", user(1))))
	r.out.take()
	r.out.err = errLater
	require.ErrorIs(t, r.ConsumeMetrics(t.Context(), batch("shop", marker("m", user(1)))), errLater)
	assert.Equal(t, 1, r.active())
	r.out.err = nil
	r.send(batch("shop", marker("m", user(1))))
	assert.Len(t, r.out.take(), 1)
	assert.Zero(t, r.active())
}

// What belongs to a batch that ends a series and goes on with it keeps its place.
func TestASeriesThatEndsAndGoesOnInOneBatchKeepsItsPlace(t *testing.T) {
	r := newRig(t, perMetric(1, "drop"))
	r.send(batch("shop", one("m", user(1))))
	r.send(batch("shop", marker("m", user(1)), one("m", user(1))))
	r.send(batch("shop", one("m", user(2))))
	r.send(batch("shop", one("m", user(1))))
	assert.Len(t, unfolded(r.out.take()), 1)
}
