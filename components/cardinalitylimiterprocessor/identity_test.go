package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// One series may be in several places of a batch, with its attributes in any order.
func TestOneSeriesInManyPlacesIsOne(t *testing.T) {
	r := newRig(t, perMetric(2, "overflow"))
	attrs := func(order []int) func(pmetric.MetricSlice) {
		return func(ms pmetric.MetricSlice) {
			for _, user := range []string{"a", "b", "c"} {
				p := deltaCounter(ms, "m").AppendEmpty()
				p.SetIntValue(1)
				for _, i := range order {
					p.Attributes().PutStr([]string{"k0", "k1", "user"}[i], []string{"v0", "v1", user}[i])
				}
			}
		}
	}
	md := pmetric.NewMetrics()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		batch("shop", attrs(order), attrs(order)).ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	}
	r.send(md)
	got := append(r.out.take(), r.folded()...)
	assert.Len(t, unfolded(got), 2)
	folded := having(got, overflowKey)
	require.Len(t, folded, 1, "the third comes six times, and is one point")
	assert.InDelta(t, 6, folded[0].value, 0)
	assert.Equal(t, map[string]int64{"": 1}, r.counted("folded_members", "none"))
}

// Everything that makes a series another one does: what looks alike is not the same.
func TestWhatIsDifferentIsDifferent(t *testing.T) {
	r := newRig(t, perMetric(1000, "drop"))
	n := 0
	f := func(change func(rm pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, m pmetric.Metric, attrs pcommon.Map)) {
		t.Helper()
		n++
		for range 2 {
			md := batch("shop", one("m", map[string]any{"user": "1"}))
			rm := md.ResourceMetrics().At(0)
			sm := rm.ScopeMetrics().At(0)
			change(rm, sm, sm.Metrics().At(0), sm.Metrics().At(0).Sum().DataPoints().At(0).Attributes())
			r.send(md)
			assert.Equal(t, n, r.active())
		}
	}
	type (
		rms = pmetric.ResourceMetrics
		sms = pmetric.ScopeMetrics
		met = pmetric.Metric
		set = pcommon.Map
	)
	f(func(rms, sms, met, set) {})
	f(func(rm rms, _ sms, _ met, _ set) { rm.Resource().Attributes().PutStr("host", "h") })
	f(func(rm rms, _ sms, _ met, _ set) { rm.Resource().Attributes().PutStr("user", "1") })
	f(func(_ rms, sm sms, _ met, _ set) { sm.Scope().SetName("other") })
	f(func(_ rms, sm sms, _ met, _ set) { sm.Scope().SetVersion("1") })
	f(func(_ rms, sm sms, _ met, _ set) { sm.Scope().Attributes().PutStr("k", "v") })
	f(func(_ rms, _ sms, m met, _ set) { m.SetUnit("s") })
	f(func(_ rms, _ sms, m met, _ set) { m.Sum().SetIsMonotonic(false) })
	f(func(_ rms, _ sms, m met, _ set) { m.Sum().SetAggregationTemporality(cumulative) })
	f(func(_ rms, _ sms, m met, _ set) {
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityUnspecified)
	})
	f(func(_ rms, _ sms, m met, _ set) {
		m.Sum().SetIsMonotonic(false)
		m.Sum().SetAggregationTemporality(cumulative)
	})
	f(func(_ rms, _ sms, _ met, a set) { a.PutInt("user", 1) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutDouble("user", 1) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutBool("user", true) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutEmptyBytes("user").FromRaw([]byte("1")) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutEmptySlice("user").AppendEmpty().SetStr("1") })
	f(func(_ rms, _ sms, _ met, a set) { a.PutStr("user", "") })
	f(func(_ rms, _ sms, _ met, a set) { a.PutEmpty("user") })
	f(func(_ rms, _ sms, _ met, a set) { a.PutStr("", "") })
	f(func(_ rms, _ sms, _ met, a set) { a.Remove("user") })
	f(func(_ rms, _ sms, _ met, a set) { a.Remove("user"); a.PutStr("1", "user") })
	f(func(_ rms, _ sms, _ met, a set) { a.PutStr("user", "\xff") })
	f(func(_ rms, _ sms, _ met, a set) { a.PutDouble("user", math.NaN()) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutDouble("user", math.Copysign(0, -1)) })
	f(func(_ rms, _ sms, _ met, a set) { a.PutDouble("user", 0) })
}

// A point without temporality is no delta: it is not folded into the stream of a series that looks like its own.
func TestPointsThatCannotBeFoldedAreDroppedAndCounted(t *testing.T) {
	r := newRig(t, perMetric(1, "overflow"))
	r.send(batch("shop", one("m", user(0))))
	for _, temporality := range []pmetric.AggregationTemporality{delta, pmetric.AggregationTemporalityUnspecified, 17} {
		r.send(batch("shop", func(ms pmetric.MetricSlice) {
			one("m", user(1))(ms)
			ms.At(0).Sum().SetIsMonotonic(false)
			ms.At(0).Sum().SetAggregationTemporality(temporality)
		}))
	}
	assert.Equal(t, map[string]int64{"malformed": 2}, r.drops())
	assert.Equal(t, map[string]int64{"passed": 1, "overflow": 1, "dropped": 2}, r.points())
}

// Two collectors that fold before us are two series, and one stream of ours.
func TestStreamsOfOtherCollectorsFoldIntoOne(t *testing.T) {
	r := newRig(t, rules(RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 1}), named("gateway"))
	r.protect[writerKey] = true
	for i := range 4 {
		r.send(batch("shop", one("m", map[string]any{"user": fmt.Sprint("u", i), writerKey: fmt.Sprint("agent", i)})))
	}
	got := r.folded()
	require.Len(t, having(got, "__overflow__"), 1)
	assert.Equal(t, "gateway", having(got, "__overflow__")[0].attrs[writerKey])
}

