//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

const linesPerPod = 50

// Lines of containers, in the formats of three runtimes, go through the agent and the gateway as they ship. The label sets are those that
// the backend file promises, and no others.
func TestLokiHasPodLogs(t *testing.T) {
	k := startKubernetesWithShop(t)
	t.Run("through the gateway", func(t *testing.T) { lokiThroughGateway(t, k) })
	t.Run("from the agent", func(t *testing.T) { lokiFromAgent(t, k) })
}

func lokiThroughGateway(t *testing.T, k *backends.Kubernetes) {
	n := podsOfThreeRuntimes(t, k)
	l := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true}).As("default")
	gateway := tiers.Start(t, k, tiers.Tier{Profile: "gateway", Backends: []string{"backends/lgtm"}, Env: tiers.With(elsewhere, map[string]string{"LOKI_URL": l.URL})})
	agent := tiers.Start(t, k, tiers.Tier{
		Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(n.env(), map[string]string{"GATEWAY_ENDPOINT": gateway.OTLPGRPC}),
	})
	f := func(query string, want int) {
		t.Helper()
		proc.Eventually(t, 60*time.Second, func() error {
			if got := len(l.Lines(t, query)); got != want {
				return fmt.Errorf("%s: %d lines, want %d", query, got, want)
			}
			return nil
		}, agent.Proc, gateway.Proc)
	}
	f(`{k8s_namespace_name="shop"}`, 3*linesPerPod+1)
	of := func(name, container, workload string) map[string]string {
		labels := service(name, "service_namespace", "shop", "k8s_cluster_name", "default", "k8s_namespace_name", "shop", "k8s_container_name", container,
			"deployment_environment_name", "production")
		if workload != "" {
			labels[workload] = container
		}
		return labels
	}
	assert.ElementsMatch(t, []map[string]string{
		of("shopping-cart", "cart", "k8s_deployment_name"), of("orders", "orders", "k8s_statefulset_name"), of("probe", "probe", "k8s_daemonset_name"),
		of("falco", "falco", ""),
	}, l.Series(t, `{k8s_namespace_name="shop"}`))
	f(`{service_name="shopping-cart"} | k8s_pod_name="cart-7d4b9c6f5-x2x8q" | log_iostream="stdout" |= "containerd"`, linesPerPod)
	f(`{k8s_statefulset_name="orders"} | k8s_pod_name="orders-0" | log_iostream="stderr" |= "CRI-O"`, linesPerPod)
	f(`{k8s_daemonset_name="probe"} | k8s_pod_name="probe-4k9zx" |= "Docker"`, linesPerPod)
	f(`{k8s_namespace_name="shop"} | falco_rule="Terminal shell in container"`, 1)
	f(`{service_name="falco"} | falco_priority="Critical" | severity_text="Critical"`, 1)

	k.Kubectl(t, strings.ReplaceAll(event("cart-failed", "shop", "Back-off"), "2026-01-02T10:00:00Z", time.Now().UTC().Format(time.RFC3339)), "create", "-f", "-")
	f(`{service_name="kubernetes-events"} | k8s_event_name="cart-failed"`, 1)
	assert.Contains(t, l.Series(t, `{service_name="kubernetes-events"}`), service("kubernetes-events", "k8s_cluster_name", "default", "k8s_namespace_name", "shop"))
	assertNoneRefused(t, l, gateway)
}

