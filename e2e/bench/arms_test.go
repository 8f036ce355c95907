//go:build e2e

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryArm runs every arm with a few lines: what bench measures must be there to be measured. Figures of so small a run
// say nothing.
func TestEveryArm(t *testing.T) {
	binary := filepath.Join("..", "..", "bin", "otelcol")
	t.Run("throughput", func(t *testing.T) {
		var out strings.Builder
		require.NoError(t, run(t.Context(), options{binary: binary, lines: 5000, files: 3, runs: 1}, &out))
		assert.Equal(t, len(arms), strings.Count(out.String(), ", to nop |")+strings.Count(out.String(), ", OTLP |"), out.String())
	})
	t.Run("rest", func(t *testing.T) {
		idleFiles, spreadFiles = []int{2}, []int{1, 2}
		var out strings.Builder
		require.NoError(t, run(t.Context(), options{binary: binary, lines: 5000, files: 1, runs: 1, rest: true, idle: time.Second}, &out))
		assert.Equal(t, 1+len(spreadFiles), strings.Count(out.String(), "\n| 1 |")+strings.Count(out.String(), "\n| 2 |"), out.String())
	})
}
