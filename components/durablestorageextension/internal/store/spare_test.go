package store

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openSpare(t *testing.T, dir string, fsync bool) (*Store, Damage) {
	t.Helper()
	s, damage, err := Open(dir, Options{Spare: true, Fsync: fsync})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, damage
}

// twoSegments has 0 to 9 in the first one and the rest, and the numbers, in the second.
func twoSegments(t *testing.T, fsync bool) *Store {
	t.Helper()
	s, damage := openSpare(t, t.TempDir(), fsync)
	require.Zero(t, damage)
	for n := range 15 {
		require.NoError(t, s.Apply([]Write{{"numbers", []byte(strconv.Itoa(n))}, {strconv.Itoa(n), make([]byte, 120_000)}}))
	}
	require.Len(t, s.segments, 2)
	require.Equal(t, 9, s.segments[0].keys)
	return s
}

func keys(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, strconv.Itoa(n))
	}
	return all
}

func TestRelease(t *testing.T) {
	for _, fsync := range []bool{false, true} {
		s := twoSegments(t, fsync)
		first := s.segments[0].name
		released, err := s.Release(Write{"numbers", []byte("8")}, slices.Values(keys(0, 8)))
		require.NoError(t, err)
		assert.False(t, released, "something is left in the oldest segment: what is set aside stays")
		assert.Len(t, content(t, s), 16)
		released, err = s.Release(Write{"numbers", make([]byte, spareSizes[0])}, slices.Values(keys(0, 9)))
		require.NoError(t, err)
		assert.False(t, released, "there is not that much room")
		assert.Len(t, content(t, s), 16)

		released, err = s.Release(Write{"numbers", []byte("10")}, slices.Values(keys(0, 10)))
		require.NoError(t, err)
		require.True(t, released)
		assert.NoFileExists(t, first)
		all := content(t, s)
		assert.Equal(t, "10", all["numbers"])
		assert.Equal(t, append(keys(10, 15), "numbers"), slices.Sorted(maps.Keys(all)))
		assert.FileExists(t, s.spareName(), "room is set aside again")

		again, damage := openSpare(t, crash(t, s), fsync)
		assert.Zero(t, damage, "what was set aside and not written is not a write that was cut off")
		all = content(t, again)
		assert.Equal(t, append(keys(10, 15), "9", "numbers"), slices.Sorted(maps.Keys(all)), "that 9 is gone was not written")
		assert.Equal(t, "10", all["numbers"])
		// It goes on in both.
		for _, s := range []*Store{s, again} {
			require.NoError(t, s.Apply([]Write{{"16", []byte("x")}}))
			third, damage := openSpare(t, crash(t, s), fsync)
			assert.Zero(t, damage)
			assert.Equal(t, "x", content(t, third)["16"])
		}
	}
}

// What is known to be missing is written anew when its segment goes.
func TestReleaseKeepsWhatWasTold(t *testing.T) {
	s := twoSegments(t, false)
	require.NoError(t, s.Close())
	damaged, err := os.OpenFile(s.segments[1].name, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = damaged.WriteAt([]byte("damage"), 100)
	require.NoError(t, err)
	require.NoError(t, damaged.Close())
	s, damage := openSpare(t, s.dir, false)
	require.Equal(t, Damage{Records: 1}, damage)
	s.segments[0].keys++ // as if that it was told were in the oldest one
	s.segments[1].keys--
	p := s.places[gapsKey]
	p.in, p.at = s.segments[0], 0
	copied := make([]byte, p.length)
	_, err = s.segments[1].file.ReadAt(copied, s.places[gapsKey].at)
	require.NoError(t, err)
	_, err = s.segments[0].file.WriteAt(copied, 0)
	require.NoError(t, err)
	s.places[gapsKey] = p
	released, err := s.Release(Write{"numbers", nil}, slices.Values(keys(0, 9)))
	require.NoError(t, err)
	require.True(t, released)
	s, damage = openSpare(t, crash(t, s), false)
	assert.Zero(t, damage)
	require.NotNil(t, s)
}

// A spare that is not whole is made anew, as is one that somebody removed, when there is room.
func TestSpareIsGone(t *testing.T) {
	s := twoSegments(t, false)
	require.NoError(t, s.Close())
	spare := s.spareName()
	require.NoError(t, os.Truncate(spare, 100))
	s, _ = openSpare(t, s.dir, false)
	info, err := os.Stat(spare)
	require.NoError(t, err)
	assert.Equal(t, spareSizes[0], info.Size())

	require.NoError(t, os.Remove(spare))
	released, err := s.Release(Write{"numbers", []byte("10")}, slices.Values(keys(0, 10)))
	require.NoError(t, err)
	assert.True(t, released, "there is room for one")

	other, _ := open(t, t.TempDir())
	assert.NoFileExists(t, other.spareName(), "only who can use it has one")
}

// A segment that cannot be removed is no reason to refuse a write, nor not to start.
func TestRemovalFails(t *testing.T) {
	s := twoSegments(t, false)
	name := s.segments[0].name
	require.NoError(t, os.Rename(name, name+".away"))
	require.NoError(t, os.MkdirAll(filepath.Join(name, "in the way"), 0o700))
	var writes []Write
	for _, key := range keys(0, 9) {
		writes = append(writes, Write{Key: key})
	}
	require.NoError(t, s.Apply(writes))
	require.Error(t, s.Stuck())
	require.NoError(t, os.RemoveAll(name))
	require.NoError(t, os.Rename(name+".away", name))
	require.NoError(t, s.Apply([]Write{{"x", []byte("y")}}))
	require.NoError(t, s.Stuck())
	assert.NoFileExists(t, name)

	require.NoError(t, os.Mkdir(filepath.Join(s.dir, fmt.Sprintf(segmentFormat, 1, 1)), 0o700))
	_, damage := openSpare(t, crash(t, s), false)
	assert.Zero(t, damage)
}

// A write that failed, was whole and could not be taken back has the number of the next one. The next one counts.
func TestNumberUsedTwice(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	record := func(seed uint64, key string) []byte {
		return appendRecord(nil, seed, 2, []Write{{key, []byte("2")}}, func(Write, int) {})
	}
	g := s.segments[0]
	_, err := g.file.WriteAt(record(g.seed, "refused"), g.size)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, fmt.Sprintf(segmentFormat, 2, 7)), record(7, "taken"), 0o600))
	again, damage := open(t, crash(t, s))
	assert.Zero(t, damage.Records)
	assert.Equal(t, map[string]string{"a": "1", "taken": "2"}, content(t, again))
}

