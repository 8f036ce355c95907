package cardinalitylimiterprocessor

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// memoryStorage is a storage extension for many restarts a second.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc
	data  map[string][]byte
	fails error
}

func (s *memoryStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *memoryStorage) Get(_ context.Context, key string) ([]byte, error) { return s.data[key], nil }

func (s *memoryStorage) Set(_ context.Context, key string, value []byte) error {
	if s.fails == nil {
		s.data[key] = value
	}
	return s.fails
}

func (s *memoryStorage) Delete(_ context.Context, key string) error {
	delete(s.data, key)
	return nil
}

func (*memoryStorage) Batch(context.Context, ...*storage.Operation) error {
	return errors.New("not used")
}

func (*memoryStorage) Close(context.Context) error { return nil }

func (w *world) metric(m pmetric.Metric) {
	marking := w.dice.roll(10) == 0
	flags := pmetric.DefaultDataPointFlags.WithNoRecordedValue(marking)
	temporality := []pmetric.AggregationTemporality{pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityCumulative}
	count := 1 + w.dice.roll(3)
	switch kind := w.dice.roll(8); kind {
	case 0, 1, 2:
		m.SetName("tracked.sum")
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(temporality[0])
		for range count {
			p := s.DataPoints().AppendEmpty()
			p.SetIntValue(int64(1 + w.dice.roll(3)))
			w.stamp(p, flags)
		}
	case 3:
		m.SetName("tracked.histogram")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality[0])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetCount(3)
			p.SetSum(5)
			p.ExplicitBounds().FromRaw([][]float64{{1}, {1, 2}, {3}}[w.dice.roll(3)])
			p.BucketCounts().FromRaw([]uint64{1, 2, 0}[:p.ExplicitBounds().Len()+1])
			w.stamp(p, flags)
		}
	case 4:
		m.SetName("wild.number")
		if w.dice.roll(2) == 0 {
			w.numbers(m.SetEmptyGauge().DataPoints(), count, flags)
			return
		}
		s := m.SetEmptySum()
		s.SetIsMonotonic(w.dice.roll(2) == 0)
		s.SetAggregationTemporality(temporality[w.dice.roll(2)])
		w.numbers(s.DataPoints(), count, flags)
	case 5:
		m.SetName("wild.histogram")
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality[w.dice.roll(2)])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetCount(uint64(w.dice.roll(6)))
			p.SetSum(w.float())
			p.ExplicitBounds().FromRaw([][]float64{{1}, {1, 2}, {2, 1}, {math.NaN()}, nil}[w.dice.roll(5)])
			p.BucketCounts().FromRaw([]uint64{uint64(w.dice.roll(4)), 2, 0}[:w.dice.roll(4)])
			w.stamp(p, flags)
		}
	case 6:
		m.SetName("wild.exponential")
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(temporality[w.dice.roll(2)])
		for range count {
			p := h.DataPoints().AppendEmpty()
			p.SetScale(int32(w.dice.roll(60) - 30))
			p.SetZeroThreshold(w.float())
			p.SetZeroCount(uint64(w.dice.roll(3)))
			p.Positive().SetOffset([]int32{0, -5, math.MaxInt32, math.MinInt32}[w.dice.roll(4)])
			p.Positive().BucketCounts().FromRaw([]uint64{1, 0, 2}[:w.dice.roll(4)])
			for _, n := range p.Positive().BucketCounts().All() {
				p.SetCount(p.Count() + n)
			}
			p.SetCount(p.Count() + p.ZeroCount())
			p.SetSum(w.float())
			w.stamp(p, flags)
		}
	case 7:
		m.SetName("wild.summary")
		for range count {
			p := m.SetEmptySummary().DataPoints().AppendEmpty()
			p.SetCount(uint64(w.dice.roll(5)))
			p.SetSum(w.float())
			w.stamp(p, flags)
		}
	}
}

func (w *world) numbers(points pmetric.NumberDataPointSlice, count int, flags pmetric.DataPointFlags) {
	for range count {
		p := points.AppendEmpty()
		switch w.dice.roll(3) {
		case 0:
			p.SetIntValue([]int64{0, 1, -1, math.MaxInt64, math.MinInt64}[w.dice.roll(5)])
		case 1:
			p.SetDoubleValue(w.float())
		}
		w.stamp(p, flags)
	}
}

func (w *world) float() float64 {
	return []float64{0, 1, -1.5, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}[w.dice.roll(8)]
}

func (w *world) stamp(p interface {
	Attributes() pcommon.Map
	SetStartTimestamp(pcommon.Timestamp)
	SetTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}, flags pmetric.DataPointFlags,
) {
	now := pcommon.NewTimestampFromTime(w.r.clock.now())
	p.SetStartTimestamp([]pcommon.Timestamp{0, now - 1e9, now, 1, now + 1e9, math.MaxUint64}[w.dice.roll(6)])
	p.SetTimestamp([]pcommon.Timestamp{now, now - 5e9, 0, now + 1e9, math.MaxUint64}[w.dice.roll(5)])
	p.SetFlags(flags)
	p.Attributes().PutStr("user", fmt.Sprint("u", w.dice.roll(9)))
	switch w.dice.roll(7) {
	case 0:
		p.Attributes().PutEmptyMap("odd").PutInt("n", 1)
	case 1:
		p.Attributes().PutDouble("odd", math.NaN())
	case 2:
		p.Attributes().PutEmptyBytes("\xff").FromRaw([]byte{0})
	}
}
