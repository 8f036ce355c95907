//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Exporters that know hints (Alloy's otelcol.exporter.loki is one) make the chosen labels of what the processor emits, and add four of their own.
func TestEmittedHints(t *testing.T) {
	translator := filepath.Join(t.TempDir(), "lokitranslator")
	build := exec.Command("go", "build", "-o", translator, ".")
	build.Dir = "../../../../e2e/backends/lokitranslator"
	problem, err := build.CombinedOutput()
	require.NoError(t, err, "%s", problem)
	f := func(config string) {
		t.Helper()
		text, err := os.ReadFile("testdata/logs.jsonl")
		require.NoError(t, err)
		requests, err := read(bytes.NewReader(text))
		require.NoError(t, err)
		l, err := load(t.Context(), source{files: []string{"testdata/" + config + ".yaml", "yaml:processors::loki_hint::hints::emit: true"}})
		require.NoError(t, err)
		outcome, _, err := process(t.Context(), l, requests)
		require.NoError(t, err)

		var in bytes.Buffer
		var want []map[string]string
		for _, s := range outcome {
			document, err := (&plog.JSONMarshaler{}).MarshalLogs(s.logs)
			require.NoError(t, err)
			in.Write(append(document, '\n'))
			for _, e := range l.loki().Store(s.logs).Entries {
				want = append(want, e.Labels)
			}
		}
		run := exec.Command(translator)
		run.Stdin, run.Stderr = &in, os.Stderr
		out, err := run.Output()
		require.NoError(t, err)
		var got []map[string]string
		for line := range bytes.Lines(out) {
			var labels map[string]string
			require.NoError(t, json.Unmarshal(line, &labels))
			assert.Equal(t, "OTLP", labels["exporter"])
			got = append(got, labels)
		}
		require.Len(t, got, len(want))
		for i, labels := range want {
			for _, added := range []string{"exporter", "job", "instance", "level"} {
				if _, chosen := labels[added]; !chosen {
					delete(got[i], added)
				}
			}
			if _, chosen := labels["level"]; chosen {
				delete(labels, "level") // theirs is in capitals, and wins
				delete(got[i], "level")
			}
			assert.Equal(t, labels, got[i])
		}
	}

	f("default")
	f("generated")
	f("list")
	f("many")
}
