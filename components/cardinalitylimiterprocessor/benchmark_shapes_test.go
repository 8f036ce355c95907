package cardinalitylimiterprocessor

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const (
	shapeSeries = 200
	shapeLimit  = 20
	windows     = 10
)

// stored is what a backend has of the batches: the last value of a series at a time, and the sum of a delta series over times.
type stored map[string]map[pcommon.Timestamp]float64

func (s stored) add(batches []pmetric.Metrics) {
	for _, md := range batches {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					eachPoint(m, func(_ int, p stamped) {
						id := fmt.Sprint(rm.Resource().Attributes().AsRaw(), m.Name(), p.Attributes().AsRaw())
						if s[id] == nil {
							s[id] = map[pcommon.Timestamp]float64{}
						}
						s[id][p.Timestamp()] = amount(p)
					})
				}
			}
		}
	}
}

func (s stored) total() (sum float64) {
	for _, values := range s {
		for _, v := range values {
			sum += v
		}
	}
	return sum
}

// amount is a point's value, or its number of observations.
func amount(p any) float64 {
	switch p := p.(type) {
	case pmetric.NumberDataPoint:
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			return float64(p.IntValue())
		}
		return p.DoubleValue()
	case interface{ Count() uint64 }:
		return float64(p.Count())
	}
	return 0
}

// window is one batch of new series, each worth 1.
func window(s shape, number int, at time.Time) pmetric.Metrics {
	return batch("shop", func(ms pmetric.MetricSlice) {
		m := ms.AppendEmpty()
		m.SetName("requests")
		s.empty(m, shapeSeries)
		eachPoint(m, func(i int, p stamped) {
			p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Second)))
			p.SetTimestamp(pcommon.NewTimestampFromTime(at))
			p.Attributes().PutStr("http.route", "/cart")
			p.Attributes().PutStr("user.id", strconv.Itoa(number*shapeSeries+i))
		})
	})
}

// limited gives what comes out of the limiter for each window.
func limited(tb testing.TB, s shape, windows int) []stored {
	tb.Helper()
	out := new(consumertest.MetricsSink)
	p, c := start(tb, out, func(cfg *Config) {
		perMetric(shapeLimit, "overflow")(cfg)
		cfg.Overflow.Gauge = "sum"
	})
	var list []stored
	for i := range windows {
		c.advance(29 * time.Second)
		require.NoError(tb, p.ConsumeMetrics(context.Background(), window(s, i, c.now())))
		c.advance(time.Second)
		require.NoError(tb, p.flush(context.Background()))
		got := stored{}
		got.add(out.AllMetrics())
		out.Reset()
		list = append(list, got)
	}
	return list
}

// stripped is what comes of removing the attribute and nothing else: points of many series become points of one.
func stripped(s shape, windows int) []stored {
	var list []stored
	for i := range windows {
		md := window(s, i, epoch.Add(time.Duration(30*i+29)*time.Second))
		eachPoint(md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0), func(_ int, p stamped) {
			p.Attributes().Remove("user.id")
		})
		got := stored{}
		got.add([]pmetric.Metrics{md})
		list = append(list, got)
	}
	return list
}

func TestEveryShapeIsLimitedAndKeepsItsTotal(t *testing.T) {
	for s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			got := limited(t, s, 1)[0]
			assert.Len(t, got, shapeLimit+1)
			assert.InDelta(t, shapeSeries, got.total(), 0)
			assert.InDelta(t, 1, stripped(s, 1)[0].total(), 0, "the comparison is of something")
		})
	}
}

func TestEveryWindowOfChurnIsLimited(t *testing.T) {
	all := stored{}
	for i, got := range limited(t, deltaSum, windows) {
		want := 1
		if i == 0 {
			want += shapeLimit
		}
		assert.Len(t, got, want)
		assert.InDelta(t, shapeSeries, got.total(), 0)
		for id := range got {
			all[id] = got[id]
		}
	}
	assert.Len(t, all, shapeLimit+1)
}

// BenchmarkShapes has no times: it is the table of what comes out, next to that of what it costs.
func BenchmarkShapes(b *testing.B) {
	report := func(name string, windows int, run func(b *testing.B) []stored) {
		b.Run(name, func(b *testing.B) {
			var list []stored
			for b.Loop() {
				list = run(b)
			}
			most, all := 0, 0.0
			for _, got := range list {
				most = max(most, len(got))
				all += got.total()
			}
			b.ReportMetric(float64(shapeSeries), "series-in")
			b.ReportMetric(float64(most), "series-out")
			b.ReportMetric(float64(shapeSeries*windows), "total-in")
			b.ReportMetric(all, "total-out")
			b.ReportMetric(0, "ns/op")
		})
	}
	for s := range shapes {
		report(s.String()+"/limiter", 1, func(b *testing.B) []stored { return limited(b, s, 1) })
		report(s.String()+"/stripped", 1, func(*testing.B) []stored { return stripped(s, 1) })
	}
	report(fmt.Sprintf("churn_of_%d_windows/limiter", windows), windows, func(b *testing.B) []stored { return limited(b, deltaSum, windows) })
	report(fmt.Sprintf("churn_of_%d_windows/stripped", windows), windows, func(*testing.B) []stored { return stripped(deltaSum, windows) })
}
