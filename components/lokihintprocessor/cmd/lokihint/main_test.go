package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// lokihint runs the command as main does.
func lokihint(t *testing.T, in string, args ...string) (status int, out, problem string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), args, environment{in: strings.NewReader(in), out: &stdout, err: &stderr})
	return status, stdout.String(), stderr.String()
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// file writes a configuration.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestUsage(t *testing.T) {
	f := func(wantStatus int, wantOut, wantProblem string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", args...)
		assert.Equal(t, wantStatus, status)
		assert.Contains(t, out, wantOut)
		assert.Contains(t, problem, wantProblem)
		assert.Equal(t, wantOut == "", out == "")
		assert.Equal(t, wantProblem == "", problem == "")
	}

	f(2, "", "Usage: lokihint <command>")
	f(2, "", "Usage: lokihint <command>", "labels")
	f(0, "Usage: lokihint <command>", "", "--help")
	f(0, "Usage: lokihint <command>", "", "help")
	for _, command := range []string{"print", "explain", "verify"} {
		f(0, "Usage: lokihint "+command+" --config FILE", "", command, "--help")
		f(2, "", command+": --config is missing (lokihint "+command+" --help)", command)
		f(2, "", command+": flag provided but not defined: -labels", command, "--labels")
	}
	f(2, "", "takes no arguments, got [\"x\"]", "print", "--config", "testdata/default.yaml", "x")
	f(2, "", "takes no arguments, got [\"x\"]", "verify", "--config", "testdata/default.yaml", "x")
	f(2, "", "takes one file, got [\"a\" \"b\"]", "explain", "--config", "testdata/default.yaml", "a", "b")
}

func TestConfiguration(t *testing.T) {
	f := func(wantProblem string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", append([]string{"print"}, args...)...)
		if wantProblem == "" {
			assert.Zero(t, status, problem)
			return
		}
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Contains(t, problem, "lokihint: ")
		assert.Contains(t, problem, wantProblem)
	}
	two := file(t, "processors: {loki_hint: , loki_hint/2: {contract: list, index: [service.name]}, batch: {}}")

	f("", "--config", "testdata/default.yaml")
	f("no such file", "--config", "testdata/none.yaml")
	f("configuration: ", "--config", file(t, "processors: ["))
	f("no loki_hint under processors: add the file that has it with --config", "--config", file(t, "processors: {batch: {}, loki_hints: {}}"))
	f("no loki_hint under processors", "--config", file(t, "service: {}"))
	f("configuration: ", "--config", file(t, "processors: [loki_hint]"))
	f("--processor must name one of loki_hint, loki_hint/2", "--config", two)
	f("", "--config", two, "--processor", "loki_hint")
	f("--processor must name one of loki_hint, loki_hint/2, got \"loki_hint/3\"", "--config", two, "--processor", "loki_hint/3")
	f("configuration of loki_hint: max_labels: must be between 1 and 64, got 0", "--config", file(t, "processors: {loki_hint: {max_labels: 0}}"))
	f("configuration of loki_hint: ", "--config", file(t, "processors: {loki_hint: {max_label: 1}}"))
	f("configuration of loki_hint/x: budget: window: must be at least 1m", "--config", file(t, "processors: {loki_hint/x: {budget: {window: 1s}}}"))
	f("configuration of loki_hint/y: ", "--config", file(t, "processors: {loki_hint/y: text}"))
	f("labels::0: name: Loki makes no label \"team\"", "--config", file(t, "processors: {loki_hint: {labels: [resource.team]}}"))
}

// Files are read as the collector reads them: the later ones change the earlier ones, and variables are expanded.
func TestConfigurationOfSeveralFiles(t *testing.T) {
	first := file(t, "processors: {loki_hint: {contract: '${env:LOKIHINT_CONTRACT:-generated}', labels: [resource.a]}}")
	second := file(t, "processors: {loki_hint: {labels: [resource.b]}}")
	f := func(want, wantNot string, args ...string) {
		t.Helper()
		status, out, problem := lokihint(t, "", append([]string{"print"}, args...)...)
		assert.Zero(t, status, problem)
		assert.Contains(t, out, want)
		assert.NotContains(t, out, wantNot)
	}

	f(", a]", ", b]", "--config", first)
	f(", b]", ", a]", "--config", first, "--config", second)
	f(", c]", ", a]", "--config", "file:"+first, "--config", "yaml:processors::loki_hint::labels: [resource.c]")
	t.Setenv("LOKIHINT_CONTRACT", "default")
	t.Setenv("LOKIHINT_ATTRIBUTE", "d")
	f(", d]", ", a]", "--config", "yaml:processors::loki_hint: {contract: generated, labels: ['resource.${LOKIHINT_ATTRIBUTE}']}")
	f("with contract: default", "otlp_config:", "--config", first, "--config", file(t, "processors: {loki_hint: {labels: []}}"))
}
