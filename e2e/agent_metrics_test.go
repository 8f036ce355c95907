//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// The node's own numbers, its memory compared with what its root says, and the agent's.
func TestAgentReportsHostMetrics(t *testing.T) {
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, tiers.StartKubernetes(t), tiers.Tier{
		Profile: "agent", Backends: []string{"backends/to-gateway"},
		Env: tiers.With(tiers.ToSink(t, sink), map[string]string{"HOST_METRICS_INTERVAL": "2s", "HOST_ROOT": hostRoot(t)}),
	})
	want := []string{
		"system.cpu.time", "system.cpu.utilization", "system.cpu.load_average.1m", "system.memory.usage", "system.memory.utilization",
		"system.paging.operations", "system.disk.io", "system.processes.count", "system.filesystem.usage",
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

	total := int64(0) // of the first scrape: its states add up to what the machine has
	first := time.Time{}
	for _, p := range points {
		if strings.HasPrefix(p.Name, "system.") {
			assert.Equal(t, "node-1", p.Resource["host.name"], p.Name)
			assert.Equal(t, "default", p.Resource["k8s.cluster.name"], p.Name)
			assert.False(t, strings.HasPrefix(p.Name, "system.network"), "%s: in a pod that is the pod's network, not the node's", p.Name)
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
				total += int64(p.Value)
			}
		case "system.filesystem.usage":
			assert.NotContains(t, []string{"proc", "tmpfs", "overlay", "cgroup2"}, p.Attrs["type"], "a file system that is none")
		}
		assert.False(t, strings.HasPrefix(p.Name, "otelcol_otelcol_k8s_pod_association"), "one series per pod IP")
	}
	assert.Equal(t, int64(nodeMemory), total, "system.memory.usage over its states: that of the machine below HOST_ROOT")
}

// nodeMemory is what the node has: 3 GiB less what its kernel keeps, a size that no machine has by chance.
const nodeMemory = 3055044 * 1024

// meminfo is as much of the node's /proc/meminfo as is read. Used is MemTotal less MemAvailable, and cached is Cached with
// SReclaimable: as MemAvailable is MemFree, Buffers and these two, the states add up to MemTotal, to the byte.
const meminfo = `MemTotal:        3055044 kB
MemFree:          900100 kB
MemAvailable:    2100400 kB
Buffers:           50100 kB
Cached:          1050100 kB
SReclaimable:     100100 kB
SUnreclaim:        40000 kB
`

// hostRoot is where the node's root is mounted, as in the DaemonSet: this machine's with another memory. A link to / would
// give the same numbers to an agent that does not look below it.
func hostRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	link := func(dir string, skip func(name string) bool) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			if !skip(e.Name()) {
				require.NoError(t, os.Symlink(filepath.Join(dir, e.Name()), filepath.Join(root, dir, e.Name())))
			}
		}
	}
	link("/", func(name string) bool { return name == "proc" })
	require.NoError(t, os.Mkdir(filepath.Join(root, "proc"), 0o755))
	link("/proc", func(name string) bool {
		pid, err := strconv.Atoi(name)
		return name == "meminfo" || err == nil && pid != 1 // 1 is whose mounts are the node's
	})
	require.NoError(t, os.WriteFile(filepath.Join(root, "proc", "meminfo"), []byte(meminfo), 0o644))
	return root
}
