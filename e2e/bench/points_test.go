package main

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// seen is what a request has of points.
type seen struct {
	points, exploding int
	kinds             map[string]int
	series            map[string]bool
	users             map[string]bool
	times             map[time.Time]int
	deltaStarts       map[time.Time]int
	otherStarts       map[time.Time]int
}

func newSeen() *seen {
	return &seen{
		kinds: map[string]int{}, series: map[string]bool{}, users: map[string]bool{},
		times: map[time.Time]int{}, deltaStarts: map[time.Time]int{}, otherStarts: map[time.Time]int{},
	}
}

func (s *seen) add(t *testing.T, body []byte) {
	t.Helper()
	req := pmetricotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(body))
	for _, rm := range req.Metrics().ResourceMetrics().All() {
		pod, _ := rm.Resource().Attributes().Get("k8s.pod.name")
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			point := func(a pcommon.Map, at, start pcommon.Timestamp, temporality pmetric.AggregationTemporality) {
				s.points++
				assert.Equal(t, 5, a.Len())
				s.kinds[fmt.Sprintf("%s %s", m.Type(), temporality)]++
				s.series[pod.Str()+m.Name()+fmt.Sprint(a.AsRaw())] = true
				s.times[at.AsTime()]++
				if user, ok := a.Get("user.id"); ok {
					s.exploding++
					_, err := hex.DecodeString(user.Str())
					assert.NoError(t, err)
					s.users[user.Str()] = true
				}
				if temporality == pmetric.AggregationTemporalityDelta {
					s.deltaStarts[start.AsTime()]++
				} else {
					s.otherStarts[start.AsTime()]++
				}
			}
			switch m.Type() {
			case pmetric.MetricTypeGauge:
				for _, p := range m.Gauge().DataPoints().All() {
					point(p.Attributes(), p.Timestamp(), p.StartTimestamp(), pmetric.AggregationTemporalityUnspecified)
				}
			case pmetric.MetricTypeSum:
				for _, p := range m.Sum().DataPoints().All() {
					point(p.Attributes(), p.Timestamp(), p.StartTimestamp(), m.Sum().AggregationTemporality())
				}
			case pmetric.MetricTypeHistogram:
				for _, p := range m.Histogram().DataPoints().All() {
					assert.Equal(t, p.ExplicitBounds().Len()+1, p.BucketCounts().Len())
					count := uint64(0)
					for _, n := range p.BucketCounts().All() {
						count += n
					}
					assert.Equal(t, p.Count(), count)
					point(p.Attributes(), p.Timestamp(), p.StartTimestamp(), m.Histogram().AggregationTemporality())
				}
			}
		}
	}
}

func TestRequest(t *testing.T) {
	zero := time.Unix(0, 0).UTC()
	began := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	first, second := began.Add(time.Second), began.Add(3*time.Second)
	r, err := newRequest(3, false, began)
	require.NoError(t, err)

	s := newSeen()
	s.add(t, r.next(first))
	kinds := map[string]int{"Gauge Unspecified": 300, "Sum Cumulative": 300, "Sum Delta": 200, "Histogram Cumulative": 100, "Histogram Delta": 100}
	assert.Equal(t, kinds, s.kinds)
	assert.Len(t, s.series, requestPoints)
	assert.Equal(t, map[time.Time]int{first: requestPoints}, s.times)
	assert.Equal(t, map[time.Time]int{began: 300}, s.deltaStarts)
	assert.Equal(t, map[time.Time]int{zero: 300, began: 400}, s.otherStarts, "gauges have no start")
	assert.Zero(t, s.exploding)

	again := newSeen()
	again.add(t, r.next(second))
	assert.Equal(t, s.series, again.series)
	assert.Equal(t, map[time.Time]int{second: requestPoints}, again.times)
	assert.Equal(t, map[time.Time]int{first: 300}, again.deltaStarts, "an interval begins where the one before it ended")
	assert.Equal(t, s.otherStarts, again.otherStarts)

	other, err := newRequest(4, false, began)
	require.NoError(t, err)
	again.add(t, other.next(second))
	assert.Len(t, again.series, 2*requestPoints)
}

func TestRequestExplodes(t *testing.T) {
	r, err := newRequest(0, true, time.Unix(1, 0))
	require.NoError(t, err)
	const usual, exploding = requestPoints * 3 / 4, requestPoints / 4
	s := newSeen()
	for n := range users {
		s.add(t, r.next(time.Unix(2+int64(n), 0)))
		require.Len(t, s.series, usual+(n+1)*exploding)
	}
	assert.Equal(t, users*exploding, s.exploding)
	assert.Len(t, s.users, users*exploding)
	s.add(t, r.next(time.Unix(1000, 0)))
	assert.Len(t, s.users, users*exploding, "the same come again")
}
