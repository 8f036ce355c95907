package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrintLimiterTables(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var out strings.Builder
		require.NoError(t, printTable(strings.NewReader(in), &out))
		var rows []string
		for _, table := range strings.Split(out.String(), "\n\n") {
			_, body, _ := strings.Cut(table, "---:|\n")
			rows = append(rows, strings.TrimSuffix(body, "\n"))
		}
		assert.Equal(t, want, strings.Join(rows, "\n\n"))
	}
	f(`
BenchmarkLimiter/hit/10k/noop-2     300   0 B/point   0 allocs/point   80 heap-B/series   2.6 ns/point   5 p99-ns/point
BenchmarkLimiter/hit/10k/limiter-2  300   0.02 B/point   0.001 allocs/point   11.71 heap-B/series   61.4 ns/point   88 p99-ns/point
BenchmarkLimiter/hit/10k/map-2      300   0 B/point   0 allocs/point   84 heap-B/series   1000 ns/point   2000 p99-ns/point
BenchmarkLimiter/fold/limiter-2     300   60 B/point   1.25 allocs/point   150 heap-B/series   300 ns/point   400 p99-ns/point
BenchmarkCores/one_metric/one_core/limiter-2    50   100 ns/point
BenchmarkCores/one_metric/two_cores/limiter-2   50   50.5 ns/point
BenchmarkShapes/gauge/limiter-2    1   200 series-in   21 series-out   200 total-in   199 total-out
BenchmarkShapes/gauge/stripped-2   1   200 series-in   1 series-out   200 total-in   2 total-out
`, `| hit/10k | 3 | 61 | 88 | 0 | 0.00 | 1000 |  |  |  | 11.7 | 84.0 |  |
| fold |  | 300 | 400 | 60 | 1.25 |  |  |  |  | 150.0 |  |  |

| noop, one_metric |  |  |  |
| limiter, one_metric | 100.0 | 50.5 | 1.98 |
| map, one_metric |  |  |  |

| gauge | 200 | 21 | 1 | 200 | 199 | 2 |`)
	f("BenchmarkContainerlog/docker/raw-2  300  301 ns/line\nBenchmarkShapes/gauge/limiter-2  1  200 series-in\n",
		"| docker | NaN | 301 | NaN | NaN | NaN | NaN | NaN |\n\n| gauge | 200 |  |  |  |  |  |")
}
