package fold

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A stream that ends says so once, and what comes back under its key begins later.
func TestStreamEnds(t *testing.T) {
	const late = t0 + 70*second
	idle := func(t *testing.T) rig {
		r := newRig(t, CumulativeSum, Config{})
		r.fold(1, ints(t0-5, t0, 1), Folded)
		r.sends(t0+1, ints(t0-5, 0, 1))
		members, streams := r.Sweep(late)
		assert.Equal(t, []int{1, 0}, []int{members, streams}, "the member's end is news")
		r.sends(late, ints(t0-5, 0, 1))
		_, streams = r.Sweep(late)
		assert.Equal(t, 1, streams)
		_, streams = r.Sweep(late)
		assert.Zero(t, streams, "counted once")
		return r
	}
	t.Run("ends", func(t *testing.T) {
		r := idle(t)
		r.sends(late, nil)
		_, ok := r.collect(late + 1)
		assert.True(t, ok)
		r.Restore()
		r.sends(late+2, &Point{Start: t0 - 5, NoValue: true})
		assert.Nil(t, r.Stream(output))
		r.AddStream(output, CumulativeSum, []byte("meta"), late+2)
		r.fold(1, ints(t0-5, late+3, 9), Baseline)
		r.fold(1, ints(t0-5, late+4, 11), Folded)
		r.sends(late+5, ints(late+2, 0, 2))
	})
	t.Run("comes back before it was said", func(t *testing.T) {
		r := idle(t)
		r.fold(1, ints(t0-5, late, 9), Baseline)
		r.fold(1, ints(t0-5, late+1, 11), Folded)
		r.sends(late+2, ints(t0-5, 0, 3))
	})
	t.Run("comes back while it is being said", func(t *testing.T) {
		r := idle(t)
		p, _ := r.collect(late + 1)
		assert.True(t, p.NoValue)
		r.fold(1, ints(late-1, late+2, 9), Baseline)
		r.fold(1, ints(late-1, late+3, 11), Folded)
		r.Commit()
		r.sends(late+4, ints(late+2, 0, 2))
	})
}

// Of how many streams the end is known is bounded; beyond that none begins before the last of them.
func TestManyStreamsEnd(t *testing.T) {
	table := NewTable(Config{Idle: 1})
	for i := range 3000 {
		table.AddStream(series(i), DeltaSum, nil, t0+uint64(i))
	}
	_, streams := table.Sweep(t0 + 100*second)
	assert.Equal(t, 3000, streams)
	assert.Less(t, table.Bytes(), 64*1025)
	for i := range 3000 {
		s := table.AddStream(series(i), DeltaSum, nil, t0)
		assert.GreaterOrEqual(t, s.start, t0+uint64(i))
	}
}

func TestStreamWithoutEnd(t *testing.T) {
	f := func(kind Kind) {
		t.Helper()
		r := newRig(t, kind, Config{Gauge: GaugeLast})
		_, streams := r.Sweep(t0 + 60*second)
		assert.Zero(t, streams)
		_, streams = r.Sweep(t0 + 62*second)
		assert.Equal(t, 1, streams)
		assert.Nil(t, r.Stream(output))
		assert.Equal(t, 64, r.Bytes())
	}
	for kind := range kinds {
		f(kind) // it never sent anything
	}
	// What was not sent is not thrown away.
	r := newRig(t, DeltaSum, Config{})
	r.fold(1, ints(0, t0, 1), Folded)
	_, streams := r.Sweep(t0 + 70*second)
	assert.Zero(t, streams)
	r.sends(t0+71*second, ints(t0, 0, 1))
	_, streams = r.Sweep(t0 + 71*second)
	assert.Equal(t, 1, streams)
}

func TestMemberStays(t *testing.T) {
	table := NewTable(Config{})
	a := table.AddStream(Key{1, 1}, DeltaSum, nil, t0)
	b := table.AddStream(Key{2, 2}, DeltaSum, nil, t0)
	assert.Same(t, a, table.AddStream(Key{1, 1}, DeltaSum, nil, t0))
	assert.Equal(t, Folded, table.Fold(a, series(1), ints(0, 0, 1), t0))
	assert.Equal(t, Folded, table.Fold(b, series(1), ints(0, 0, 1), t0))
	assert.Same(t, a, table.Member(series(1)))
	assert.Equal(t, 1, a.members)
	assert.Equal(t, int64(2), a.cur.total.int)
}

