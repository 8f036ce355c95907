package fold

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// full is a table with streams of every kind, collected and folded into again.
func full(t testing.TB, members int) *Table {
	table := NewTable(Config{Gauge: GaugeSum})
	for kind := range kinds {
		table.AddStream(Key{1, uint64(kind)}, kind, []byte{byte(kind)}, t0)
	}
	fill := func(at uint64) {
		for _, c := range costs {
			for i := range members {
				var p Point
				c.next(&p, at+uint64(i))
				p.Start, p.Time = t0-3, t0+at
				o := table.Fold(table.Stream(Key{1, uint64(c.kind)}), Key{uint64(c.kind), uint64(i)}, &p, t0+at)
				require.NotEqual(t, DroppedMalformed, o)
			}
		}
	}
	fill(1)
	ended := table.AddStream(Key{2, 2}, DeltaSum, nil, t0)
	table.removeStream(ended)
	table.Collect(t0+2, func(*Stream, *Point) {})
	fill(3)
	return table
}

func TestState(t *testing.T) {
	f := func(table *Table) {
		t.Helper()
		again := NewTable(table.cfg)
		state := table.AppendBinary(nil)
		require.NoError(t, again.UnmarshalBinary(state))
		assert.Len(t, again.AppendBinary(nil), len(state))
		send := func(table *Table, at uint64) (sent []Point) {
			table.Collect(at, func(s *Stream, p *Point) {
				sent = append(sent, Point{Start: p.Start, Time: p.Time, Int: p.Int, Float: p.Float, Count: p.Count, Sum: p.Sum, Min: p.Min})
				assert.Equal(t, []byte{byte(s.kind)}, s.Meta())
			})
			table.Commit()
			return sent
		}
		assert.Equal(t, send(table, t0+5), send(again, t0+5))
		assert.Equal(t, t0+uint64(0), again.ended[Key{2, 2}])
	}
	f(full(t, 3)) // what is in flight is sent again
	table := full(t, 3)
	table.Commit()
	f(table)
	table = full(t, 3)
	table.Restore()
	f(table)
}

func TestEmptyState(t *testing.T) {
	table := NewTable(Config{})
	assert.NoError(t, table.UnmarshalBinary(NewTable(Config{}).AppendBinary(nil)))
}

// A state that is refused leaves the table as it was.
func TestRefusedState(t *testing.T) {
	state := full(t, 2).AppendBinary(nil)
	table := full(t, 1)
	before := table.AppendBinary(nil)
	for n := range state {
		require.Error(t, table.UnmarshalBinary(state[:n]), "cut at %d", n)
	}
	require.Error(t, table.UnmarshalBinary(append(state[:len(state):len(state)], 0)))
	assert.ErrorIs(t, table.UnmarshalBinary([]byte{version + 1}), errVersion)
	table.cfg.MaxBytes = 1000
	assert.ErrorIs(t, table.UnmarshalBinary(state), errMemory)
	assert.Equal(t, before, table.AppendBinary(nil))
}

// A bit flip need not be found, that is for a checksum; what comes of it must do no harm.
func TestFlippedState(t *testing.T) {
	state := full(t, 1).AppendBinary(nil)
	for i := range state {
		for bit := range 8 {
			state[i] ^= 1 << bit
			use(state)
			state[i] ^= 1 << bit
		}
	}
}

// use does everything with a table of a doubtful origin.
func use(state []byte) {
	table := NewTable(Config{Gauge: GaugeSum, MaxBytes: 1 << 22, Idle: 1})
	if table.UnmarshalBinary(state) != nil {
		return
	}
	for _, c := range costs {
		for i := range 2 {
			var p Point
			c.next(&p, 7)
			p.Time = t0 + 7
			table.Fold(table.Stream(Key{1, uint64(c.kind)}), Key{uint64(c.kind), uint64(i)}, &p, t0+7)
		}
	}
	table.Collect(t0+8, func(*Stream, *Point) {})
	table.Restore()
	table.Collect(t0+9, func(*Stream, *Point) {})
	table.Commit()
	table.Sweep(1 << 62)
	table.Collect(1<<63, func(*Stream, *Point) {})
	table.Commit()
}

// With less memory than before some members are forgotten, and do not count twice when they come back.
func TestStateWithLessMemory(t *testing.T) {
	f := func(kind Kind, want Outcome) {
		t.Helper()
		r := newRig(t, kind, Config{})
		for i := range 2000 {
			r.fold(i, ints(t0-5, t0, 1), Folded)
		}
		small := NewTable(Config{MaxBytes: 1 << 16, Idle: 1})
		require.NoError(t, small.UnmarshalBinary(r.AppendBinary(nil)))
		assert.LessOrEqual(t, small.Bytes(), 1<<16)
		_, members := small.Len()
		assert.Less(t, members, 1500)
		assert.Greater(t, members, 500)
		r = rig{small, t}
		total := int64(2000)
		if kind == CumulativeUpDown {
			total = int64(members)
		}
		r.sends(t0+1, ints(t0-5, 0, total))
		r.Sweep(t0 + 100*second)
		r.fold(1, ints(t0-5, t0+100*second, 3), want)
	}
	f(CumulativeSum, Baseline)
	f(CumulativeUpDown, Folded)
}

// A stream that has members does not end; nothing would be left for them.
func TestContradictingState(t *testing.T) {
	r := newRig(t, CumulativeSum, Config{})
	r.fold(1, ints(t0, t0, 1), Folded)
	r.Stream(output).ending = true
	assert.ErrorIs(t, NewTable(Config{}).UnmarshalBinary(r.AppendBinary(nil)), errState)
}

// Members are read one after the other into the same place.
func TestStateOfExponentials(t *testing.T) {
	table := NewTable(Config{})
	for i, p := range []*Point{
		expPoint(0, 0, 0, 0, 1, math.MaxUint64-1),
		expPoint(0, 0, 0, 0, math.MaxUint64),
	} {
		s := table.AddStream(series(i), CumulativeExponential, nil, t0)
		assert.Equal(t, Folded, table.Fold(s, series(i), p, t0))
	}
	reread(t, table)
}
