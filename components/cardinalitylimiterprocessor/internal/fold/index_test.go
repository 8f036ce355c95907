package fold

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Few homes and few tags, so that runs get long and wrap around.
func TestMembers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var table members
	want := map[Key]uint32{}
	for range 20_000 {
		k := Key{Hi: rnd.Uint64N(3)<<56 | rnd.Uint64N(40), Lo: math.MaxUint64 - rnd.Uint64N(9)}
		slot, place, ok := table.find(k)
		known, has := want[k]
		require.Equal(t, has, ok)
		if ok {
			require.Equal(t, known, slot)
			require.Equal(t, k, table.at(slot).key)
			if len(want) > 400 || rnd.IntN(3) == 0 {
				table.remove(slot, place)
				delete(want, k)
			}
			continue
		}
		want[k], ok = table.insert(k, math.MaxInt)
		require.True(t, ok)
	}
	assert.Equal(t, len(want), table.live)
	assert.LessOrEqual(t, int(table.used), 1000, "slots are used again")
}

func TestArena(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var a arena
	cells := map[uint32]uint64{}
	for i := range uint64(20_000) {
		if len(cells) > 2000 || len(cells) > 0 && rnd.IntN(3) == 0 {
			for cell, mark := range cells { // any
				words := a.at(cell)
				require.Equal(t, []uint64{mark, mark}, []uint64{words[0], words[len(words)-1]})
				a.release(cell)
				delete(cells, cell)
				break
			}
			continue
		}
		width := []int{2, 3, 16, 600, 2000}[rnd.IntN(5)]
		cell, ok := a.alloc(width, math.MaxInt)
		require.True(t, ok)
		require.Len(t, a.at(cell), width)
		_, taken := cells[cell]
		require.False(t, taken)
		for j := range a.at(cell) {
			a.at(cell)[j] = i
		}
		cells[cell] = i
	}
	for cell := range cells {
		a.release(cell)
	}
	assert.Zero(t, a.bytes)
	_, ok := a.alloc(16, 8*1024)
	assert.False(t, ok, "the chunk's own size counts, too")
}

func TestCompare(t *testing.T) {
	ascending := []num{
		{f: -math.MaxFloat64},
		{i: math.MinInt64, isInt: true},
		{f: -1 << 63},
		{i: -1, isInt: true},
		{f: -1},
		{f: -0.5},
		{i: 0, isInt: true},
		{f: 0},
		{f: 0.5},
		{i: 1<<53 - 1, isInt: true},
		{i: 1 << 53, isInt: true},
		{f: 1 << 53},
		{i: 1<<53 + 1, isInt: true},
		{i: math.MaxInt64, isInt: true},
		{f: 1 << 63},
		{f: math.MaxFloat64},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			assert.Equal(t, order(int64(i), int64(j)), a.compare(b), "%v and %v", a, b)
		}
	}
}
