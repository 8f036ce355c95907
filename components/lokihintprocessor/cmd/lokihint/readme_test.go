package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the component's README shows is what the command prints for the shipped profiles, without the comments.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	f := func(args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", args...)
		assert.Zero(t, status, problem)
		var shown strings.Builder
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") {
				shown.WriteString(line)
			}
		}
		assert.NotEmpty(t, shown.String())
		assert.Contains(t, string(readme), "\n"+shown.String()+"```\n")
	}
	const lgtm, promtail = "../../../../configs/backends/lgtm.yaml", "../../../../configs/loki/promtail-labels.yaml"

	f("print", "--config", lgtm, "--config", promtail)
	f("explain", "--config", lgtm, "testdata/cart.json")
}
