//go:build e2e

package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/keptseries"
	"github.com/sluice-otel/sluice/e2e/proc"
)

// What the list of kept series promises of the pages of this cluster's API server, kubelet and cAdvisor is in Prometheus, once, and
// nothing else of them.
func TestPagesOfTheClusterArrive(t *testing.T) {
	s := StartSluice(t)
	s.Quick(t)
	for job, page := range map[string]string{
		"kubernetes-apiservers":     "/metrics",
		"kubernetes-nodes":          "/api/v1/nodes/" + s.nodeName(t) + "/proxy/metrics",
		"kubernetes-nodes-cadvisor": "/api/v1/nodes/" + s.nodeName(t) + "/proxy/metrics/cadvisor",
	} {
		t.Run(job, func(t *testing.T) { pageArrives(t, s, job, page) })
	}
}

func pageArrives(t *testing.T, s *Sluice, job, path string) {
	t.Helper()
	page, err := harness.ParseMetrics(s.Kubectl(t, "get", "--raw", path))
	require.NoError(t, err)
	list := keptseries.Load(t)[job]
	// Metrics that this node does not have: without its disks in cgroups, say. Most it has to have.
	promised := len(list.Keep)
	list.Keep = slices.DeleteFunc(list.Keep, func(m keptseries.Metric) bool {
		there := slices.ContainsFunc(page, m.Has)
		if !there && !m.Sometimes {
			t.Logf("not on the page of this cluster, and so not tested: %s", m.Name)
		}
		return !there
	})
	require.Greater(t, len(list.Keep), promised/2)

	var stored harness.Page
	proc.Eventually(t, time.Minute, func() error {
		// Only what has come lately: an instant query finds what was there five minutes ago.
		var lately []backends.Sample
		for _, series := range s.Prometheus.Raw(t, `{job="`+job+`"}`, 4*ScrapeInterval) {
			lately = append(lately, backends.Sample{Labels: series.Labels, Value: series.Samples[len(series.Samples)-1].Value})
		}
		stored = list.FromBackend(lately)
		for _, m := range list.Keep {
			if !slices.ContainsFunc(stored, m.Has) {
				return fmt.Errorf("%s: no %s", job, m.Name)
			}
		}
		return nil
	})
	list.CheckLabels(t, job, list.Of(t, stored))
	for _, series := range stored {
		if !keptseries.Load(t)[job].Has(series) {
			assert.Fail(t, "not in the list", "%s: %s %v", job, series.Name, series.Labels)
		}
	}
	target := s.Prometheus.Query(t, `up{job="`+job+`"}`)
	require.Len(t, target, 1, "one API server, one node")
	assert.InDelta(t, 1.0, target[0].Value, 0)
	if job != "kubernetes-apiservers" {
		assert.Equal(t, s.nodeName(t), target[0].Labels["node"])
		assert.Equal(t, s.nodeName(t), target[0].Labels["instance"])
	}
}

