package store

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, dir string) (*Store, Damage) {
	t.Helper()
	s, damage, err := Open(dir, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, damage
}

// crash is a copy of a store that was not closed.
func crash(t testing.TB, s *Store) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(s.dir)))
	return dir
}

// content is what is stored, read value by value.
func content(t testing.TB, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	s.Keys(func(key string, size int) {
		value, err := s.Get(key)
		require.NoError(t, err)
		require.Len(t, value, size)
		all[key] = string(value)
	})
	return all
}

func TestStore(t *testing.T) {
	s, damage := open(t, t.TempDir())
	assert.Zero(t, damage)
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}, {"b", []byte{}}, {"c", []byte("3")}}))
	require.NoError(t, s.Apply([]Write{{"c", nil}, {"never", nil}}))
	want := map[string]string{"a": "1", "b": ""}
	assert.Equal(t, want, content(t, s))
	value, err := s.Get("b")
	require.NoError(t, err)
	assert.NotNil(t, value, "an empty value is one")
	value, err = s.Get("c")
	require.NoError(t, err)
	assert.Nil(t, value)

	_, _, err = Open(s.dir, Options{LockTimeout: time.Millisecond})
	require.ErrorContains(t, err, "another process has it open")
	again, damage := open(t, crash(t, s))
	assert.Zero(t, damage)
	assert.Equal(t, want, content(t, again))
	require.NoError(t, s.Close())
	s, damage = open(t, s.dir)
	assert.Zero(t, damage)
	assert.Equal(t, want, content(t, s))
}

func TestPlacesThatAreNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err := Open(file, Options{})
	require.ErrorContains(t, err, "not a directory")
	// What is not ours stays.
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.log"), []byte("x"), 0o600))
	s, damage := open(t, dir)
	assert.Zero(t, damage)
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	assert.FileExists(t, filepath.Join(dir, "notes.log"))
}

// Whatever is written, and whenever the process dies, what was acknowledged is there; and files stay small.
func TestGame(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, _ := open(t, t.TempDir())
		want := map[string]string{}
		largest := []int{20, 5_000, 300_000}[seed%3]
		for step := range 600 {
			var writes []Write
			for range 1 + r.IntN(4) {
				w := Write{Key: strconv.Itoa(r.IntN(40))}
				if r.IntN(2) == 0 {
					w.Value = bytes.Repeat([]byte{byte(step), byte(r.Uint32())}, r.IntN(largest))
				}
				writes = append(writes, w)
			}
			require.NoError(t, s.Apply(writes))
			for _, w := range writes {
				if delete(want, w.Key); w.Value != nil {
					want[w.Key] = string(w.Value)
				}
			}
			size, live := s.Bytes()
			require.LessOrEqual(t, size, 2*live+5*max(minSegment, live/4)+int64(largest)*16)
			if r.IntN(40) == 0 {
				var damage Damage
				s, damage = open(t, crash(t, s))
				require.Zero(t, damage, "seed %d step %d", seed, step)
				require.Equal(t, want, content(t, s), "seed %d step %d", seed, step)
			}
		}
		require.Equal(t, want, content(t, s))
	}
}

// A queue's files go away as it is emptied, and one item that stays does not keep them.
func TestFilesGoAway(t *testing.T) {
	s, _ := open(t, t.TempDir())
	value := make([]byte, 100_000)
	require.NoError(t, s.Apply([]Write{{"stays", []byte("here")}}))
	for n := range 1000 {
		require.NoError(t, s.Apply([]Write{{strconv.Itoa(n), value}}))
	}
	for n := range 1000 {
		require.NoError(t, s.Apply([]Write{{strconv.Itoa(n), nil}}))
	}
	size, live := s.Bytes()
	assert.Equal(t, int64(len("stays")+len("here")), live)
	assert.Less(t, size, int64(6<<20))
	files, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	require.NoError(t, err)
	assert.Less(t, len(files), 6)
	again, damage := open(t, crash(t, s))
	assert.Zero(t, damage)
	assert.Equal(t, map[string]string{"stays": "here"}, content(t, again))
}

// A write that is cut off anywhere has not happened, and is not damage.
func TestTornWrite(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}, {"b", []byte("2")}}))
	before := crash(t, s)
	require.NoError(t, s.Apply([]Write{{"a", nil}, {"c", bytes.Repeat([]byte("3"), 300)}}))
	last := s.segments[0]
	whole, err := os.ReadFile(last.name)
	require.NoError(t, err)
	begin, err := os.Stat(filepath.Join(before, filepath.Base(last.name)))
	require.NoError(t, err)
	for cut := begin.Size(); cut < int64(len(whole)); cut++ {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(dir, os.DirFS(before)))
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(last.name)), whole[:cut], 0o600))
		torn, damage := open(t, dir)
		assert.Equal(t, Damage{Torn: cut > begin.Size()}, damage, "at %d", cut)
		assert.Equal(t, map[string]string{"a": "1", "b": "2"}, content(t, torn))
		// It goes on from there.
		require.NoError(t, torn.Apply([]Write{{"d", []byte("4")}}))
		require.NoError(t, torn.Close())
		torn, damage = open(t, dir)
		assert.Zero(t, damage)
		assert.Equal(t, map[string]string{"a": "1", "b": "2", "d": "4"}, content(t, torn))
	}
	// Whole, but the process died before it noted that: it has happened.
	require.NoError(t, os.WriteFile(filepath.Join(before, filepath.Base(last.name)), whole, 0o600))
	whole2, damage := open(t, before)
	assert.Zero(t, damage)
	assert.Len(t, content(t, whole2), 2)
}

