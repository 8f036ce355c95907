//go:build e2e

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryLokiArm is TestEveryArm for -loki.
func TestEveryLokiArm(t *testing.T) {
	var out strings.Builder
	binary := filepath.Join("..", "..", "bin", "otelcol")
	require.NoError(t, run(t.Context(), options{binary: binary, lines: 1, files: 1, runs: 1, loki: true, records: minRecords}, &out))
	assert.Equal(t, len(lokiArms), strings.Count(out.String(), ", to nop |")+strings.Count(out.String(), ", OTLP |"), out.String())
}