// podsOfThreeRuntimes makes pods and what each of them has logged, and one of Falco with an alert.
func podsOfThreeRuntimes(t *testing.T, k *backends.Kubernetes) nodeLogs {
	t.Helper()
	cart := podOfDeployment(t, k, "cart-7d4b9c6f5-x2x8q", "10.244.0.5")["k8s.pod.uid"].(string)
	pod := func(kind, workload, name string, labels map[string]string) string {
		spec := backends.PodSpec{Namespace: "shop", Name: name, Labels: labels, Containers: []backends.Container{{Name: workload}}}
		if kind != "" {
			spec.OwnerRefs = []backends.OwnerRef{k.Owner(t, "shop", kind, workload)}
		}
		return k.Pod(t, spec)
	}
	orders := pod("statefulset", "orders", "orders-0", nil)
	pod("daemonset", "probe", "probe-4k9zx", nil)
	falco := pod("", "falco", "falco-7tq2m", map[string]string{"app.kubernetes.io/name": "falco"})

	n, now := newNodeLogs(t), time.Now().UTC()
	var containerdLines, crioLines, dockerLines []string
	for i := range linesPerPod {
		at := now.Add(time.Duration(i) * time.Millisecond)
		containerdLines = append(containerdLines, at.Format(time.RFC3339Nano)+fmt.Sprintf(" stdout F containerd %d", i))
		crioLines = append(crioLines, at.In(time.FixedZone("", 3600)).Format(time.RFC3339Nano)+fmt.Sprintf(" stderr F CRI-O %d", i))
		dockerLines = append(dockerLines, fmt.Sprintf(`{"log":"Docker %d\n","stream":"stdout","time":%q}`, i, at.Format(time.RFC3339Nano)))
	}
	n.write(t, "shop_cart-7d4b9c6f5-x2x8q_"+cart+"/cart/0.log", containerdLines...)
	n.write(t, "shop_orders-0_"+orders+"/orders/0.log", crioLines...)
	n.write(t, "shop_falco-7tq2m_"+falco+"/falco/0.log", now.Format(time.RFC3339Nano)+" stdout F "+falcoAlert)
	appendLines(t, filepath.Join(n.docker, dockerID, dockerID+"-json.log"), dockerLines)
	require.NoError(t, os.WriteFile(filepath.Join(n.docker, dockerID, "config.v2.json"), []byte(probeConfig), 0o600))
	return n
}

// Without a gateway, and with a queue that is soon full while Loki is away: the agent waits, also over a restart, and no line is lost.
func lokiFromAgent(t *testing.T, k *backends.Kubernetes) {
	const lines, batch = 20_000, 1000
	n := newNodeLogs(t)
	l := backends.StartLoki(t, backends.LokiOptions{MultiTenant: true}).As("default")
	agent := tiers.Start(t, k, tiers.Tier{
		Profile: "agent", Backends: []string{"backends/lgtm"}, Env: tiers.With(tiers.With(n.env(), elsewhere), map[string]string{"LOKI_URL": l.URL}),
		Override: "exporters: {otlp_http/loki: {sending_queue: {queue_size: 200000}, retry_on_failure: {initial_interval: 500ms, max_interval: 500ms}}}",
	})
	write := func(first int) {
		var text []string
		for i := first; i < first+batch; i++ {
			text = append(text, time.Now().UTC().Format(time.RFC3339Nano)+fmt.Sprintf(" stdout F line %d", i))
		}
		n.write(t, cartDir+"/0.log", text...)
	}
	write(0)
	waitLines := func(want int) {
		t.Helper()
		proc.Eventually(t, 60*time.Second, func() error {
			sum := l.Query(t, `sum(count_over_time({k8s_namespace_name="shop"}[1h]))`)
			if len(sum) != 1 || int(sum[0].Value) != want {
				return fmt.Errorf("%v lines of %d", sum, want)
			}
			return nil
		}, agent.Proc)
	}
	waitLines(batch)
	l.Stop(t)
	for first := batch; first < lines; first += batch {
		write(first)
	}
	const queued = "otelcol_exporter_queue_size"
	proc.Eventually(t, 30*time.Second, func() error {
		if size := agent.Metric(t, queued, map[string]string{"exporter": "otlp_http/loki"}); size < 100_000 {
			return fmt.Errorf("%v bytes in the queue", size)
		}
		return nil
	}, agent.Proc)
	agent.Restart(t)
	l.Restart(t)
	waitLines(lines)
	assert.Zero(t, agent.Metric(t, "otelcol_exporter_send_failed_log_records", nil))
}

const (
	probeConfig = `{"ID":"` + dockerID + `","Name":"/probe","Config":{"Image":"probe:1",
	"Labels":{"io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.name":"probe-4k9zx","io.kubernetes.container.name":"probe"}}}`
	falcoAlert = `{"hostname":"node-1","output":"A shell was spawned","output_fields":{"container.id":"abc"},"priority":"Critical",` +
		`"rule":"Terminal shell in container","source":"syscall","tags":["shell"],"time":"2026-03-01T10:20:30.1Z"}`
)
