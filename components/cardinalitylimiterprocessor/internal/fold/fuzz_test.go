package fold

import (
	"encoding/binary"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dice makes decisions out of fuzz input.
type dice struct{ b []byte }

func (d *dice) roll(n int) int {
	if len(d.b) == 0 {
		return 0
	}
	v := int(d.b[0])
	d.b = d.b[1:]
	return v % n
}

func (d *dice) word() uint64 {
	var w [8]byte
	d.b = d.b[copy(w[:], d.b):]
	return binary.LittleEndian.Uint64(w[:])
}

func (d *dice) float() float64 {
	odd := []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64}
	if i := d.roll(len(odd) + 2); i < len(odd) {
		return odd[i]
	}
	return math.Float64frombits(d.word())
}

func (d *dice) count() uint64 {
	if d.roll(30) == 0 {
		return d.word()
	}
	return uint64(d.roll(5))
}

func (d *dice) counts() (counts []uint64) {
	for range d.roll(6) {
		counts = append(counts, d.count())
	}
	return counts
}

func (d *dice) point(now uint64) *Point {
	p := &Point{
		Start: []uint64{0, now - 5, now, t0 - 9, d.word()}[d.roll(5)], Time: []uint64{now, now, now + 1, 0, d.word()}[d.roll(5)],
		NoValue: d.roll(20) == 0, IsInt: d.roll(2) == 0,
		Int:   []int64{0, 1, -1, math.MaxInt64, math.MinInt64, int64(d.word())}[d.roll(6)],
		Float: d.float(), Sum: d.float(), Min: d.float(), Max: d.float(),
		HasSum: d.roll(3) > 0, HasMin: d.roll(3) > 0, HasMax: d.roll(3) > 0,
		Bounds: allBounds[d.roll(len(allBounds))],
		Scale:  int32(d.roll(50) - 10), ZeroCount: d.count(), ZeroThreshold: []float64{0, 0, 0.5, d.float()}[d.roll(4)],
		Positive: Exponents{int32(d.roll(100)), d.counts()}, Negative: Exponents{int32(d.word()), d.counts()},
	}
	if d.roll(5) == 0 {
		p.Bounds = []float64{d.float(), d.float()}
	}
	for range len(p.Bounds) + 1 {
		p.Buckets = append(p.Buckets, d.count())
	}
	return p
}

// countOf makes the point's count right for its kind, mostly.
func (d *dice) countOf(p *Point, kind Kind) {
	counts := [][]uint64{p.Buckets}
	switch kind {
	case DeltaExponential, CumulativeExponential:
		counts = [][]uint64{{p.ZeroCount}, p.Positive.Counts, p.Negative.Counts}
	case Summary:
		p.Count = d.count()
		return
	}
	if d.roll(10) == 0 {
		return
	}
	for _, side := range counts {
		for _, c := range side {
			p.Count += c
		}
	}
}

func FuzzFold(f *testing.F) {
	for kind := range kinds {
		f.Add(byte(kind), []byte("seed with some decisions in it \x00\x01\x02\x03\x04\x05\x06\x07"))
	}
	f.Fuzz(replay)
}

// replay does what the input decides with a table, and holds what comes out to what must be true of anything.
func replay(t *testing.T, k byte, input []byte) {
	kind := Kind(k) % kinds
	d := &dice{input}
	table := NewTable(Config{Gauge: GaugeFold(d.roll(6)), Idle: 20, MaxBytes: 1 << 20})
	now := uint64(t0)
	var before Point
	in, out := new(big.Rat), new(big.Rat)
	add := func(r *big.Rat, p *Point) {
		v := new(big.Rat)
		if v.SetInt64(p.Int); !p.IsInt {
			v.SetFloat64(p.Float)
		}
		r.Add(r, v)
	}
	rounded, delivered := false, false
	for range 100 {
		if len(d.b) == 0 {
			break
		}
		now += uint64(d.roll(3))
		if d.roll(50) == 0 {
			now += 15 * second
		}
		switch d.roll(8) {
		case 0:
			table.Collect(now, func(_ *Stream, p *Point) {
				require.Greater(t, p.Time, before.Time, "a time twice")
				sound(t, kind, p)
				if before.NoValue && !delivered {
					before.Start = 0 // the stream may go on as if nothing had been said
				}
				if kind.cumulative() {
					grows(t, kind, &before, p)
				}
				before, delivered = *p, false
			})
		case 1:
			table.Restore()
		case 2:
			for _, s := range table.streams {
				delivered = delivered || s != nil && s.inFlight
				if s != nil && s.inFlight && kind == DeltaSum {
					add(out, &before)
					rounded = rounded || !before.IsInt
				}
			}
			table.Commit()
		case 3:
			table.Sweep(now)
		case 4:
			again := NewTable(table.cfg)
			require.NoError(t, again.UnmarshalBinary(table.AppendBinary(nil)))
			table = again
		default:
			s := table.AddStream(output, kind, nil, now)
			p := d.point(now)
			d.countOf(p, kind)
			if o := table.Fold(s, series(d.roll(4)), p, now); o == Folded && kind == DeltaSum {
				add(in, p)
			}
		}
	}
	if kind != DeltaSum || rounded {
		return
	}
	table.Restore()
	table.Collect(1<<62, func(_ *Stream, p *Point) {
		if rounded = !p.IsInt; !rounded {
			add(out, p)
		}
	})
	if !rounded {
		assert.Zero(t, in.Cmp(out), "in %v, out %v", in, out)
	}
}

// sound holds a point to what is true of any.
func sound(t *testing.T, kind Kind, p *Point) {
	t.Helper()
	for _, f := range []float64{p.Float, p.Sum, p.Min, p.Max, p.ZeroThreshold} {
		assert.True(t, finite(f), "%v", f)
	}
	assert.True(t, kind == Gauge || p.Start < p.Time, "an empty interval")
	if p.NoValue {
		return
	}
	switch kind {
	case CumulativeSum:
		assert.False(t, number(p).negative())
	case DeltaHistogram, CumulativeHistogram:
		assert.True(t, addsUp(p.Count, 0, p.Buckets) && ascending(p.Bounds) && len(p.Buckets) == len(p.Bounds)+1)
	case DeltaExponential, CumulativeExponential:
		assert.True(t, addsUp(p.Count, p.ZeroCount, p.Positive.Counts, p.Negative.Counts))
		assert.LessOrEqual(t, max(len(p.Positive.Counts), len(p.Negative.Counts)), maxSide)
	}
}

// grows holds a cumulative point to the one before it: nothing gets less without a newer start.
func grows(t *testing.T, kind Kind, before, p *Point) {
	t.Helper()
	if p.NoValue || before.NoValue || before.Time == 0 || p.Start > before.Start {
		if before.NoValue && !p.NoValue {
			assert.Greater(t, p.Start, before.Start)
		}
		return
	}
	assert.Equal(t, before.Start, p.Start)
	assert.GreaterOrEqual(t, p.Count, before.Count)
	if kind == CumulativeSum {
		assert.GreaterOrEqual(t, number(p).compare(number(before)), 0, "%v after %v", number(p), number(before))
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(full(f, 2).AppendBinary(nil))
	f.Add(NewTable(Config{}).AppendBinary(nil))
	f.Fuzz(func(_ *testing.T, state []byte) { use(state) })
}
