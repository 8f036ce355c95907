package podlogs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newFleet(t *testing.T, dir string, o Options) *Fleet {
	t.Helper()
	o.PodsDir, o.DockerDir = filepath.Join(dir, "pods"), filepath.Join(dir, "docker")
	f, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

// writeAndRotate keeps every file: the ledger is to be compared with all of them.
func writeAndRotate(t *testing.T, dir string, seed uint64) *Fleet {
	t.Helper()
	f := newFleet(t, dir, Options{Seed: seed, Containers: 6, LongPercent: 15, KeepFiles: 100})
	for i := range 40 {
		require.NoError(t, f.Write(25))
		require.NoError(t, f.Rotate(i%f.Len()))
	}
	require.NoError(t, f.Finish())
	return f
}

func TestFilesHoldWhatTheLedgerSays(t *testing.T) {
	for seed := range uint64(4) {
		f := writeAndRotate(t, t.TempDir(), seed)
		straddling := 0
		for i := range f.Len() {
			c := f.Container(i)
			lines := readAll(t, c)
			for s := range Streams {
				got, ledger := join(lines, Streams[s]), c.streams[s].ledger
				require.Len(t, got, len(ledger), "%s %s", c.Runtime, Streams[s])
				assert.Equal(t, len(ledger), f.Counts()[i][s])
				for n, want := range ledger {
					require.Equal(t, want.Text, got[n].text, "%s %s %d", c.Runtime, Streams[s], n)
					require.True(t, want.Time.Equal(got[n].time), "%s %s %d: %s", c.Runtime, Streams[s], n, got[n].time)
					require.Equal(t, want.Begin, got[n].begin)
					require.Equal(t, want.End, got[n].end)
					if want.Begin.Generation != want.End.Generation {
						straddling++
					}
				}
			}
			for n := 1; n < len(lines); n++ {
				switch c.Runtime {
				case Containerd:
					assert.True(t, lines[n].time.After(lines[n-1].time), "%s is after %s", lines[n].time, lines[n-1].time)
				case CRIO:
					assert.False(t, lines[n].time.Before(lines[n-1].time), "%s is before %s", lines[n].time, lines[n-1].time)
				case Docker: // pieces have their first one's
				}
			}
		}
		assert.Positive(t, straddling, "no record lies across a rotation: the test shows nothing")
	}
}

func TestTheSameSeedWritesTheSameFiles(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	for i, seed := range []uint64{7, 7, 8} {
		writeAndRotate(t, dirs[i], seed)
	}
	assert.Equal(t, tree(t, dirs[0]), tree(t, dirs[1]))
	assert.NotEqual(t, tree(t, dirs[0]), tree(t, dirs[2]))
}

func TestRotationLeavesTheNewestRotatedFilePlain(t *testing.T) {
	f := newFleet(t, t.TempDir(), Options{Containers: 3, LongPercent: 5})
	for n := 1; n <= 7; n++ {
		require.NoError(t, f.Write(60))
		for i := range f.Len() {
			require.NoError(t, f.Rotate(i))
			c := f.Container(i)
			if c.Runtime == Docker {
				assert.Equal(t, []string{c.name, c.name + ".1", c.name + ".2", "config.v2.json"}[:min(n, 2)+1], files(t, c.Dir)[:min(n, 2)+1])
				continue
			}
			names := files(t, c.Dir)
			require.Len(t, names, min(n, 4)+1, "the file, and at most four old ones")
			assert.Equal(t, c.name, names[0])
			for k, name := range names[1:] {
				newest := k == len(names)-2
				assert.Regexp(t, `^`+c.name+`\.2026\d{4}-\d{6}(\.gz)?$`, name)
				assert.Equal(t, newest, !strings.HasSuffix(name, ".gz"), "%v", names)
			}
		}
	}
}

func TestOpenCountsStreamsInsideARecord(t *testing.T) {
	f := newFleet(t, t.TempDir(), Options{Containers: 6, LongPercent: 100})
	most := 0
	for range 100 {
		require.NoError(t, f.Write(1))
		most = max(most, f.Open())
	}
	assert.Greater(t, most, 3)
	require.NoError(t, f.Finish())
	assert.Zero(t, f.Open())
}

func TestMostOpenEndsRecords(t *testing.T) {
	longest := func(bound int) int {
		f := newFleet(t, t.TempDir(), Options{Containers: 60, LongPercent: 20, MostOpen: bound})
		longest := 0
		for range 3000 {
			require.NoError(t, f.Write(1))
			if len(f.open) > 0 {
				longest = max(longest, f.writes-f.open[0].since)
			}
		}
		return longest
	}
	assert.Greater(t, longest(0), 200)
	assert.Less(t, longest(50), 150, "some may be due at once")
}

func TestRunKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, t.TempDir(), Options{Containers: 1, LongPercent: 0})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.NoError(t, f.Run(ctx, 100))
		counts := f.Counts()[0]
		assert.InDelta(t, 1000, counts[0]+counts[1], 3)
	})
}

func TestTextSaysWhatItIs(t *testing.T) {
	long := 0
	for n := range 3000 {
		text := Text(3, 20, 17, n%2, n)
		id, ok := FindID(text)
		require.True(t, ok)
		require.Equal(t, ID{Container: 17, Stream: n % 2, Number: n, Bytes: len(text)}, id)
		require.NotContains(t, text, "\n")
		require.True(t, utf8.ValidString(text))
		require.Equal(t, text, Text(3, 20, 17, n%2, n))
		if len(text) > 8<<10 {
			long++
		}
	}
	assert.InDelta(t, 600, long, 120)
	_, ok := FindID("a piece without its head")
	assert.False(t, ok)
}

func TestLedgerRefusesWhatWasNeverWritten(t *testing.T) {
	f := newFleet(t, t.TempDir(), Options{Containers: 1})
	for _, id := range [][3]int{{1, 0, 0}, {0, 2, 0}, {0, 0, 0}, {-1, 0, 0}, {0, 0, -1}} {
		_, err := f.Entry(id[0], id[1], id[2])
		assert.Error(t, err, "%v", id)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	content := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		content[strings.TrimPrefix(path, dir)] = string(b)
		return err
	}))
	require.NotEmpty(t, content)
	return content
}
