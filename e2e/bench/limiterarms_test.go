//go:build e2e

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryLimiterArm is TestEveryArm for -limiter.
func TestEveryLimiterArm(t *testing.T) {
	var out strings.Builder
	binary := filepath.Join("..", "..", "bin", "otelcol")
	require.NoError(t, run(t.Context(), options{binary: binary, lines: 1, files: 1, runs: 1, limiter: true, points: minPoints}, &out))
	assert.Equal(t, len(limiterArms), strings.Count(out.String(), ", to nop |")+strings.Count(out.String(), ", OTLP |"), out.String())
}
