package queue

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	n, ok := ItemNumber(ItemKey(1<<64 - 1))
	assert.True(t, ok)
	assert.Equal(t, uint64(1<<64-1), n)
	for _, key := range []string{"", "qmv0", "ri", "07", "+7", "-1", "7 ", "18446744073709551616"} {
		_, ok := ItemNumber(key)
		assert.False(t, ok, key)
	}
}

// items makes stored ones of 10 bytes each, in no order.
func items(numbers ...uint64) []Item {
	var all []Item
	for _, n := range slices.Backward(numbers) {
		all = append(all, Item{n, 10})
	}
	return all
}

func TestPlan(t *testing.T) {
	f := func(m Metadata, stored []Item, want *Repair) {
		t.Helper()
		assert.Equal(t, want, Plan(m, stored))
	}
	f(Metadata{}, nil, nil)
	f(Metadata{Read: 3, Write: 5}, items(3, 4), nil)
	// Side by side in front of those that wait: their numbers are right.
	f(Metadata{Items: 4, Bytes: 40, Read: 3, Write: 5, InFlight: []uint64{2, 1}}, items(1, 2, 3, 4),
		&Repair{Metadata: Metadata{Items: 4, Bytes: 40, Read: 1, Write: 5}})
	// With gaps, the order stays and no number is given before it is free.
	f(Metadata{Read: 10, Write: 10, InFlight: []uint64{8, 3, 7}}, items(3, 7, 8),
		&Repair{Metadata: Metadata{Read: 7, Write: 10}, Move: []Move{{8, 9}, {7, 8}, {3, 7}}})
	// Delivered, its deletion failed.
	f(Metadata{Read: 3, Write: 4}, items(1, 3), &Repair{Metadata: Metadata{Read: 3, Write: 4}, Delete: []uint64{1}})
	// What the queue cannot have done.
	f(Metadata{Read: 3, Write: 4}, items(3, 4, 6), &Repair{Metadata: Metadata{Read: 3, Write: 7}})
	f(Metadata{Read: 3, Write: 6, InFlight: []uint64{1, 2}}, items(2, 3, 5), &Repair{Metadata: Metadata{Read: 2, Write: 6}, Missing: 1})
}

// Whatever was in flight and whatever waits comes in its order, once, and with numbers that fit.
func TestPlanGame(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := Metadata{Read: r.Uint64N(30)}
		m.Write = m.Read + r.Uint64N(10)
		content := map[uint64]uint64{} // number -> which item it is
		for n := range m.Write {
			if n >= m.Read {
				content[n] = n
			} else if r.IntN(3) == 0 {
				content[n] = n
				m.InFlight = append(m.InFlight, n)
			}
		}
		r.Shuffle(len(m.InFlight), func(i, j int) { m.InFlight[i], m.InFlight[j] = m.InFlight[j], m.InFlight[i] })
		var stored []Item
		var want []uint64
		for n := range m.Write {
			if _, ok := content[n]; ok {
				stored, want = append(stored, Item{n, 1}), append(want, n)
			}
		}
		plan := Plan(m, stored)
		if plan == nil {
			require.Empty(t, m.InFlight)
			continue
		}
		require.Zero(t, plan.Missing)
		for _, move := range plan.Move {
			_, taken := content[move.To]
			require.False(t, taken, "seed %d: %d is in use", seed, move.To)
			content[move.To] = content[move.From]
			delete(content, move.From)
		}
		var got []uint64
		for n := plan.Metadata.Read; n < plan.Metadata.Write; n++ {
			item, ok := content[n]
			require.True(t, ok, "seed %d: nothing at %d", seed, n)
			got = append(got, item)
		}
		require.Equal(t, want, got, "seed %d", seed)
	}
}

func TestRebuild(t *testing.T) {
	assert.Equal(t, Metadata{}, Rebuild(nil))
	assert.Equal(t, Metadata{Bytes: 30, Read: 2, Write: 10}, Rebuild(items(2, 3, 9)))
}

func TestMetadata(t *testing.T) {
	for _, m := range []Metadata{{}, {Items: 1, Bytes: 1 << 40, Read: 3, Write: 1<<64 - 1, InFlight: []uint64{1, 2, 0}}} {
		again, err := Decode(m.Encode())
		require.NoError(t, err)
		assert.Equal(t, m, again)
	}
}

func FuzzDecode(f *testing.F) {
	whole := Metadata{Items: 1, Bytes: 2, Read: 3, Write: 4, InFlight: []uint64{1, 2}}.Encode()
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte{0x28, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMetadata)
			return
		}
		again, err := Decode(m.Encode())
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

func TestBefore(t *testing.T) {
	m := Metadata{Bytes: 1, Read: 7, Write: 9, InFlight: []uint64{2, 6, 5}}
	assert.Equal(t, Metadata{Bytes: 1, Read: 6, Write: 6, InFlight: []uint64{2, 5}}, m.Before(6))
	assert.Equal(t, Metadata{Bytes: 1, Read: 7, Write: 8, InFlight: []uint64{2, 6, 5}}, m.Before(8))
	assert.Equal(t, m, m.Before(10))
}
