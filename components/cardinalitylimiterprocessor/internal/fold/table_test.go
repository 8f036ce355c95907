package fold

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const t0 = 1000 * second

var output = Key{7, 7}

func series(i int) Key { return Key{uint64(i) * 0x9e3779b97f4a7c15, uint64(i) * 0xd1b54a32d192ed03} }

func ints(start, time uint64, v int64) *Point {
	return &Point{Start: start, Time: time, IsInt: true, Int: v}
}

// rig is a table with one stream, made at t0.
type rig struct {
	*Table
	t *testing.T
}

func newRig(t *testing.T, kind Kind, cfg Config) rig {
	if cfg.Idle == 0 {
		cfg.Idle = time.Minute
	}
	r := rig{Table: NewTable(cfg), t: t}
	require.NotNil(t, r.AddStream(output, kind, []byte("meta"), t0))
	return r
}

func (r rig) fold(id int, p *Point, want Outcome) {
	r.t.Helper()
	assert.Equal(r.t, want.String(), r.Fold(r.Stream(output), series(id), p, max(p.Time, t0)).String())
}

// collect gives the one point there is, without its slices.
func (r rig) collect(now uint64) (p Point, ok bool) {
	r.t.Helper()
	r.Collect(now, func(s *Stream, got *Point) {
		assert.False(r.t, ok, "a second point")
		assert.Equal(r.t, output, s.Key())
		assert.Equal(r.t, "meta", string(s.Meta()))
		p, ok = *got, true
		p.Bounds, p.Buckets = append([]float64(nil), got.Bounds...), append([]uint64(nil), got.Buckets...)
	})
	return p, ok
}

// sends collects, commits and holds the point to what is wanted.
func (r rig) sends(now uint64, want *Point) {
	r.t.Helper()
	p, ok := r.collect(now)
	r.Commit()
	if want == nil {
		assert.False(r.t, ok, "got %+v", p)
		return
	}
	want.Time = now
	assert.Equal(r.t, *want, p)
}

func TestDelta(t *testing.T) {
	r := newRig(t, DeltaSum, Config{})
	r.sends(t0+1, nil)
	r.fold(1, ints(0, t0, 5), Folded)
	r.fold(2, ints(0, t0-99, -2), Folded)
	r.sends(t0, nil) // the stream is as old
	r.sends(t0+2, ints(t0, 0, 3))
	r.sends(t0+3, nil)
	r.fold(1, ints(0, t0-50, 4), Folded) // late: joins the next interval
	_, ok := r.collect(t0 + 10)
	assert.True(t, ok)
	r.fold(2, ints(0, t0+10, 6), Folded)
	r.Restore()
	r.sends(t0+10, nil) // that time is taken
	r.sends(t0+11, ints(t0+2, 0, 10))
	r.fold(2, &Point{Float: 0.5}, Folded)
	r.fold(2, ints(0, 0, 1), Folded)
	r.sends(t0+12, &Point{Start: t0 + 11, Float: 1.5})
	r.fold(2, ints(0, 0, 1), Folded)
	r.sends(t0+13, &Point{Start: t0 + 12, Float: 1}) // a double for good
	r.fold(2, ints(0, 0, 1), Folded)
	r.collect(t0 + 14)
	p, _ := r.collect(t0 + 15) // nobody said what became of the last one
	assert.Equal(t, Point{Start: t0 + 13, Time: t0 + 15, Float: 1}, p)
}

func TestDeltaOverflow(t *testing.T) {
	f := func(want *Point, values ...int64) {
		t.Helper()
		r := newRig(t, DeltaSum, Config{})
		for i, v := range values {
			r.fold(i, ints(0, 0, v), Folded)
		}
		want.Start = t0
		r.sends(t0+1, want)
	}
	f(ints(0, 0, math.MaxInt64), math.MaxInt64-1, 1)
	f(ints(0, 0, math.MinInt64), math.MinInt64)
	f(&Point{Float: 1 << 63}, math.MaxInt64, 1)
	f(&Point{Float: -3 * (1 << 62)}, math.MinInt64, -1<<62)
	f(&Point{Float: 1 << 62}, math.MaxInt64, math.MaxInt64, math.MinInt64, 2, -1<<62)
}

