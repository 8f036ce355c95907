package cardinalitylimiterprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

func TestSummariesFoldToCountAndSum(t *testing.T) {
	r := newRig(t, perMetric(1, "overflow"))
	for round := range 3 {
		r.send(batch("shop", func(ms pmetric.MetricSlice) {
			m := ms.AppendEmpty()
			m.SetName("m")
			s := m.SetEmptySummary()
			for i := range 5 {
				p := s.DataPoints().AppendEmpty()
				p.SetCount(uint64(10 * (round + 1)))
				p.SetSum(float64(100 * (round + 1)))
				q := p.QuantileValues().AppendEmpty()
				q.SetQuantile(0.99)
				q.SetValue(7)
				stampRound(p, cumulative, round, i)
			}
		}))
		r.out.batches = nil
		r.clock.advance(roundLength)
		require.NoError(t, r.flush(t.Context()))
		require.Len(t, r.out.batches, 1)
		p := r.out.batches[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Summary().DataPoints().At(0)
		assert.EqualValues(t, 4*10*(round+1), p.Count())
		assert.InDelta(t, 4*100*(round+1), p.Sum(), 0)
		assert.Zero(t, p.QuantileValues().Len(), "quantiles of many series say nothing about all of them")
		assert.Equal(t, pcommon.NewTimestampFromTime(epoch.Add(-roundLength)), p.StartTimestamp())
	}
}

func TestGauges(t *testing.T) {
	f := func(fold string, want ...float64) {
		t.Helper()
		for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
			r := newRig(t, func(c *Config) {
				perMetric(1, "overflow")(c)
				c.Overflow.Gauge = fold
			})
			gauge := func(user int, value float64, second int) {
				r.send(batch("shop", func(ms pmetric.MetricSlice) {
					m := ms.AppendEmpty()
					m.SetName("m")
					p := m.SetEmptyGauge().DataPoints().AppendEmpty()
					p.SetDoubleValue(value)
					p.SetTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(second) * time.Second)))
					p.Attributes().PutStr("user", fmt.Sprint("u", user))
				}))
			}
			gauge(9, 1000, 0)
			r.out.take()
			points := []func(){func() { gauge(1, 4, 1) }, func() { gauge(2, 8, 2) }, func() { gauge(3, -1, 1) }, func() { gauge(4, 5, 2) }}
			for _, i := range order {
				points[i]()
			}
			var got []float64
			for _, s := range r.folded() {
				got = append(got, s.value)
			}
			assert.Equal(t, want, got, "%s in the order %v", fold, order)
			if fold == "drop" {
				assert.Equal(t, map[string]int64{"gauge": 4}, r.drops())
				assert.Equal(t, map[string]int64{"passed": 1, "dropped": 4}, r.points())
			}
		}
	}
	f("drop") // any value would be invented
	f("last", 8)
	f("min", -1)
	f("max", 8)
	f("mean", 4)
	f("sum", 16)
}

func TestExemplarsKeepWhatTheStreamHasNot(t *testing.T) {
	r := newRig(t, perMetric(1, "degrade"))
	for i := range 50 {
		r.send(batch("shop", func(ms pmetric.MetricSlice) {
			one("m", map[string]any{"user": fmt.Sprint("u", i), "method": "GET"})(ms)
			e := ms.At(0).Sum().DataPoints().At(0).Exemplars().AppendEmpty()
			e.SetIntValue(int64(i))
			e.FilteredAttributes().PutStr("trace", "t")
		}))
	}
	r.out.take()
	r.clock.advance(time.Second)
	require.NoError(t, r.flush(t.Context()))
	require.Len(t, r.out.batches, 1)
	n := 0
	for _, rm := range r.out.batches[0].ResourceMetrics().All() {
		p := rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
		assert.LessOrEqual(t, p.Exemplars().Len(), 8)
		for _, e := range p.Exemplars().All() {
			n++
			user, _ := e.FilteredAttributes().Get("user")
			assert.Equal(t, fmt.Sprint("u", e.IntValue()), user.Str())
			_, trace := e.FilteredAttributes().Get("trace")
			assert.True(t, trace)
			_, kept := p.Attributes().Get("method")
			_, again := e.FilteredAttributes().Get("method")
			assert.NotEqual(t, kept, again, "what the stream has is not said again")
		}
	}
	assert.GreaterOrEqual(t, n, 8)
}