// badSector is a disk that cannot read two bytes of a file: no real one can be had in a test.
type badSector struct{ content []byte }

func (b badSector) ReadAt(p []byte, at int64) (int, error) {
	if end := at + int64(len(p)); at <= 5001 && end > 5000 {
		copy(p, "what an earlier read left")
		return 0, errors.New("input/output error")
	}
	n := copy(p, b.content[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestUnreadable(t *testing.T) {
	want := make([]byte, 10_000)
	for i := range want {
		want[i] = byte(i) | 1
	}
	got := readAll(badSector{want}, int64(len(want)))
	clear(want[4096:8192])
	assert.Equal(t, want, got)
	whole := []byte("whole")
	assert.Equal(t, whole, readAll(badSector{whole}, 5))
}

// After a large queue memory is that of a small one.
func TestMemoryIsGivenBack(t *testing.T) {
	s, _ := open(t, t.TempDir())
	const items = 20_000
	for n := range items {
		require.NoError(t, s.Apply([]Write{{strconv.Itoa(n), make([]byte, 100)}}))
	}
	assert.Equal(t, items, s.most)
	for n := range items {
		require.NoError(t, s.Apply([]Write{{strconv.Itoa(n), nil}}))
	}
	assert.Less(t, s.most, items/3)
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	assert.Equal(t, map[string]string{"a": "1"}, content(t, s))
}

// The only segment goes, too, with the numbers that are in it.
func TestReleaseTheOnlySegment(t *testing.T) {
	s, _ := openSpare(t, t.TempDir(), false)
	require.NoError(t, s.Apply([]Write{{"numbers", []byte("1")}, {"0", []byte("item")}}))
	first := s.segments[0].name
	released, err := s.Release(Write{"numbers", []byte("2")}, slices.Values(keys(0, 1)))
	require.NoError(t, err)
	require.True(t, released)
	assert.NoFileExists(t, first)
	s, damage := openSpare(t, crash(t, s), false)
	assert.Zero(t, damage)
	assert.Equal(t, map[string]string{"numbers": "2"}, content(t, s))
}

// A record that a disk wrote over another one is not taken for it: what it has is older than what came after it.
func TestRecordAtAnotherPlace(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	size := s.segments[0].size
	require.NoError(t, s.Apply([]Write{{"a", []byte("2")}}))
	require.NoError(t, s.Apply([]Write{{"b", []byte("3")}}))
	all, err := os.ReadFile(s.segments[0].name)
	require.NoError(t, err)
	_, err = s.segments[0].file.WriteAt(all[:size], 2*size)
	require.NoError(t, err)
	again, damage := open(t, crash(t, s))
	assert.Equal(t, Damage{Records: 1}, damage)
	assert.Equal(t, map[string]string{"a": "2"}, content(t, again))
}

// The limits of sizes, without the memory for them.
func TestLimits(t *testing.T) {
	s, _ := open(t, t.TempDir())
	var writes []Write
	for value := make([]byte, 1<<20); len(writes) <= 1<<10; {
		writes = append(writes, Write{strconv.Itoa(len(writes)), value})
	}
	require.ErrorContains(t, s.Apply(writes), "too large")
	assert.Empty(t, content(t, s))
	for _, w := range [][]Write{{}, {{"key", []byte("value")}, {"gone", nil}}, {{"k", make([]byte, 1<<16)}}} {
		assert.LessOrEqual(t, int64(len(appendRecord(nil, 0, 0, w, func(Write, int) {}))), recordSize(w))
	}
	for live, want := range map[int64]int64{0: minSegment, 20 << 20: 5 << 20, 1 << 40: maxSegment} {
		s.live = live
		assert.Equal(t, want, s.segmentBytes())
	}
}

// A write that failed and could not be taken back is not in the way of one that the spare takes.
func TestSpareReplacesAnEmptySegment(t *testing.T) {
	s := twoSegments(t, false)
	g := s.newSegment()
	file, err := os.Create(g.name)
	require.NoError(t, err)
	g.file = file
	s.segments = append(s.segments, g)
	_, err = file.Write(appendRecord(nil, g.seed, g.first, []Write{{"refused", []byte("x")}}, func(Write, int) {}))
	require.NoError(t, err)
	released, err := s.Release(Write{"numbers", []byte("10")}, slices.Values(keys(0, 10)))
	require.NoError(t, err)
	require.True(t, released)
	require.NoError(t, s.Apply([]Write{{"20", []byte("taken")}}))
	again, damage := openSpare(t, crash(t, s), false)
	assert.Zero(t, damage)
	all := content(t, again)
	assert.Equal(t, "taken", all["20"])
	assert.Equal(t, "10", all["numbers"])
	assert.NotContains(t, all, "refused")
}
