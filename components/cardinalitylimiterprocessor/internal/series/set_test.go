package series

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func filled(n int) *Set {
	s := new(Set)
	for i := range n {
		s.Add(random(uint32(i)), i%2 == 0, 0)
	}
	return s
}

func TestSizes(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(Set{}), uintptr(64))
	assert.Equal(t, uintptr(bucketBytes), unsafe.Sizeof(bucket{}))
	assert.LessOrEqual(t, unsafe.Sizeof(table{}), uintptr(tableBytes(0)))

	f := func(n int, limit float64) {
		s := filled(n)
		assert.LessOrEqual(t, float64(s.Bytes())/float64(n), limit, "%d series", n)
	}
	f(1, 128)
	f(8, 16)
	f(25, 24)
	f(1000, 13)
	f(65_536, 12.5)
	f(200_000, 12.5)
}

// What is reported is what the heap gives.
func TestBytes(t *testing.T) {
	for _, n := range []int{20_000, 200_000} {
		s := filled(n)
		// Twice: what is dropped during a collection stays until the next.
		runtime.GC()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range s.tables() {
			sink = append(sink, &table{buckets: newBuckets(len(s.table(i).Load().buckets))})
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		assert.InEpsilon(t, s.Bytes(), after.HeapAlloc-before.HeapAlloc, 0.1)
		runtime.KeepAlive(s)
	}
	sink = nil
}

var sink []*table

func TestAges(t *testing.T) {
	// The series is seen at one step, and swept at another.
	f := func(seen, now Step, stays bool) {
		t.Helper()
		var s Set
		s.Add(1, true, seen-1)
		_, _, age := s.Hit(1, seen)
		assert.Positive(t, age)
		removed, marked, done := s.Sweep(now, idle, new(Cursor), 8)
		assert.Equal(t, stays, removed == 0)
		assert.Equal(t, stays, marked == 0)
		assert.True(t, done)
		found, _, age := s.Hit(1, now)
		assert.Equal(t, stays, found)
		assert.Equal(t, stays && now > seen, age > 0)
	}
	for seen := Step(100); seen < 300; seen++ {
		f(seen, seen, true)
		f(seen, seen+1, true)
		f(seen, seen+idle, true)
		f(seen, seen+idle+1, false)
		f(seen, seen+103, false)
		// The sweep's clock was read before the one of the hit.
		f(seen, seen-1, true)
		f(seen, seen-ahead, true)
	}
}

// The clock of a reader that was held up must not turn an age back.
func TestAgeStays(t *testing.T) {
	var s Set
	s.Add(1, false, 10)
	_, _, age := s.Hit(1, 9)
	assert.Zero(t, age)
	_, _, age = s.Hit(1, 10)
	assert.Zero(t, age)
}

func TestZeroFingerprint(t *testing.T) {
	var s Set
	s.Add(0, true, 0)
	found, marked, _ := s.Hit(0, 0)
	assert.True(t, found)
	assert.True(t, marked)
	assert.Equal(t, 1, s.Len())
}

func TestEmpty(t *testing.T) {
	var s Set
	assert.False(t, s.Has(1))
	found, _ := s.Remove(1)
	assert.False(t, found)
	assert.Zero(t, s.Bytes())
	assert.Equal(t, 128, s.GrowthBytes())
	_, _, done := s.Sweep(0, idle, new(Cursor), 1)
	assert.True(t, done)
	for range s.Words() {
		assert.Fail(t, "a word of an empty set")
	}
}

func TestLoadRefuses(t *testing.T) {
	s := filled(100)
	for w := range s.Words() {
		s.Load(w, 5)
	}
	s.Load(0, 5)
	s.Load(lowBits, 5)
	assert.Equal(t, 100, s.Len())
}

func TestSnapshot(t *testing.T) {
	for _, n := range []int{1, 100, 60_000, 100_000} {
		s := filled(n)
		var loaded Set
		for w := range s.Words() {
			loaded.Load(w, 77)
		}
		require.Equal(t, n, loaded.Len())
		for i := range n {
			found, marked, age := loaded.Hit(random(uint32(i)), 77)
			require.True(t, found && marked == (i%2 == 0) && age == 0)
		}
		assert.LessOrEqual(t, loaded.Bytes(), s.Bytes()*5/4, "%d series", n)
		assert.Zero(t, spilled(&loaded))
	}
}

func spilled(s *Set) (words int) {
	for i := range s.tables() {
		if t := s.table(i).Load(); t != nil {
			words += len(t.spill) * slots
		}
	}
	return words
}

// A set that was large gives back its memory when it is swept, and is one table again.
func TestShrinks(t *testing.T) {
	s := filled(200_000)
	require.NotNil(t, s.split.Load())
	var cursor Cursor
	keep := func(n int) {
		for i := range n {
			s.Hit(random(uint32(i)), idle+1)
		}
		for done := false; !done; {
			_, _, done = s.Sweep(idle+1, idle, &cursor, 10_000)
		}
		require.Equal(t, n, s.Len())
		for i := range n {
			require.True(t, s.Has(random(uint32(i))))
		}
	}
	keep(50_000)
	assert.Less(t, s.Bytes(), 50_000*14)
	for i := range 49_000 {
		s.Remove(random(uint32(i + 1000)))
	}
	keep(1000)
	assert.Nil(t, s.split.Load())
	assert.Less(t, s.Bytes(), 1000*14)
}

// Words that have both buckets in common are all kept, and memory stays bounded.
func TestSameBuckets(t *testing.T) {
	var s Set
	const n = 2000
	for i := range uint32(n) {
		s.Load(crafted(i), 0)
	}
	require.Equal(t, n, s.Len())
	assert.Positive(t, spilled(&s))
	assert.LessOrEqual(t, s.Bytes(), n*60)
	for i := range uint32(n) {
		require.True(t, s.has(crafted(i)))
	}
}

// A sweep looks at no more than it was told to, give or take a bucket.
func TestSweepInPieces(t *testing.T) {
	s := filled(100_000)
	var cursor Cursor
	all, calls := 0, 0
	for done := false; !done; calls++ {
		var removed int
		removed, _, done = s.Sweep(100, idle, &cursor, 1000)
		assert.LessOrEqual(t, removed, 1000+slots)
		all += removed
	}
	assert.Equal(t, 100_000, all)
	assert.Greater(t, calls, 100)
}

func TestHitAllocatesNothing(t *testing.T) {
	s := filled(100_000)
	now := Step(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		now++
		s.Hit(random(7), now)
		s.Hit(now64(now), now)
	}))
}

func now64(now Step) uint64 { return uint64(now) << 32 }

// Any few of the words in a row are spread over the buckets.
func TestWordsAreScattered(t *testing.T) {
	halves, n := [2]int{}, 0
	for w := range filled(10_000).Words() {
		halves[w>>63]++
		if n++; n%500 == 0 {
			assert.InDelta(t, halves[0], halves[1], 250, "after %d", n)
		}
	}
	assert.Equal(t, 10_000, n)
}