// filled makes a store of several segments, with deletions and changed values.
func filled(t testing.TB) (dir string, want map[string]string) {
	t.Helper()
	s, _ := open(t, t.TempDir())
	want = map[string]string{}
	for n := range 300 {
		key, value := strconv.Itoa(n%200), string(bytes.Repeat([]byte{byte(n), 'x'}, 1+n*20))
		require.NoError(t, s.Apply([]Write{{key, []byte(value)}}))
		want[key] = value
	}
	for n := range 20 {
		require.NoError(t, s.Apply([]Write{{strconv.Itoa(n), nil}}))
		delete(want, strconv.Itoa(n))
	}
	require.Greater(t, len(s.segments), 1)
	dir = crash(t, s)
	require.NoError(t, s.Close())
	return dir, want
}

// probe opens a damaged store. It has what was stored, or it says that it is damaged.
func probe(t testing.TB, dir string, want map[string]string) (damaged bool) {
	t.Helper()
	s, damage, err := Open(dir, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	got := map[string]string{}
	unreadable := 0
	s.Keys(func(key string, _ int) {
		value, err := s.Get(key)
		if err != nil {
			unreadable++
			return
		}
		got[key] = string(value)
	})
	if damage.Records == 0 && unreadable == 0 {
		require.Equal(t, want, got)
	}
	require.NoError(t, s.Apply([]Write{{"new", []byte("value")}}))
	return damage.Records > 0
}

// each calls f with each file of a store, in a copy of its own.
func each(t *testing.T, dir string, f func(copied, file string, size int64)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		copied := t.TempDir()
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		f(copied, filepath.Join(copied, e.Name()), info.Size())
	}
}

func TestFlippedBits(t *testing.T) {
	dir, want := filled(t)
	require.False(t, probe(t, crashDir(t, dir), want))
	found, tried := 0, 0
	each(t, dir, func(copied, file string, size int64) {
		original, err := os.ReadFile(file)
		require.NoError(t, err)
		for at := int64(0); at < size; at += 1 + size/25 {
			flipped := bytes.Clone(original)
			flipped[at] ^= 1 << (at % 8)
			fresh := crashDir(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(fresh, filepath.Base(file)), flipped, 0o600))
			tried++
			if probe(t, fresh, want) {
				found++
			}
		}
		_ = copied
	})
	assert.Greater(t, found, tried/2)
}

func crashDir(t testing.TB, dir string) string {
	t.Helper()
	fresh := t.TempDir()
	require.NoError(t, os.CopyFS(fresh, os.DirFS(dir)))
	return fresh
}

func TestTruncated(t *testing.T) {
	dir, want := filled(t)
	each(t, dir, func(copied, file string, size int64) {
		require.NoError(t, os.Truncate(file, size/2))
		assert.Equal(t, filepath.Ext(file) == ".log", probe(t, copied, want), "%s to a half", file)
	})
	each(t, dir, func(copied, file string, _ int64) {
		require.NoError(t, os.Truncate(file, 0))
		assert.Equal(t, filepath.Ext(file) == ".log", probe(t, copied, want), "%s to nothing", file)
	})
	// All of them, or the newest one, removed.
	each(t, dir, func(copied, file string, _ int64) {
		if filepath.Base(file) != "last" && filepath.Base(file) != "lock" {
			require.NoError(t, os.Remove(file))
		}
		entries, err := filepath.Glob(filepath.Join(copied, "*.log"))
		require.NoError(t, err)
		for _, e := range entries {
			require.NoError(t, os.Remove(e))
		}
		s, damage := open(t, copied)
		if filepath.Base(file) != "last" || len(entries) > 0 {
			assert.Positive(t, damage.Records)
		}
		assert.Empty(t, content(t, s))
	})
}

