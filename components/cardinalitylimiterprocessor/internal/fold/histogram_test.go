package fold

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func hist(start, time uint64, bounds []float64, buckets ...uint64) *Point {
	p := &Point{Start: start, Time: time, Bounds: bounds, Buckets: buckets}
	for _, c := range buckets {
		p.Count += c
	}
	return p
}

func TestBounds(t *testing.T) {
	f := func(kind Kind, want *Point, points ...*Point) {
		t.Helper()
		r := newRig(t, kind, Config{})
		for i, p := range points {
			r.fold(i, p, Folded)
		}
		p, _ := r.collect(t0 + 1)
		assert.Equal(t, want.Count, p.Count)
		assert.Equal(t, append([]float64(nil), want.Bounds...), p.Bounds)
		assert.Equal(t, want.Buckets, p.Buckets)
		assert.Equal(t, streamCost(kind, 4)+boundsCost(len(p.Bounds)), r.bytes)
	}
	for _, kind := range []Kind{DeltaHistogram, CumulativeHistogram} {
		point := func(bounds []float64, buckets ...uint64) *Point { return hist(0, t0, bounds, buckets...) }
		f(kind, point([]float64{1, 2}, 5, 7, 9), point([]float64{1, 2}, 1, 2, 3), point([]float64{1, 2}, 4, 5, 6))
		f(kind, point([]float64{2}, 3+1, 3+1), point([]float64{1, 2}, 1, 2, 3), point([]float64{2}, 1, 1))             // finer first
		f(kind, point([]float64{2}, 3+1, 3+1), point([]float64{2}, 1, 1), point([]float64{1, 2}, 1, 2, 3))             // coarser first
		f(kind, point([]float64{2}, 3+2, 3+6), point([]float64{1, 2}, 1, 2, 3), point([]float64{2, 4, 5}, 2, 1, 2, 3)) // overlapping
		f(kind, point(nil, 6+3), point([]float64{1, 2}, 1, 2, 3), point([]float64{3}, 1, 2))                           // disjoint
		f(kind, point(nil, 6+9), point([]float64{1, 2}, 1, 2, 3), &Point{Time: t0, Count: 9})                          // none
		f(kind, point(nil, 9), &Point{Time: t0, Count: 9})
		f(kind, point([]float64{0, 4}, 3, 12, 6), point([]float64{0, 1, 4}, 1, 2, 3, 4), point([]float64{-1, 0, 4, 9}, 1, 1, 7, 1, 1))
		f(kind, point([]float64{math.Copysign(0, -1)}, 2, 2), point([]float64{math.Copysign(0, -1)}, 1, 1), point([]float64{0}, 1, 1))

		// Four changes are allowed; the fifth leaves no bounds.
		falling := []*Point{point([]float64{1, 2, 3, 4, 5, 6}, 1, 1, 1, 1, 1, 1, 1)}
		for n := 5; n > 1; n-- {
			falling = append(falling, hist(0, t0, falling[0].Bounds[:n], make([]uint64, n+1)...))
		}
		f(kind, point([]float64{1, 2}, 1, 1, 5), falling...)
		f(kind, point(nil, 7), append(falling, point([]float64{1}, 0, 0))...)
	}
}

func TestMalformedHistogram(t *testing.T) {
	f := func(p *Point) {
		t.Helper()
		for _, kind := range []Kind{DeltaHistogram, CumulativeHistogram} {
			newRig(t, kind, Config{}).fold(1, p, DroppedMalformed)
		}
	}
	f(hist(0, 0, []float64{1}, 1))
	f(hist(0, 0, nil, 1, 2))
	f(hist(0, 0, []float64{1, 1}, 1, 2, 3))
	f(hist(0, 0, []float64{2, 1}, 1, 2, 3))
	f(hist(0, 0, []float64{math.NaN()}, 1, 2))
	f(hist(0, 0, []float64{1, math.NaN(), 2}, 1, 2, 3, 4))
	f(&Point{Count: 4, Bounds: []float64{1}, Buckets: []uint64{1, 2}})
	f(hist(0, 0, []float64{1, 2}, math.MaxUint64, 2, math.MaxUint64-1)) // adds up, on a second lap
}

