//go:build e2e

package smoke

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// What `make run` shows: one loop of the sample, faster, on ports of its own.
func TestMakeRunShowsTheSample(t *testing.T) {
	program := filepath.Join(t.TempDir(), "replay")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./configs/local/replay")
	build.Dir = harness.Root(t)
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	work := t.TempDir() // not the default: somebody's `make run` may be at work there
	cmd := exec.CommandContext(t.Context(), program,
		"-work", work, "-loops", "1", "-rate", "60",
		"-drain", "12s") // its own metrics: 5 s until the target is known, then the interval
	cmd.Dir = harness.Root(t)
	cmd.Env = os.Environ()
	names := []string{
		"OTLP_GRPC_ENDPOINT", "OTLP_HTTP_ENDPOINT", "HEALTH_ENDPOINT", "ZPAGES_ENDPOINT", "PPROF_ENDPOINT",
		"JAEGER_GRPC_ENDPOINT", "JAEGER_HTTP_ENDPOINT", "ZIPKIN_ENDPOINT",
	}
	ports := proc.FreePorts(t, len(names)+1)
	for i, name := range names {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=127.0.0.1:%d", name, ports[i]))
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf("METRICS_PORT=%d", ports[len(names)]), "LOCAL_METRICS_INTERVAL=2s")
	printed, err := cmd.CombinedOutput()
	out := string(printed)
	require.NoError(t, err, out)

	for what, want := range map[string]string{
		"where the sample is": "log files in " + work + ".",
		"where to send":       "OTLP         gRPC 127.0.0.1:",
		"zpages":              "/debug/pipelinez",
		"a containerd line":   "k8s.pod.name=inventory-6d4f9b8c7-r2b6j",
		"a CRI-O line":        "k8s.pod.name=frontend-66f7b9d58c-l8n5d",
		"a Docker line":       "container.id=5b0c7d9e3f21a86409c4d5e8b7f1023a9c6e4d8f5b7a1e30c2d94f6a8b1e7c05",
		"its name":            "container.name=cms",
		"joined pieces":       "block 01090 ok block 01091 ok",
		"a joined record":     "invoice 00419 matches order",
		"a Falco alert":       "falco.rule=Terminal shell in container",
		"a span":              "SELECT accounts",
		"a masked secret":     `"password":"****"`,
		"a failed probe":      `"GET /healthz HTTP/1.1" 503`,
		"metrics of the host": "system.memory.usage",
		"its own metrics":     "otelcol_receiver_accepted_log_records",
		"a clean end":         "\nstopped\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: %q is not there", what, want)
		}
	}
	for what, never := range map[string]string{
		"a probe that succeeded": `"GET /healthz HTTP/1.1" 200`,
		"an e-mail address":      "ada.lovelace@example.com",
		"a card":                 "4111 1111 1111 1111",
		"a password":             "hunter2",
		"a token":                "eyJhbGciOiJub25lIn0",
		"a debug line":           `"level":"debug"`,
		"a container's secret":   "fake-secret-never-to-be-printed",
		"a missing config.v2":    "name and image are unknown",
	} {
		assert.NotContains(t, out, never, what)
	}
	if t.Failed() {
		t.Log(out)
	}
}