// What floats would lose is kept: small values beside great ones, and everything when it is taken away again.
func TestExact(t *testing.T) {
	f := func(want float64, values ...float64) {
		t.Helper()
		r := newRig(t, DeltaSum, Config{})
		for i, v := range values {
			r.fold(i, &Point{Float: v}, Folded)
		}
		p, _ := r.collect(t0 + 1)
		exactly(t, want, p.Float)
	}
	f(1, 1e300, 1, -1e300)
	f(0, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64)
	f(math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64, 1, -1)
	f(-0.25, math.MaxFloat64, -0.25, -math.MaxFloat64)
	f(math.MaxFloat64, math.MaxFloat64, math.MaxFloat64) // the greatest there is
	f(-math.MaxFloat64, -math.MaxFloat64, -math.MaxFloat64)
	f(1<<53, 1<<53, 1)                                // a tie goes to the even one
	f(1<<53+2, 1<<53, 1, math.SmallestNonzeroFloat64) // which this is not
	f(0, math.Copysign(0, -1))
}

func TestCumulative(t *testing.T) {
	r := newRig(t, CumulativeSum, Config{})
	r.fold(1, ints(t0-500, t0-10, 100), Folded) // the stream can still begin that early
	r.fold(2, ints(t0-300, t0-10, 10), Folded)
	r.fold(3, ints(0, t0-10, 1), Folded)
	r.sends(t0+10, ints(t0-500, 0, 111))
	r.sends(t0+11, ints(t0-500, 0, 111)) // also without news

	r.fold(4, ints(0, t0+20, 1000), Baseline)
	r.fold(5, ints(t0-501, t0+20, 1000), Baseline)
	r.fold(6, ints(t0-500, t0+20, 1000), Folded)
	r.fold(4, ints(0, t0+21, 1001), Folded)
	r.fold(5, ints(t0-501, t0+21, 1002), Folded)
	r.sends(t0+30, ints(t0-500, 0, 1114))

	r.fold(1, ints(t0-500, t0+30, 150), Folded) // +50
	r.fold(1, ints(t0-500, t0+30, 150), Folded) // a retry
	r.fold(1, ints(t0-500, t0+30, 151), DroppedOrder)
	r.fold(1, ints(t0-500, t0+29, 150), DroppedOrder)
	r.fold(1, ints(t0-500, t0+31, 20), Folded) // less: +20
	r.fold(1, ints(t0+31, t0+32, 30), Folded)  // a newer start: +30
	r.fold(1, ints(t0-500, t0+33, 31), Folded) // an older one: +1
	r.fold(3, ints(t0-400, t0+33, 2), Folded)  // a start that was not known: +1
	r.sends(t0+40, ints(t0-500, 0, 1216))
}

// The first float makes a double of the total, which must not round it below an int that was sent.
func TestGreatIntBecomesDouble(t *testing.T) {
	r := newRig(t, CumulativeSum, Config{})
	r.fold(1, ints(t0, t0+1, 1<<53+1), Folded)
	r.sends(t0+2, ints(t0, 0, 1<<53+1))
	r.fold(2, &Point{Start: t0, Time: t0 + 2}, Folded)
	r.Table = reread(t, r.Table)
	r.sends(t0+3, &Point{Start: t0, Float: 1<<53 + 2})
	r.sends(t0+4, &Point{Start: t0, Float: 1<<53 + 2})
}

// A series that comes back must not bring again what it brought before.
func TestCumulativeComesBack(t *testing.T) {
	f := func(start uint64, again *Point, want Outcome, total int64) {
		t.Helper()
		r := newRig(t, CumulativeSum, Config{})
		r.sends(t0+1, nil)
		r.fold(9, ints(0, t0+2, 0), Folded)
		r.sends(t0+3, ints(t0, 0, 0))
		first := Baseline
		if start >= t0 {
			first = Folded
		}
		r.fold(1, ints(start, t0+10, 100), first)
		r.fold(1, &Point{NoValue: true}, Stale)
		r.fold(1, &Point{NoValue: true}, Stale)
		r.fold(1, again, want)
		r.sends(t0+100, ints(t0, 0, total))
	}
	f(t0+5, ints(t0+5, t0+20, 110), Baseline, 100)
	f(t0+5, ints(t0+4, t0+20, 110), Baseline, 100)
	f(t0+5, ints(0, t0+20, 110), Baseline, 100)
	f(t0+5, ints(t0+6, t0+20, 7), Folded, 107)
	f(0, ints(0, t0+20, 110), Baseline, 0)
}