// More bounds than a stream may have are as good as none; so are bounds that there is no memory for.
func TestManyBounds(t *testing.T) {
	bounds := make([]float64, maxBounds+1)
	for i := range bounds {
		bounds[i] = float64(i)
	}
	p := hist(0, t0, bounds, make([]uint64, len(bounds)+1)...)
	r := newRig(t, CumulativeHistogram, Config{})
	r.fold(1, p, Folded)
	got, _ := r.collect(t0 + 1)
	assert.Equal(t, []uint64{0}, got.Buckets)

	r = newRig(t, DeltaHistogram, Config{MaxBytes: 30_000})
	p.Bounds, p.Buckets = p.Bounds[:maxBounds], p.Buckets[:maxBounds+1]
	p.Buckets[7], p.Count = 3, 3
	r.fold(1, p, Folded)
	got, _ = r.collect(t0 + 1)
	assert.Equal(t, []uint64{3}, got.Buckets)
	assert.LessOrEqual(t, r.Bytes(), 30_000)
}

func TestHistogramRange(t *testing.T) {
	f := func(want Point, points ...Point) {
		t.Helper()
		r := newRig(t, DeltaHistogram, Config{})
		for refuse := range 2 {
			for i, p := range points {
				r.fold(i, &p, Folded)
				if i == 0 && refuse == 1 {
					r.collect(t0 + 10)
				}
			}
			r.Restore()
			got, _ := r.collect(t0 + 20 + uint64(refuse))
			r.Commit()
			got.Start, got.Time, got.Bounds, got.Buckets = 0, 0, nil, nil
			assert.Equal(t, want, got)
		}
	}
	all := Point{Sum: 1.5, HasSum: true, Min: 2, HasMin: true, Max: 3, HasMax: true}
	more := Point{Sum: -4, HasSum: true, Min: 1, HasMin: true, Max: 2.5, HasMax: true}
	f(all, all)
	f(Point{Sum: -2.5, HasSum: true, Min: 1, HasMin: true, Max: 3, HasMax: true}, all, more)
	f(Point{Min: 1, HasMin: true, Max: 3, HasMax: true}, all, Point{Min: 1, HasMin: true, Max: 3, HasMax: true})
	f(Point{Sum: 2.5, HasSum: true}, all, Point{Sum: 1, HasSum: true, Min: 1, HasMin: true})
	f(Point{Sum: 2.5, HasSum: true}, Point{Sum: 1, HasSum: true}, all)
	f(Point{}, all, Point{}, all)
}

func TestCumulativeHistogram(t *testing.T) {
	bounds := []float64{1, 2}
	point := func(start, time uint64, sum float64, buckets ...uint64) *Point {
		p := hist(start, time, bounds, buckets...)
		p.Sum, p.HasSum, p.Min, p.HasMin, p.Max, p.HasMax = sum, true, 0, true, 9, true
		return p
	}
	want := func(time uint64, sum float64, buckets ...uint64) *Point {
		p := hist(t0-5, time, bounds, buckets...)
		p.Sum, p.HasSum = sum, true
		return p
	}
	r := newRig(t, CumulativeHistogram, Config{})
	r.fold(1, point(t0-5, t0, 1.5, 1, 2, 3), Folded)
	r.sends(t0+1, want(0, 1.5, 1, 2, 3))
	r.fold(2, point(0, t0, 7, 4, 4, 4), Baseline)
	r.fold(1, point(t0-5, t0, 1.5, 1, 2, 3), Folded) // a retry
	r.fold(1, point(t0-5, t0, 1, 1, 2, 3), DroppedOrder)
	r.fold(1, point(t0-5, t0+2, 1, 2, 2, 4), Folded)
	r.fold(2, point(0, t0+2, 8, 4, 4, 5), Folded)
	r.sends(t0+3, want(0, 2, 2, 2, 5))
	r.fold(1, point(t0-5, t0+4, 10, 9, 1, 9), Folded) // one bucket has less: begun anew
	r.sends(t0+5, want(0, 12, 11, 3, 14))
	other := point(t0-5, t0+6, 1, 9, 1, 10)
	other.Bounds = []float64{1, 3}
	r.fold(1, other, Folded) // no less anywhere, but other bounds: begun anew, and the stream keeps what it shares with them
	bounds = []float64{1}
	r.sends(t0+7, want(0, 13, 20, 3+14+11))
	bounds = []float64{1, 2}
	r.fold(2, point(0, t0+6, 8, 4, 4, math.MaxUint64-8), DroppedOverflow)
	none := point(0, t0+7, 0, 4, 4, 6)
	none.HasSum = false
	r.fold(2, none, Folded)
	bounds = []float64{1}
	got := want(0, 0, 20, 3+14+11+1)
	got.HasSum = false
	r.sends(t0+8, got)
}