func TestNothingForUnknownEnd(t *testing.T) {
	r := newRig(t, CumulativeHistogram, Config{})
	before := r.Bytes()
	end := &Point{NoValue: true}
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.Fold(r.Stream(output), series(3), end, t0) }))
	assert.Equal(t, before, r.Bytes())
}

func TestLimits(t *testing.T) {
	t.Run("streams", func(t *testing.T) {
		table := NewTable(Config{MaxStreams: 2})
		for i := range 3 {
			assert.Equal(t, i < 2, table.AddStream(series(i), DeltaSum, nil, t0) != nil)
		}
	})
	t.Run("meta", func(t *testing.T) {
		table := NewTable(Config{MaxBytes: 1 << 16})
		assert.Nil(t, table.AddStream(output, DeltaSum, make([]byte, 1<<16), t0))
	})
	fill := func(kind Kind, p Point, full Outcome) {
		t.Helper()
		const limit = 1 << 18
		r := newRig(t, kind, Config{MaxBytes: limit, Gauge: GaugeSum})
		n := 0
		for i := range 10_000 {
			o := r.Fold(r.Stream(output), series(i), &p, t0)
			if _, members := r.Len(); members == i+1 {
				assert.Equal(t, Folded, o)
				n++
				continue
			}
			assert.Equal(t, full.String(), o.String())
		}
		assert.LessOrEqual(t, r.Bytes(), limit)
		assert.Greater(t, n, 256)
		assert.Less(t, n, 5000)
		// Members that go make room again.
		r.Sweep(t0 + 100*second)
		_, members := r.Len()
		assert.Zero(t, members)
		assert.Zero(t, r.cells.bytes)
		s := r.AddStream(output, kind, nil, t0+100*second) // a gauge stream has gone with its members
		assert.False(t, r.Fold(s, series(1), &p, t0+100*second).Dropped())
	}
	fill(DeltaSum, Point{IsInt: true, Int: 1}, Folded)
	fill(CumulativeSum, Point{IsInt: true, Int: 1}, DroppedState)
	fill(Gauge, Point{IsInt: true, Int: 1}, DroppedState)
	fill(Summary, Point{Count: 1}, DroppedState)
	fill(CumulativeHistogram, Point{Count: 1, Bounds: make([]float64, 1), Buckets: []uint64{1, 0}}, DroppedState)
	fill(CumulativeExponential, Point{Count: 1, Positive: Exponents{Counts: []uint64{1}}}, DroppedState)
}

// All sizes between two growths of the index count: just after one a member takes most.
func TestBytesPerMember(t *testing.T) {
	f := func(kind Kind, p Point, most int) {
		t.Helper()
		r := newRig(t, kind, Config{})
		for i := range 100_000 {
			r.Fold(r.Stream(output), series(i), &p, t0)
			if i > 10_000 && r.Bytes() > most*(i+1) {
				t.Fatalf("%d members take %d bytes each", i+1, r.Bytes()/(i+1))
			}
		}
	}
	f(CumulativeSum, Point{}, 64)
	f(CumulativeHistogram, Point{Bounds: bounds15[:14], Buckets: make([]uint64, 15)}, 64+8*15+8)
}

// A time in the future keeps its series out only until the member is idle.
func TestFutureTime(t *testing.T) {
	r := newRig(t, CumulativeSum, Config{})
	fold := func(time, now uint64, v int64, want Outcome) {
		t.Helper()
		assert.Equal(t, want, r.Fold(r.Stream(output), series(1), ints(0, time, v), now))
	}
	fold(1<<62, t0, 5, Folded)
	for i := range uint64(70) {
		fold(t0+i*second, t0+i*second, 6, DroppedOrder)
	}
	members, _ := r.Sweep(t0 + 70*second)
	assert.Equal(t, 1, members)
	fold(t0+71*second, t0+71*second, 7, Baseline)
	fold(t0+72*second, t0+72*second, 9, Folded)
	r.sends(t0+73*second, ints(t0, 0, 7))
}
