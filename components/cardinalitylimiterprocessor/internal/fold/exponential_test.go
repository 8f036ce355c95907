package fold

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func expPoint(scale int32, threshold float64, zero uint64, offset int32, counts ...uint64) *Point {
	p := hist(0, t0, nil, counts...)
	p.Buckets = nil
	p.Count += zero
	p.Scale, p.ZeroThreshold, p.ZeroCount, p.Positive = scale, threshold, zero, Exponents{Offset: offset, Counts: counts}
	return p
}

func TestExponentialMerge(t *testing.T) {
	f := func(want *Point, points ...*Point) {
		t.Helper()
		for i := range 2 * len(points) { // also the other way around, and negative
			r := newRig(t, DeltaExponential, Config{})
			for j := range points {
				p := *points[(i+j)%len(points)]
				if i >= len(points) {
					p.Positive, p.Negative = p.Negative, p.Positive
				}
				r.fold(j, &p, Folded)
			}
			r.Collect(t0+1, func(_ *Stream, got *Point) {
				side, none := got.Positive, got.Negative
				if i >= len(points) {
					side, none = none, side
				}
				assert.Equal(t, want.Count, got.Count)
				assert.Equal(t, want.Scale, got.Scale)
				assert.Equal(t, want.ZeroCount, got.ZeroCount)
				exactly(t, want.ZeroThreshold, got.ZeroThreshold)
				assert.Equal(t, append([]uint64{}, want.Positive.Counts...), side.Counts)
				assert.Equal(t, want.Positive.Offset, side.Offset)
				assert.Empty(t, none.Counts)
			})
		}
	}
	one := expPoint(0, 0, 1, 3, 1, 2)
	f(one, one)
	f(expPoint(0, 0, 2, 3, 2, 4), one, one)
	f(expPoint(0, 0, 1, 3, 1, 2), one, expPoint(20, 0, 0, 9))         // an empty one has a scale, too: it only costs resolution below
	f(expPoint(0, 0, 1, 1, 7, 0, 1, 2), one, expPoint(0, 0, 0, 1, 7)) // the lower offset, and a gap
	f(expPoint(0, 0, 1, 1, 7, 0, 9, 2), one, expPoint(0, 0, 0, 1, 7, 0, 8))
	f(expPoint(0, 0, 1, 3, 1, 2, 0, 0, 5), one, expPoint(0, 0, 0, 7, 5))
	f(expPoint(-1, 0, 1, 1, 4, 2+4), one, expPoint(-1, 0, 0, 1, 3, 4))
	f(expPoint(0, 0, 1, -2, 3, 7, 11, 0, 0, 1, 2), one, expPoint(1, 0, 0, -4, 1, 2, 3, 4, 5, 6))
	f(expPoint(0, 0, 1, 3, 1, 2), one, expPoint(0, 0, 0, -50, 0, 0, 0)) // empty buckets take no room

	// Zero buckets: 2^3 to 2^4 has one count, 2^4 to 2^5 two.
	f(expPoint(0, 8, 3, 3, 1, 2), one, expPoint(0, 8, 2, 0))
	f(expPoint(0, 16, 4, 4, 2), one, expPoint(0, 9, 2, 0))  // lies on the first: takes all of it
	f(expPoint(0, 16, 4, 4, 2), one, expPoint(0, 16, 2, 0)) // exactly on its end
	f(expPoint(0, 32, 6, 0), one, expPoint(0, 17, 2, 0))
	f(expPoint(0, 8, 3, 3, 1, 2), one, expPoint(0, 4.5, 1, 2, 0, 0), expPoint(0, 7, 0, 2, 1))

	// 160 buckets are kept, one more halves the resolution.
	f(expPoint(3, 0, 0, -80, append(append([]uint64{1}, make([]uint64, 158)...), 1)...), expPoint(3, 0, 0, -80, 1), expPoint(3, 0, 0, 79, 1))
	f(expPoint(2, 0, 0, -40, append(append([]uint64{1}, make([]uint64, 79)...), 1)...), expPoint(3, 0, 0, -80, 1), expPoint(3, 0, 0, 80, 1))
}

