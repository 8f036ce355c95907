package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrintLokiTable(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var out strings.Builder
		require.NoError(t, printTable(strings.NewReader(in), &out))
		_, rows, _ := strings.Cut(out.String(), "---:|\n")
		assert.Equal(t, want, rows)
	}
	f(`
BenchmarkLokiHint/shipped/10/turns-2   200   0 loki_hint-allocs/record   3 loki_hint-allocs/resource   200 loki_hint-ns/record   30.4 noop-ns/record   1000 upstream-ns/record   5 upstream-allocs/record   35.05 upstream-allocs/resource   500 mend-ns/record   100 names-ns/record
BenchmarkLokiHint/tenants/turns-2      200   0.5 loki_hint-allocs/record   3 loki_hint-allocs/resource   200 loki_hint-ns/record   30.4 noop-ns/record
`, `| shipped/10 | 30 | 200 | 0.0 | 3.0 | 1000 | 5.0 | 35.0 | 5.0 | 500 | 2.5 | 100 | 0.5 |
| tenants | 30 | 200 | 0.5 | 3.0 |  |  |  |  |  |  |  |  |
`)
}

// TestLokiModule: what is held against loki_hint is what is in the binary.
func TestLokiModule(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	module, manifest := read("loki/go.mod"), read("../../builder-config.yaml")
	for _, name := range []string{"transformprocessor", "groupbyattrsprocessor"} {
		_, rest, found := strings.Cut(module, "/processor/"+name+" ")
		require.True(t, found)
		version, _, _ := strings.Cut(rest, "\n")
		assert.Contains(t, manifest, "/processor/"+name+" "+version+"\n")
	}
}
