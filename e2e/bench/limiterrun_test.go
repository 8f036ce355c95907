package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// TestLimiterRules: what is measured is what the gateway has.
func TestLimiterRules(t *testing.T) {
	read := func(name string) map[string]any {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var c struct {
			Processors map[string]map[string]any `yaml:"processors"`
		}
		require.NoError(t, yaml.Unmarshal(text, &c))
		require.Contains(t, c.Processors, "cardinality_limiter")
		return c.Processors["cardinality_limiter"]
	}
	gateway, ours := read(filepath.Join("..", "..", "configs", "gateway.yaml")), read(filepath.Join("configs", "limiter.yaml"))
	assert.NotEmpty(t, gateway["rules"])
	assert.Equal(t, gateway["rules"], ours["rules"])
	assert.Equal(t, gateway["protect"], ours["protect"])
}

func TestOver(t *testing.T) {
	f := func(a pointArm, accepted, passed, replaced, want float64) {
		t.Helper()
		got, err := a.over(pointPage(accepted, passed, replaced), 100)
		require.NoError(t, err)
		assert.InDelta(t, want, got, 1e-9)
	}
	bad := func(a pointArm, accepted, passed, replaced float64) {
		t.Helper()
		_, err := a.over(pointPage(accepted, passed, replaced), 100)
		assert.Error(t, err)
	}
	f(pointArm{}, 100, 0, 0, 0)
	f(pointArm{limits: true}, 100, 100, 0, 0)
	f(pointArm{limits: true, explode: true}, 100, 80, 20, 0.2)

	bad(pointArm{}, 99, 0, 0)
	bad(pointArm{}, 100, 100, 0)                            // a limiter where there should be none
	bad(pointArm{limits: true}, 100, 0, 0)                  // none where there should be one
	bad(pointArm{limits: true}, 100, 50, 0)                 // not all went through it
	bad(pointArm{limits: true}, 100, 99, 1)                 // it limits what should pass
	bad(pointArm{limits: true, explode: true}, 100, 100, 0) // it lets pass what it should limit
}

func pointPage(accepted, passed, replaced float64) harness.Page {
	const name = "otelcol_processor_cardinality_limiter_points"
	return harness.Page{
		{Name: "otelcol_receiver_accepted_metric_points", Value: accepted},
		{Name: name, Labels: map[string]string{"outcome": "passed"}, Value: passed},
		{Name: name, Labels: map[string]string{"outcome": "replaced"}, Value: replaced},
	}
}

func TestLimiterRunTable(t *testing.T) {
	run := func(cpu time.Duration, rss int64, over float64) pointResult {
		return pointResult{points: 500_000, cpu: cpu, wall: 2 * time.Second, rss: rss << 20, over: over}
	}
	chosen := []pointArm{limiterArms[0], limiterArms[1], limiterArms[9]}
	require.Equal(t, []string{"none", "limiter", "exploding-limiter-storage"}, names(plain(chosen)))
	got := limiterRunTable(options{runs: 3}, chosen, map[string][]pointResult{
		"none":                      {run(4*time.Second, 103, 0), run(time.Second, 101, 0), run(2*time.Second, 102, 0)},
		"limiter":                   {run(5*time.Second, 105, 0), run(2*time.Second, 120, 0), run(2*time.Second, 106, 0)},
		"exploding-limiter-storage": {run(time.Second, 101, 0.225)}, // what it is held against has not run
	})
	assert.Equal(t, `500000 points of 10000 series in requests of 1000, median of 3

| | CPU s per million points | times no processor | lowest to highest | peak RSS, MiB | wall, s | not passed, % |
|---|---:|---:|---:|---:|---:|---:|
| no processor, to nop | 4.00 |  |  | 102 | 2.0 |  |
| cardinality_limiter, to nop | 4.00 | 1.25 | 1.00 to 2.00 | 106 | 2.0 | 0 |
| a quarter explodes: cardinality_limiter with storage, to nop | 2.00 |  |  | 101 | 2.0 | 22 |
`, got)
}