func TestExponentialExtremes(t *testing.T) {
	f := func(p *Point, want Outcome) {
		t.Helper()
		for _, kind := range []Kind{DeltaExponential, CumulativeExponential} {
			r := newRig(t, kind, Config{})
			r.fold(1, p, want)
			r.fold(2, expPoint(3, 0.5, 1, 0, 1), Folded)
			p.Time++
			r.fold(1, p, want)
			r.collect(t0 + 1)
		}
	}
	f(expPoint(0, 0, 0, math.MaxInt32, 1, 1), DroppedMalformed)
	f(expPoint(0, 0, 0, math.MinInt32, 1), DroppedMalformed)
	f(expPoint(-11, 0, 0, math.MinInt32, 1), DroppedMalformed)
	f(expPoint(0, 0, 0, 1024, 1), DroppedMalformed)
	f(expPoint(0, 0, 0, 1023, 1), Folded)
	f(expPoint(0, 0, 0, -1075, 1), Folded)
	f(expPoint(0, 0, 0, -1076, 1), DroppedMalformed)
	f(expPoint(40, 0, 0, math.MaxInt32, 1, 1, 1), Folded)
	f(expPoint(40, 0, 0, math.MinInt32, 1, 1, 1), Folded)
	f(expPoint(20, 0, 0, -1<<19, make([]uint64, 1<<20)...), Folded)
	f(expPoint(41, 0, 0, 0, 1), DroppedMalformed)
	f(expPoint(-12, 0, 0, 0, 1), DroppedMalformed)
	f(expPoint(0, -1, 0, 0, 1), DroppedMalformed)
	f(expPoint(0, math.NaN(), 0, 0, 1), DroppedMalformed)
	f(expPoint(0, math.Inf(1), 0, 0, 1), DroppedMalformed)
	f(expPoint(0, math.MaxFloat64, 0, 1023, 1), Folded)
	f(&Point{Count: 2, Positive: Exponents{Counts: []uint64{1}}}, DroppedMalformed)
	f(expPoint(0, 0, 3, 0, math.MaxUint64), DroppedMalformed)

	// A span too wide for any other scale.
	r := newRig(t, DeltaExponential, Config{})
	r.fold(1, expPoint(20, 0, 0, -1, 1), Folded)
	r.fold(1, expPoint(0, 0, 0, -1075, append(append([]uint64{1}, make([]uint64, 2097)...), 1)...), Folded)
	p, _ := r.collect(t0 + 1)
	assert.Equal(t, int32(-4), p.Scale)
	assert.Equal(t, uint64(3), p.Count)
}

// A member whose scale goes down has not begun anew.
func TestExponentialMember(t *testing.T) {
	r := newRig(t, CumulativeExponential, Config{})
	next := func(time uint64, p *Point, total uint64) {
		t.Helper()
		p.Start, p.Time = t0-1, t0+time
		r.fold(1, p, Folded)
		got, _ := r.collect(t0 + time + 1)
		r.Commit()
		assert.Equal(t, total, got.Count)
		sum := got.ZeroCount
		for _, c := range got.Positive.Counts {
			sum += c
		}
		assert.Equal(t, total, sum)
	}
	next(1, expPoint(2, 0, 0, 0, 1, 2, 3, 4), 10)
	next(3, expPoint(1, 0, 0, 0, 3, 8), 11)
	next(5, expPoint(1, 2, 3, 1, 8), 11)              // a greater zero bucket
	next(7, expPoint(1, 2, 3, 1, 8, 0, 0, 0, 5), 16)  // more buckets: another cell
	next(9, expPoint(1, 2, 3, 1, 7, 1, 1, 1, 5), 34)  // less in one: begun anew
	next(11, expPoint(1, 0, 3, 1, 7, 1, 1, 1, 9), 38) // a smaller one again
}