// Whatever comes, memory is bounded, and nothing that was not admitted passes.
func TestMemoryIsBoundedWhateverComes(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	many := map[string]any{}
	for i := range 1000 {
		many[fmt.Sprint("k", i)] = "v"
	}
	f := func(name string, count int, next func(i int) pmetric.Metrics) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) {
				rules(RuleConfig{Name: "series", Per: []string{"metric"}, MaxSeries: 3, Action: "degrade"},
					RuleConfig{Name: "values", Per: []string{"metric", "attribute"}, MaxValues: 5, Action: "degrade"})(c)
				c.MaxMemoryMiB = 8
			})
			before := heapBytes()
			sent := 0
			for i := range count {
				md := next(i)
				sent += md.DataPointCount()
				r.send(md)
				r.out.batches = nil
			}
			assert.LessOrEqual(t, r.bytes(), 6<<20+2<<20)
			assert.Less(t, heapBytes()-before, int64(24<<20))
			assert.LessOrEqual(t, r.active(), 3*r.leaves(), "no budget has more")
			require.NoError(t, r.flush(context.Background()))
			assert.EqualValues(t, sent, sum(r.points()))
		})
	}
	names := 20_000
	if underRace {
		names /= 10
	}
	f("metric names", names, func(i int) pmetric.Metrics { return batch("shop", counter(fmt.Sprint("m", i), 0, 5)) })
	f("services", names, func(i int) pmetric.Metrics { return batch(fmt.Sprint("s", i), counter("m", 0, 5)) })
	f("long values", 60, func(i int) pmetric.Metrics {
		return batch("shop", one("m", map[string]any{"user": fmt.Sprint(i, long)}))
	})
	f("long keys", 60, func(i int) pmetric.Metrics { return batch("shop", one("m", map[string]any{fmt.Sprint(i, long): "v"})) })
	f("long names", 60, func(i int) pmetric.Metrics { return batch("shop", counter(fmt.Sprint(i, long), 0, 5)) })
	f("long services", 60, func(i int) pmetric.Metrics { return batch(fmt.Sprint(i, long), counter("m", 0, 5)) })
	f("many attributes", 300, func(i int) pmetric.Metrics {
		many["k0"] = strconv.Itoa(i)
		return batch("shop", one("m", many))
	})
	f("exemplars", 20, func(i int) pmetric.Metrics {
		return batch("shop", func(ms pmetric.MetricSlice) {
			for user := range 4 {
				one(fmt.Sprint("m", i), map[string]any{"user": fmt.Sprint(user, long)})(ms)
				ms.At(user).Sum().DataPoints().At(0).Exemplars().AppendEmpty().SetIntValue(1)
			}
		})
	})
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far less
}

// Keys that are there twice are against the protocol, and come all the same.
func TestDuplicateKeys(t *testing.T) {
	r := newRig(t, func(c *Config) {
		perMetric(1, "degrade")(c)
		c.Protect = []string{"k"}
	})
	for i := range 30 {
		md, err := new(pmetric.JSONUnmarshaler).UnmarshalMetrics(fmt.Appendf(nil, `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":
			{"aggregationTemporality":1,"dataPoints":[{"asInt":"1","attributes":[{"key":"k","value":{"stringValue":"%d"}},{"key":"k","value":{"stringValue":"x"}}]}]}}]}]}]}`, i))
		require.NoError(t, err)
		r.send(md)
	}
	got := append(r.out.take(), r.folded()...)
	assert.InDelta(t, 30, total(got), 0)
	assert.Len(t, unfolded(got), 1)
}

// Numbers at the edges have a defined result.
func TestNumbersAtTheEdges(t *testing.T) {
	f := func(want float64, dropped string, points ...func(p pmetric.NumberDataPoint)) {
		t.Helper()
		r := newRig(t, perMetric(1, "overflow"))
		r.send(batch("shop", one("m", user(0))))
		r.out.take()
		for i, set := range points {
			r.send(batch("shop", func(ms pmetric.MetricSlice) {
				one("m", user(i+1))(ms)
				set(ms.At(0).Sum().DataPoints().At(0))
			}))
		}
		got := r.folded()
		if dropped != "" {
			assert.Empty(t, got)
			assert.Equal(t, map[string]int64{dropped: int64(len(points))}, r.drops())
			return
		}
		require.Len(t, got, 1)
		assert.InDelta(t, want, got[0].value, 0)
	}
	integer := func(n int64) func(pmetric.NumberDataPoint) {
		return func(p pmetric.NumberDataPoint) { p.SetIntValue(n) }
	}
	double := func(n float64) func(pmetric.NumberDataPoint) {
		return func(p pmetric.NumberDataPoint) { p.SetDoubleValue(n) }
	}
	f(7, "", integer(3), integer(4))
	f(2*math.MaxInt64, "", integer(math.MaxInt64), integer(math.MaxInt64))
	f(math.MaxInt64+1.0, "", integer(math.MaxInt64), double(1))
	f(0, "", double(math.Copysign(0, -1)))
	f(0, "not_finite", double(math.NaN()), double(math.Inf(1)), double(math.Inf(-1)))
	f(1e308, "", double(1e308), double(1e308), double(-1e308)) // on the way beyond what a double holds
	f(1, "", func(p pmetric.NumberDataPoint) { p.SetStartTimestamp(0); p.SetTimestamp(0) })
}