// Damage is told once, not at every start; new damage is told again.
func TestDamageIsToldOnce(t *testing.T) {
	dir, _ := filled(t)
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	flip := func(name string, at int64) {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte{0xff, 0xfe, 0xfd}, at)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	told := func() uint64 {
		s, damage := open(t, dir)
		assert.NotContains(t, content(t, s), gapsKey, "it is not a key of those who use the store")
		require.NoError(t, s.Close())
		require.False(t, damage.Torn, "no write was cut off")
		return damage.Records
	}
	flip(names[0], 500)
	assert.Equal(t, uint64(1), told())
	assert.Zero(t, told())
	flip(names[1], 500)
	assert.Equal(t, uint64(1), told())
	assert.Zero(t, told())
	info, err := os.Stat(names[len(names)-1])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(names[len(names)-1], info.Size()/2))
	assert.Positive(t, told())
	assert.Zero(t, told())
}

// A value of the store's own form, of a sender who knows it, is no record when the one around it is damaged.
func TestRecordWithinARecord(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	inner := appendRecord(nil, s.segments[0].seed+1, 5, []Write{{"evil", []byte("1")}}, func(Write, int) {})
	require.NoError(t, s.Apply([]Write{{"b", inner}}))
	content0, err := os.ReadFile(s.segments[0].name)
	require.NoError(t, err)
	at := bytes.LastIndex(content0, inner) - 3
	content0[at] ^= 1
	dir := crash(t, s)
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(s.segments[0].name)), content0, 0o600))
	damaged, damage := open(t, dir)
	assert.Equal(t, Damage{Records: 1}, damage)
	assert.Equal(t, map[string]string{"a": "1"}, content(t, damaged))
}

// A value that the disk changes underneath is not handed out, and does not keep files from going away.
func TestDamagedWhileOpen(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("value")}}))
	_, err := s.segments[0].file.WriteAt([]byte("X"), s.places["a"].at)
	require.NoError(t, err)
	_, err = s.Get("a")
	require.ErrorIs(t, err, ErrDamaged)
	value := make([]byte, 100_000)
	for range 200 {
		require.NoError(t, s.Apply([]Write{{"b", value}}))
	}
	_, err = s.Get("a")
	require.ErrorIs(t, err, ErrDamaged)
	size, _ := s.Bytes()
	assert.Less(t, size, int64(7<<20))
	require.NoError(t, s.Apply([]Write{{"a", []byte("new")}}))
	got, err := s.Get("a")
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
}

// What cannot be written changes nothing, and is no damage afterwards.
func TestFailedWrite(t *testing.T) {
	s, _ := open(t, t.TempDir())
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	writable := s.segments[0].file
	readOnly, err := os.Open(s.segments[0].name)
	require.NoError(t, err)
	s.segments[0].file = readOnly
	err = s.Apply([]Write{{"a", nil}, {"b", []byte("2")}})
	require.ErrorAs(t, err, new(*fs.PathError))
	assert.Equal(t, map[string]string{"a": "1"}, content(t, s))
	s.segments[0].file = writable
	require.NoError(t, s.Apply([]Write{{"c", []byte("3")}}))
	again, damage := open(t, crash(t, s))
	assert.Zero(t, damage)
	assert.Equal(t, map[string]string{"a": "1", "c": "3"}, content(t, again))
}

func TestFsync(t *testing.T) {
	s, _, err := Open(t.TempDir(), Options{Fsync: true})
	require.NoError(t, err)
	require.NoError(t, s.Apply([]Write{{"a", []byte("1")}}))
	require.NoError(t, s.Close())
}

func FuzzDamage(f *testing.F) {
	s, _ := open(f, f.TempDir())
	want := map[string]string{}
	for n := range 40 {
		key, value := strconv.Itoa(n%30), fmt.Sprint("value ", n)
		require.NoError(f, s.Apply([]Write{{key, []byte(value)}}))
		want[key] = value
	}
	name := filepath.Base(s.segments[0].name)
	original, err := os.ReadFile(s.segments[0].name)
	require.NoError(f, err)
	last, err := os.ReadFile(filepath.Join(s.dir, "last"))
	require.NoError(f, err)
	f.Add(uint16(0), uint16(8), []byte{1, 2, 3})
	f.Add(uint16(60), uint16(0), []byte{0xff, 0xff})
	f.Add(uint16(80), uint16(0), original[:60])
	f.Fuzz(func(t *testing.T, at, cut uint16, garbage []byte) {
		damaged := bytes.Clone(original)
		copy(damaged[int(at)%len(damaged):], garbage)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), damaged[:len(damaged)-int(cut)%len(damaged)], 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "last"), last, 0o600))
		probe(t, dir, want)
	})
}

// Any bytes may be a record's body.
func FuzzChanges(f *testing.F) {
	f.Add(appendRecord(nil, 0, 1, []Write{{"key", []byte("value")}, {"gone", nil}}, func(Write, int) {})[headerSize:])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01})
	f.Fuzz(func(t *testing.T, body []byte) {
		changes(body, func(w Write, at int) { require.Equal(t, string(w.Value), string(body[at:at+len(w.Value)])) })
		decodeGaps(body)
	})
}