func (c *Cluster) nodeName(t *testing.T) string {
	t.Helper()
	names := strings.Fields(c.Kubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(names) != 1 {
		t.Skipf("NOT TESTED: the figures of one node are compared, and the cluster has %d", len(names))
	}
	return names[0]
}

// kubeletstats are the names that Prometheus gives the receiver's metrics, those of each group that are there without configuration.
var kubeletstats = map[string][]string{
	"k8s_node_": {
		"cpu_time_seconds_total", "cpu_usage", "filesystem_available_bytes", "filesystem_capacity_bytes", "filesystem_usage_bytes",
		"memory_available_bytes", "memory_major_page_faults_ratio", "memory_page_faults_ratio", "memory_rss_bytes", "memory_usage_bytes",
		"memory_working_set_bytes", "network_errors_total", "network_io_bytes_total",
	},
	"k8s_pod_": {
		"cpu_time_seconds_total", "cpu_usage", "filesystem_available_bytes", "filesystem_capacity_bytes", "filesystem_usage_bytes",
		"memory_major_page_faults_ratio", "memory_page_faults_ratio", "memory_rss_bytes", "memory_usage_bytes",
		"memory_working_set_bytes", "network_errors_total", "network_io_bytes_total",
	},
	"container_": {
		"cpu_time_seconds_total", "cpu_usage", "filesystem_available_bytes", "filesystem_capacity_bytes", "filesystem_usage_bytes",
		"memory_major_page_faults_ratio", "memory_page_faults_ratio", "memory_rss_bytes", "memory_usage_bytes",
	},
	"k8s_volume_": {"available_bytes", "capacity_bytes", "inodes_ratio", "inodes_free_ratio", "inodes_used_ratio"},
}

// Figures of the node and of a pod are theirs: the API server, the kernel and the pod's own group say the same.
func TestFiguresAreThoseOfTheNode(t *testing.T) {
	s := StartSluice(t)
	s.Quick(t)
	node := s.nodeName(t)
	s.Namespace(t, "figures")
	demo := s.DeployDemo(t, "figures", "figure", DemoOptions{})
	pod := demo.Pods(t)[0]
	get := func(path string) string {
		return s.Kubectl(t, "-n", "figures", "get", "pod", pod, "-o", "jsonpath={"+path+"}")
	}
	uid := get(".metadata.uid")
	started, err := time.Parse(time.RFC3339, get(".status.containerStatuses[0].state.running.startedAt"))
	require.NoError(t, err)
	kib, err := strconv.ParseInt(strings.TrimSuffix(s.Kubectl(t, "get", "node", node, "-o", "jsonpath={.status.capacity.memory}"), "Ki"), 10, 64)
	require.NoError(t, err)
	memory := float64(kib * 1024)
	of := map[string]string{
		"k8s_node_":   fmt.Sprintf(`{k8s_node_name=%q}`, node),
		"k8s_pod_":    fmt.Sprintf(`{k8s_node_name=%q, k8s_namespace_name="figures", k8s_pod_name=%q, k8s_pod_uid=%q}`, node, pod, uid),
		"container_":  fmt.Sprintf(`{k8s_node_name=%q, k8s_namespace_name="figures", k8s_pod_name=%q, k8s_container_name="demo"}`, node, pod),
		"k8s_volume_": fmt.Sprintf(`{k8s_node_name=%q, k8s_namespace_name="observability", k8s_pod_name="prometheus-0", k8s_volume_name="data"}`, node),
	}
	wait := func(query string, ok func(got float64) bool) {
		t.Helper()
		proc.Eventually(t, time.Minute, func() error {
			samples := s.Prometheus.Query(t, query)
			switch {
			case len(samples) != 1:
				return fmt.Errorf("%s: %d series", query, len(samples))
			case !ok(samples[0].Value):
				return fmt.Errorf("%s: %v", query, samples[0].Value)
			}
			return nil
		})
	}
	positive := func(got float64) bool { return got >= 0 && !math.IsNaN(got) }
	is := func(want, tolerance float64) func(float64) bool {
		return func(got float64) bool { return math.Abs(got-want) <= tolerance }
	}
	for group, names := range kubeletstats {
		for _, name := range names {
			if strings.HasPrefix(name, "network") { // one for each direction and interface
				wait("count by (k8s_node_name) ("+group+name+of[group]+") > bool 1", is(1, 0))
			} else {
				// A container that has just started has no id yet, and so one series more: not for long.
				wait("last_over_time("+group+name+of[group]+"[25s])", positive)
			}
		}
	}
	wait(`machine_memory_bytes{node="`+node+`"}`, is(memory, 0))
	if s.Own() {
		assert.InDelta(t, memory, memTotal(t), 0)
	}
	wait("k8s_node_memory_working_set_bytes"+of["k8s_node_"]+" + k8s_node_memory_available_bytes", is(memory, memory/100))
	cadvisor := fmt.Sprintf(`{job="kubernetes-nodes-cadvisor", node=%q, namespace="figures", pod=%q, container="demo"}`, node, pod)
	wait("container_start_time_seconds"+cadvisor, is(float64(started.Unix()), 2))
	wait("rate(container_cpu_usage_seconds_total"+cadvisor+"[30s])", func(got float64) bool { return positive(got) && got < 2 })
	if s.Own() {
		// It grows and shrinks a little between the two looks.
		near := func(got float64) bool {
			want := workingSet(t, "pod"+uid)
			return got > want/2 && got < want*2
		}
		wait("k8s_pod_memory_working_set_bytes"+of["k8s_pod_"], near)
		wait("container_memory_working_set_bytes"+cadvisor, near)
	}
	// A pod's series does not change when its container is started again, and nothing has one name in two sources.
	wait(`count({__name__=~"k8s_(pod|volume)_.+", k8s_container_name!=""} or {__name__=~"k8s_(pod|volume)_.+", container_id!=""}) or vector(0)`, is(0, 0))
	wait(`count(count by (__name__) ({job="kubernetes-nodes-cadvisor"}) and on (__name__) count by (__name__) ({__name__=~"container_.+", job!="kubernetes-nodes-cadvisor"})) or vector(0)`, is(0, 0))
	// The API server counts its objects once a minute, and pods may come and go: until all looks are of the same moment.
	proc.Eventually(t, 3*time.Minute, func() error {
		running := len(strings.Fields(s.Kubectl(t, "get", "pods", "-A", "--field-selector=status.phase=Running,spec.nodeName="+node, "-o", "name")))
		all := len(strings.Fields(s.Kubectl(t, "get", "pods", "-A", "-o", "name")))
		return errors.Join(
			one(s.Prometheus.Query(t, `kubelet_running_pods{node="`+node+`"}`), running),
			one(s.Prometheus.Query(t, `apiserver_storage_objects{job="kubernetes-apiservers", resource="pods"}`), all),
		)
	})
}

func one(samples []backends.Sample, want int) error {
	if len(samples) != 1 || samples[0].Value != float64(want) {
		return fmt.Errorf("%v, want %d", samples, want)
	}
	return nil
}

func memTotal(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	return kernelNumber(t, string(text), "MemTotal:") * 1024
}

func kernelNumber(t *testing.T, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.ParseFloat(f[1], 64)
			require.NoError(t, err)
			return n
		}
	}
	t.Fatalf("no %s in\n%s", name, text)
	return 0
}

// workingSet is the memory of a control group that could not be given back at once: what it uses without files that were not read lately.
func workingSet(t *testing.T, group string) float64 {
	t.Helper()
	v1, v2, err := cgroupMounts()
	require.NoError(t, err)
	for _, m := range append(v1, v2...) {
		var dir string
		require.NoError(t, filepath.WalkDir(m, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == group {
				dir = path
				return fs.SkipAll
			}
			return nil // groups come and go
		}))
		for usage, inactive := range map[string]string{"memory.usage_in_bytes": "total_inactive_file", "memory.current": "inactive_file"} {
			used, err := os.ReadFile(filepath.Join(dir, usage))
			if dir == "" || err != nil {
				continue
			}
			n, err := strconv.ParseFloat(strings.TrimSpace(string(used)), 64)
			require.NoError(t, err)
			stat, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
			require.NoError(t, err)
			return n - kernelNumber(t, string(stat), inactive)
		}
	}
	t.Fatalf("no control group %s counts memory", group)
	return 0
}
