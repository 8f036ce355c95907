package series

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A model is what a Set has to behave like. Its keys are small numbers, so that operations meet the same series again.
type model struct {
	t      testing.TB
	set    *Set
	hash   func(key uint32) uint64
	want   map[uint32]entry
	now    Step
	cursor Cursor
	// GrowthBytes promises nothing about hashes that are not random.
	unlucky bool
}

type entry struct {
	marked bool
	seen   Step
}

const idle = 64

// hit also is the answer to Has.
func (m *model) hit(key uint32) {
	h := m.hash(key)
	e, want := m.want[key]
	require.Equal(m.t, want, m.set.Has(h))
	found, marked, age := m.set.Hit(h, m.now)
	require.Equal(m.t, want, found)
	require.Equal(m.t, e.marked, marked)
	require.Equal(m.t, want && e.seen != m.now, age > 0)
	if want {
		e.seen = m.now
		m.want[key] = e
	}
}

func (m *model) add(key uint32, marked bool) {
	if _, there := m.want[key]; there {
		return
	}
	growth, before := m.set.GrowthBytes(), m.set.Bytes()
	m.set.Add(m.hash(key), marked, m.now)
	switch {
	case m.unlucky:
	case growth == 0:
		require.Equal(m.t, before, m.set.Bytes())
	default:
		require.LessOrEqual(m.t, m.set.Bytes()-before, growth)
	}
	m.want[key] = entry{marked, m.now}
}

func (m *model) remove(key uint32) {
	e, want := m.want[key]
	found, marked := m.set.Remove(m.hash(key))
	require.Equal(m.t, want, found)
	require.Equal(m.t, e.marked, marked)
	delete(m.want, key)
}

// sweep goes over everything in pieces, and then nothing may be left that is too old.
func (m *model) sweep(words int) {
	removed, removedMarked := 0, 0
	for done := false; !done; {
		var r, marked int
		r, marked, done = m.set.Sweep(m.now, idle, &m.cursor, words)
		removed += r
		removedMarked += marked
	}
	for key, e := range m.want {
		if m.now-e.seen > idle {
			removed--
			if e.marked {
				removedMarked--
			}
			delete(m.want, key)
		}
	}
	require.Zero(m.t, removed)
	require.Zero(m.t, removedMarked)
	require.Zero(m.t, m.cursor)
}

// restart replaces the set by what a snapshot keeps of it, which is everything but the ages.
func (m *model) restart() {
	restarted := new(Set)
	for w := range m.set.Words() {
		restarted.Load(w, m.now)
	}
	m.set, m.cursor = restarted, Cursor{}
	for key, e := range m.want {
		m.want[key] = entry{e.marked, m.now}
	}
}

func (m *model) check() {
	require.Equal(m.t, len(m.want), m.set.Len())
	words, marks, wantMarks := 0, 0, 0
	for w := range m.set.Words() {
		words++
		marks += int(w & markBit)
	}
	for key, e := range m.want {
		require.True(m.t, m.set.Has(m.hash(key)))
		if e.marked {
			wantMarks++
		}
	}
	require.Equal(m.t, len(m.want), words)
	require.Equal(m.t, wantMarks, marks)
	bytes, used := 0, 0
	for i := range m.set.tables() {
		if t := m.set.table(i).Load(); t != nil {
			bytes += t.bytes()
			used += t.used
		}
	}
	require.Equal(m.t, len(m.want), used)
	if m.set.split.Load() != nil {
		bytes += parts * pointerBytes
	}
	require.Equal(m.t, bytes, m.set.Bytes())
}

func random(key uint32) uint64 {
	return rand.NewPCG(uint64(key), 1).Uint64()
}

func TestModel(t *testing.T) {
	f := func(name string, keys uint32, steps int, hash func(uint32) uint64) {
		t.Run(name, func(t *testing.T) {
			m := &model{t: t, set: new(Set), hash: hash, want: map[uint32]entry{}, now: 1000, unlucky: name == "same_buckets"}
			r := rand.New(rand.NewPCG(1, 2))
			for i := range steps {
				key := r.Uint32N(keys)
				switch op := r.IntN(100); {
				case op < 40:
					m.hit(key)
				case op < 80:
					m.add(key, r.IntN(2) == 0)
				case op < 90:
					m.remove(key)
				case i%10 == 0:
					m.now += Step(r.IntN(6))
					m.sweep(1 + r.IntN(1000))
				}
				if i%(steps/10) == 0 {
					m.check()
					m.restart()
				}
			}
			m.check()
			for range 3 {
				m.now += idle/2 + 1
				m.sweep(1000)
			}
			require.Zero(t, m.set.Len())
			m.check()
		})
	}
	f("few", 30, 20_000, random)
	f("some", 2_000, 100_000, random)
	f("many", 50_000, 100_000, random)
	f("sequential", 2_000, 20_000, func(key uint32) uint64 { return uint64(key) })
	f("equal_low_bits", 2_000, 20_000, func(key uint32) uint64 { return uint64(key)<<40 | 0x1234567890 })
	f("equal_high_bits", 2_000, 20_000, func(key uint32) uint64 { return uint64(key) | 0xabcdef<<40 })
	f("same_buckets", 500, 20_000, func(key uint32) uint64 { return unkey(crafted(key)) })
}

// crafted are keys that have both buckets in common, in tables of up to 1024 buckets.
func crafted(i uint32) uint64 { return craftedKeys()[i] }

var craftedKeys = sync.OnceValue(func() (keys []uint64) {
	t := table{buckets: make([]bucket, 1024)}
	for key := uint64(1) << 8; len(keys) < 2000; key += 1 << 8 {
		if t.second(key) == 0 {
			keys = append(keys, key)
		}
	}
	return keys
})

// unkey is a hash that has this key.
func unkey(key uint64) uint64 {
	inverse := uint64(1)
	for range 6 {
		inverse *= 2 - 0x9fb21c651e98df25*inverse
	}
	h := key * inverse
	return h ^ h>>32
}

func FuzzSet(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x01\x01\x00\x00\x00\x00\x03\x41\x00"))
	r := rand.NewChaCha8([32]byte{})
	for _, n := range []int{300, 3000, 30_000} {
		ops := make([]byte, n)
		_, _ = r.Read(ops)
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := &model{t: t, set: new(Set), want: map[uint32]entry{}, now: 120, unlucky: true}
		m.hash = random
		if len(ops) > 0 && ops[0]&1 == 1 {
			m.hash = func(key uint32) uint64 { return unkey(crafted(key)) }
		}
		for ; len(ops) >= 3; ops = ops[3:] {
			key := uint32(binary.LittleEndian.Uint16(ops[1:])) % 1000
			switch ops[0] % 16 {
			case 0, 1, 2:
				m.hit(key)
			case 3, 4, 5, 6, 7, 8, 9, 10:
				m.add(key, ops[0]&16 != 0)
			case 11, 12:
				m.remove(key)
			case 13:
				// No more: a sweep that comes too late takes the old for new.
				m.now += Step(ops[1] % 39)
				m.sweep(int(ops[2]))
			case 14, 15:
				if ops[1] == 0 {
					m.restart()
				}
			}
		}
		m.check()
	})
}
