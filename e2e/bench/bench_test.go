package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCorpus(t *testing.T) {
	dir := t.TempDir()
	c, err := writeCorpus(filepath.Join(dir, "a"), 1001, 3)
	require.NoError(t, err)
	_, err = writeCorpus(filepath.Join(dir, "b"), 1001, 3)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(c.dir, "*", "*", "*.log"))
	require.NoError(t, err)
	require.Len(t, files, 3)

	cri := regexp.MustCompile(`^(\S+Z) std(out|err) F level=.*"$`)
	lines, starts := 0, map[string]bool{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		other, err := os.ReadFile(strings.Replace(name, c.dir, filepath.Join(dir, "b"), 1))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, other), "the same numbers, other bytes")
		starts[string(data[:1000])] = true // as much as filelog tells files apart by

		last := time.Time{}
		for line := range bytes.Lines(data) {
			lines++
			assert.Len(t, line, lineBytes)
			m := cri.FindSubmatch(bytes.TrimSuffix(line, []byte("\n")))
			require.NotNil(t, m, "%s", line)
			at, err := time.Parse(time.RFC3339Nano, string(m[1]))
			require.NoError(t, err)
			assert.False(t, at.Before(last), "times go back")
			last = at
		}
	}
	assert.Equal(t, 1001, lines)
	assert.Len(t, starts, 3)
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("71 (a ) name) S 1 71 71 0 -1 4194560 100 0 2 0 150 25 7 8 20 0 9 0 100 0 0")
	require.NoError(t, err)
	assert.Equal(t, 1750*time.Millisecond, got)
	_, err = parseStat("71 (name) S 1 71")
	assert.Error(t, err)
	_, err = parseStat("71 (name) S 1 71 71 0 -1 4194560 100 0 2 0 x 25 7")
	assert.Error(t, err)
}

func TestParseStatus(t *testing.T) {
	got, err := parseStatus("Name:\totelcol\nVmPeak:\t 9 kB\nVmHWM:\t   12 kB\nVmRSS:\t  8 kB\n", "VmHWM")
	require.NoError(t, err)
	assert.EqualValues(t, 12<<10, got)
	_, err = parseStatus("Name:\totelcol\n", "VmHWM")
	assert.Error(t, err)
}

func TestChoose(t *testing.T) {
	f := func(list string, want ...string) {
		t.Helper()
		got, err := choose(list, arms)
		require.NoError(t, err)
		assert.Equal(t, want, names(got))
	}
	f("", names(arms)...)
	f("otlp-raw,nop-raw", "nop-raw", "otlp-raw")
	_, err := choose("nop-raw,nop-row", arms)
	assert.ErrorContains(t, err, `"nop-row"`)

	idle, spread, err := chooseRest("")
	require.NoError(t, err)
	assert.Equal(t, names(restArms), names(idle))
	assert.Equal(t, []string{"nop-raw", "nop-operator", "nop-containerlog"}, names(spread))
}

func TestThroughputTable(t *testing.T) {
	run := func(cpu time.Duration, rss int64) result {
		return result{lines: 500_000, cpu: cpu, startup: 50 * time.Millisecond, wall: 2 * time.Second, rss: rss << 20, anon: rss << 19}
	}
	chosen, err := choose("nop-operator,nop-containerlog,disk-raw", arms)
	require.NoError(t, err)
	got := throughputTable(options{lines: 500_000, files: 20, runs: 3}, chosen, map[string][]result{
		"nop-operator":     {run(9*time.Second, 109), run(6*time.Second, 106), run(5*time.Second, 105)},
		"nop-containerlog": {run(time.Second, 101)},
		"disk-raw":         {run(4*time.Second, 104)}, // what it is held against has not run
	})
	assert.Equal(t, `500000 lines of 230 bytes in 20 files, median of 3

| | CPU s per million lines | times cheaper than the operator | lines/s per core | peak RSS, MiB | without files, MiB | wall, s | start-up, CPU s |
|---|---:|---:|---:|---:|---:|---:|---:|
| container operator, to nop | 12.00 |  | 83333 | 106 | 53 | 2.0 | 0.05 |
| containerlog, to nop | 2.00 | 6.0 | 500000 | 101 | 50 | 2.0 | 0.05 |
| raw lines, lossless, OTLP | 8.00 |  | 125000 | 104 | 52 | 2.0 | 0.05 |
`, got)
}

func TestPrintTable(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var out strings.Builder
		require.NoError(t, printTable(strings.NewReader(in), &out))
		_, rows, _ := strings.Cut(out.String(), "---:|\n")
		assert.Equal(t, want, rows)
	}
	const prefix = "goos: linux\nBenchmarkOther-2   100   5.0 ns/line\n"
	f(prefix+`
BenchmarkContainerlog/cri/200B/files=1/operator-2      	 300	 2902 B/line	 57.43 allocs/line	 16300 ns/line
BenchmarkContainerlog/cri/200B/files=1/raw-2           	 300	 259.1 B/line	 5.160 allocs/line	 300 ns/line
BenchmarkContainerlog/cri/200B/files=1/containerlog-2  	 300	 296.3 B/line	 7.261 allocs/line	 500.4 ns/line
BenchmarkContainerlog/cri/200B/files=1/containerlog-2  	 300	 296.3 B/line	 7.261 allocs/line	 900 ns/line
BenchmarkContainerlog/cri/200B/files=1/containerlog-2  	 300	 296.3 B/line	 7.261 allocs/line	 400 ns/line
BenchmarkContainerlog/cri/200B/files=1/alone-2         	 300	 37.20 B/line	 2.101 allocs/line	 160.2 ns/line
PASS
`, "| cri/200B/files=1 | 16300 | 300 | 500 | 80 | 160 | 37 | 2.10 |\n")
	f("BenchmarkContainerlog/docker/raw-2  300  301 ns/line\n", "| docker | NaN | 301 | NaN | NaN | NaN | NaN | NaN |\n")

	bad := func(in string) {
		t.Helper()
		assert.Error(t, printTable(strings.NewReader(in), &strings.Builder{}))
	}
	bad(prefix)
	bad("BenchmarkContainerlog/cri/raw-2 \n")
	bad("BenchmarkContainerlog/cri/raw-2  300  x ns/line\n")
}
