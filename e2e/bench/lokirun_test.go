package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestLokiLabels: what is measured is what the profile has.
func TestLokiLabels(t *testing.T) {
	read := func(name string) any {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var c struct {
			Processors map[string]map[string]any `yaml:"processors"`
		}
		require.NoError(t, yaml.Unmarshal(text, &c))
		return c.Processors["loki_hint"]["labels"]
	}
	shipped := read(filepath.Join("..", "..", "configs", "backends", "lgtm.yaml"))
	assert.NotEmpty(t, shipped)
	assert.Equal(t, shipped, read(filepath.Join("configs", "loki", "hint.yaml")))
}

func TestVerifyLogs(t *testing.T) {
	f := func(a arm, count, demoted int64, wantOK bool) {
		t.Helper()
		s := &sink{}
		s.count.Store(count)
		s.demoted.Store(demoted)
		assert.Equal(t, wantOK, s.verifyLogs(a, 100) == nil)
	}
	f(arm{}, 0, 0, true)
	f(arm{toSink: true}, 100, 0, true)
	f(arm{toSink: true, parsed: true}, 100, 100, true)

	f(arm{toSink: true}, 99, 0, false)
	f(arm{toSink: true}, 101, 0, false)
	f(arm{toSink: true}, 100, 100, false) // a processor where there should be none
	f(arm{toSink: true, parsed: true}, 100, 0, false)
	f(arm{toSink: true, parsed: true}, 100, 99, false)
}

func TestLokiRunTable(t *testing.T) {
	run := func(cpu time.Duration, rss int64) pointResult {
		return pointResult{points: 500_000, cpu: cpu, wall: 2 * time.Second, rss: rss << 20}
	}
	chosen, err := choose("none,hint,otlp-hint", lokiArms)
	require.NoError(t, err)
	got := lokiRunTable(options{runs: 3}, chosen, map[string][]pointResult{
		"none":      {run(4*time.Second, 103), run(time.Second, 101), run(2*time.Second, 102)},
		"hint":      {run(5*time.Second, 105), run(2*time.Second, 120), run(2*time.Second, 106)},
		"otlp-hint": {run(time.Second, 101)}, // what it is held against has not run
	})
	assert.Equal(t, `500000 records of 1000 containers in requests of 1000, median of 3

| | CPU s per million records | more than no processor | lowest to highest | peak RSS, MiB | wall, s |
|---|---:|---:|---:|---:|---:|
| no processor, to nop | 4.00 |  |  | 102 | 2.0 |
| loki_hint, to nop | 4.00 | 2.00 | 0.00 to 2.00 | 106 | 2.0 |
| loki_hint, memory queue, OTLP | 2.00 |  |  | 101 | 2.0 |
`, got)
}