// What came just before the end must still go out.
func TestEndAfterIncrease(t *testing.T) {
	f := func(kind Kind, want int64) {
		t.Helper()
		r := newRig(t, kind, Config{})
		r.fold(1, ints(0, t0, 1), Folded)
		r.sends(t0+1, ints(t0, 0, 1))
		r.fold(1, ints(0, t0+2, 5), Folded)
		r.fold(1, &Point{NoValue: true}, Stale)
		r.sends(t0+3, ints(t0, 0, want))
		r.sends(t0+4, nil)
	}
	f(CumulativeSum, 5)
	f(CumulativeUpDown, 0)
}

func TestUpDown(t *testing.T) {
	r := newRig(t, CumulativeUpDown, Config{})
	r.fold(1, ints(0, t0, 10), Folded)
	r.fold(2, &Point{Time: t0, Float: -0.5}, Folded)
	r.sends(t0+1, &Point{Start: t0, Float: 9.5})
	r.fold(1, ints(t0+1, t0+2, 3), Folded)
	r.fold(1, ints(t0+1, t0+1, 4), DroppedOrder)
	r.sends(t0+3, &Point{Start: t0, Float: 2.5})
	r.fold(2, &Point{Time: t0 + 90*second, Float: -1}, Folded)
	members, streams := r.Sweep(t0 + 90*second)
	assert.Equal(t, []int{1, 0}, []int{members, streams})
	r.sends(t0+91*second, &Point{Start: t0, Float: -1})
}

func TestRefusedValues(t *testing.T) {
	f := func(kind Kind, p *Point, want Outcome) {
		t.Helper()
		r := newRig(t, kind, Config{Gauge: GaugeSum})
		r.fold(1, p, want)
		assert.Equal(t, want != Folded, r.Member(series(1)) == nil)
	}
	for kind := DeltaSum; kind <= Gauge; kind++ {
		f(kind, &Point{Float: math.NaN()}, DroppedNotFinite)
		f(kind, &Point{Float: math.Inf(1)}, DroppedNotFinite)
		f(kind, &Point{Float: math.Inf(-1)}, DroppedNotFinite)
		f(kind, &Point{Float: math.Copysign(0, -1)}, Folded)
		negative := Folded
		if kind == CumulativeSum {
			negative = DroppedMalformed
		}
		f(kind, &Point{Float: -1}, negative)
		f(kind, ints(0, 0, -1), negative)
	}
	for kind := DeltaHistogram; kind <= Summary; kind++ {
		f(kind, &Point{HasSum: true, Sum: math.NaN()}, DroppedNotFinite)
		f(kind, &Point{HasSum: true, Sum: math.Inf(-1)}, DroppedNotFinite)
		f(kind, &Point{HasSum: true, HasMin: true, HasMax: true, Min: math.NaN()}, Folded)
	}
}

func TestGaugeDrop(t *testing.T) {
	table := NewTable(Config{})
	s := table.AddStream(output, Gauge, nil, t0)
	assert.Equal(t, DroppedGauge, table.Fold(s, series(1), ints(0, t0, 1), t0))
	assert.Equal(t, DroppedStream, table.Fold(nil, series(1), ints(0, t0, 1), t0))
	streams, members := table.Len()
	assert.Equal(t, []int{0, 0}, []int{streams, members})
}

func TestSummary(t *testing.T) {
	sum := func(start, time, count uint64, sum float64) *Point {
		return &Point{Start: start, Time: time, Count: count, HasSum: true, Sum: sum}
	}
	r := newRig(t, Summary, Config{})
	r.fold(1, sum(0, t0, 10, 2.5), Folded)
	r.fold(2, sum(0, t0, 1, -1), Folded)
	r.sends(t0+1, sum(t0, 0, 11, 1.5))
	r.fold(1, sum(0, t0+2, 12, 4), Folded)
	r.fold(2, sum(0, t0+2, 0, 0), Folded) // begun anew
	r.fold(3, sum(0, t0+2, 100, 100), Baseline)
	r.fold(3, sum(t0+3, t0+4, 5, 5), Folded)
	r.fold(3, sum(t0+3, t0+4, math.MaxUint64, 5), DroppedOrder)
	r.fold(3, sum(t0+3, t0+5, math.MaxUint64, 5), DroppedOverflow)
	r.sends(t0+6, sum(t0, 0, 18, 8))
}
