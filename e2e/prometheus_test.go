//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// Both ways into a Prometheus, OTLP and remote write, give the same names and values, and labels that tell pods and hosts
// apart.
func TestPrometheusTakesMetrics(t *testing.T) {
	for backend, labels := range map[string]map[string]string{
		// What the server was told to promote, and what it makes of service.name and service.instance.id itself.
		"lgtm": {
			"job": "shop", "instance": "shop-1", "service_instance_id": "shop-1",
			"host_name": "blue", "k8s_namespace_name": "prod", "k8s_pod_name": "shop-x1",
		},
		// All that the resource has.
		"victoria": {
			"job": "shop", "instance": "shop-1", "service_name": "shop", "service_instance_id": "shop-1",
			"host_name": "blue", "k8s_namespace_name": "prod", "k8s_pod_name": "shop-x1", "os_type": "linux",
		},
	} {
		t.Run(backend, func(t *testing.T) {
			p := backends.StartPrometheus(t, recommended(t))
			hosts := map[string]*harness.Collector{}
			for _, host := range []string{"blue", "green"} {
				hosts[host] = startOnHost(t, p, host, backend, "1s")
			}
			now := time.Now()
			var samples []harness.Sample
			for i := range 2 {
				pod := map[string]any{
					"service.instance.id": fmt.Sprintf("shop-%d", i+1), "k8s.namespace.name": "prod", "k8s.pod.name": fmt.Sprintf("shop-x%d", i+1),
				}
				samples = append(samples,
					harness.Sample{Service: "shop", Name: "orders", Unit: "{order}", Counter: true, Value: float64(7 + i), Time: now, Attrs: map[string]any{"http.route": "/cart"}, ResourceAttrs: pod},
					harness.Sample{Service: "shop", Name: "queue.wait", Unit: "s", Value: 0.5 + float64(i), Time: now, Attrs: map[string]any{"http.route": "/cart"}, ResourceAttrs: pod},
				)
			}
			require.NoError(t, harness.SendMetrics(t, hosts["blue"].OTLPGRPC, harness.Metrics(samples...)))

			for name, value := range map[string]float64{"orders_total": 7, "queue_wait_seconds": 0.5} {
				got := waitSeries(t, p, name, 2)
				for _, series := range got {
					want, value := maps.Clone(labels), value
					want["__name__"], want["http_route"] = name, "/cart"
					if series.Labels["k8s_pod_name"] == "shop-x2" {
						want["instance"], want["service_instance_id"], want["k8s_pod_name"] = "shop-2", "shop-2", "shop-x2"
						value++
					}
					assert.Equal(t, want, series.Labels)
					assert.InDelta(t, value, series.Value, 0)
				}
			}
			for _, query := range []string{`system_memory_utilization_ratio{state="used"}`, "system_cpu_load_average_1m", "otelcol_process_memory_rss"} {
				perHost := map[string]float64{}
				for _, s := range waitSeries(t, p, "count by (host_name) (count_over_time("+query+"[10m]) > 2)", 2) {
					perHost[s.Labels["host_name"]] = s.Value
				}
				assert.Equal(t, map[string]float64{"blue": 1, "green": 1}, perHost, query)
			}
			for host, c := range hosts {
				assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_metric_points", nil), host)
			}
		})
	}
}

// What is sent while Prometheus is away waits on disk, and is let in later although newer points are there already.
func TestPrometheusOutage(t *testing.T) {
	p := backends.StartPrometheus(t, recommended(t))
	c := startOnHost(t, p, "blue", "lgtm", "1h")
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})
	sent := 0
	send := func() {
		sent++
		require.NoError(t, client.SendMetrics(harness.Metrics(harness.Sample{Service: "shop", Name: "orders", Counter: true, Value: float64(sent)})))
	}
	stored := func(query string, want int) {
		t.Helper()
		proc.Eventually(t, 60*time.Second, func() error {
			if got := p.Query(t, query); len(got) != 1 || got[0].Value != float64(want) {
				return fmt.Errorf("%s: %v, want %d", query, got, want)
			}
			return nil
		}, c.Proc, p.Process)
	}
	send()
	stored("orders_total", 1)

	p.Stop(t)
	proc.Eventually(t, 30*time.Second, func() error {
		send()
		if n := strings.Count(c.Proc.Output(), "Exporting failed. Will retry"); n < 3 {
			return fmt.Errorf("%d requests have failed", n)
		}
		return nil
	}, c.Proc)
	p.Restart(t)
	send()
	stored("orders_total", sent)
	stored("count_over_time(orders_total[10m])", sent)
	assert.Zero(t, c.Metric(t, "otelcol_exporter_send_failed_metric_points", nil))
	t.Logf("%d points", sent)
}

// recommended is the server's configuration as the header of the backend file asks for it.
func recommended(t *testing.T) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(harness.Root(t), "configs", "backends", "lgtm.yaml"))
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^#   ((?:storage:|otlp:|  ).*)$`).FindAllStringSubmatch(string(file), -1)
	require.Len(t, lines, 6)
	var config strings.Builder
	for _, line := range lines {
		config.WriteString(line[1] + "\n")
	}
	return config.String()
}

// What makes two series of the cluster's state two must be among the promoted attributes: otherwise the server takes both
// and keeps one.
func TestPrometheusTellsWorkloadsApart(t *testing.T) {
	p := backends.StartPrometheus(t, recommended(t))
	c := startOnHost(t, p, "blue", "lgtm", "30s")
	var samples []harness.Sample
	for _, key := range []string{
		"k8s.deployment.name", "k8s.replicaset.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.job.name", "k8s.cronjob.name", "k8s.hpa.name",
		"k8s.replicationcontroller.name", "k8s.resourcequota.name", "k8s.pod.uid", "k8s.container.name", "container.id", "k8s.volume.name", "k8s.node.name",
	} {
		for _, name := range []string{"a", "b"} {
			samples = append(samples, harness.Sample{Name: "state", ResourceAttrs: map[string]any{"k8s.namespace.name": "shop", key: name}})
		}
	}
	require.NoError(t, harness.SendMetrics(t, c.OTLPGRPC, harness.Metrics(samples...)))
	waitSeries(t, p, "state", len(samples))
}

func startOnHost(t *testing.T, p *backends.Prometheus, host, backend, interval string) *harness.Collector {
	t.Helper()
	return tiers.Start(t, nil, tiers.Tier{
		Name: host, Profile: "local", Backends: []string{"backends/" + backend},
		Env: map[string]string{
			"PROMETHEUS_URL": p.URL, "VICTORIAMETRICS_URL": p.URL,
			"OTEL_RESOURCE_ATTRIBUTES": "host.name=" + host, "LOCAL_METRICS_INTERVAL": interval,
			"LOG_LEVEL": "info", // that of a failed attempt
		},
	})
}

// waitSeries waits until a query has this many series.
func waitSeries(t *testing.T, p *backends.Prometheus, query string, n int) (got []backends.Sample) {
	t.Helper()
	proc.Eventually(t, 30*time.Second, func() error {
		if got = p.Query(t, query); len(got) != n {
			return fmt.Errorf("%s: %v", query, got)
		}
		return nil
	}, p.Process)
	return got
}
