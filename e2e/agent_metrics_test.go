//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The node's own numbers, compared with what the kernel says of this machine, and the agent's.
func TestAgentReportsHostMetrics(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, tiers.StartKubernetes(t), tiers.Tier{
		Profile: "agent", Backends: []string{"backends/to-gateway"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"HOST_METRICS_INTERVAL": "2s", "HOST_ROOT": hostRoot(t)}),
	})
	want := []string{
		"system.cpu.time", "system.cpu.utilization", "system.cpu.load_average.1m", "system.memory.usage", "system.memory.utilization",
		"system.paging.operations", "system.disk.io", "system.network.io", "system.processes.count", "system.filesystem.usage",
		"otelcol_process_memory_rss", "otelcol_exporter_queue_size",
	}
	points := sink.WaitPoints(t, 40*time.Second, func(points []harness.Point) error {
		for _, name := range want {
			if !slices.ContainsFunc(points, func(p harness.Point) bool { return p.Name == name }) {
				return fmt.Errorf("no %s", name)
			}
		}
		return nil
	}, agent.Proc)

	total := 0.0 // of the first scrape: its states add up to what the machine has
	first := time.Time{}
	for _, p := range points {
		if strings.HasPrefix(p.Name, "system.") {
			assert.Equal(t, "node-1", p.Resource["host.name"], p.Name)
			assert.Equal(t, "default", p.Resource["k8s.cluster.name"], p.Name)
		}
		switch p.Name {
		case "otelcol_process_memory_rss":
			assert.Equal(t, "sluice-agent", p.Resource["service.name"])
			assert.Equal(t, "node-1", p.Resource["service.instance.id"])
		case "system.memory.usage":
			if first.IsZero() {
				first = p.Time
			}
			if p.Time.Equal(first) && fmt.Sprint(p.Attrs["state"]) != "slab_reclaimable" && fmt.Sprint(p.Attrs["state"]) != "slab_unreclaimable" {
				total += p.Value
			}
		case "system.filesystem.usage":
			assert.NotContains(t, []string{"proc", "tmpfs", "overlay", "cgroup2"}, p.Attrs["type"], "a file system that is none")
		}
		assert.False(t, strings.HasPrefix(p.Name, "otelcol_otelcol_k8s_pod_association"), "one series per pod IP")
	}
	assert.InEpsilon(t, memTotal(t), total, 0.02, "system.memory.usage over its states")
}

// hostRoot is where the node's root is mounted, as in the DaemonSet: here another name of this machine's.
func hostRoot(t *testing.T) string {
	t.Helper()
	link := t.TempDir() + "/hostfs"
	require.NoError(t, os.Symlink("/", link))
	return link
}

func memTotal(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	var kb float64
	_, err = fmt.Sscanf(string(text), "MemTotal: %f kB", &kb)
	require.NoError(t, err)
	return kb * 1024
}
