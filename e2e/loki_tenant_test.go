//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// tenantLines waits until the tenants have these lines, and no others.
func tenantLines(t *testing.T, l *backends.Loki, c *harness.Collector, want map[string][]string) {
	t.Helper()
	for tenant, texts := range want {
		var got []string
		proc.Eventually(t, 30*time.Second, func() error {
			got = nil
			for _, line := range l.As(tenant).Lines(t, `{service_name="shop"}`) {
				got = append(got, line.Line)
			}
			if len(got) < len(texts) {
				return fmt.Errorf("tenant %s has %q, want %q", tenant, got, texts)
			}
			return nil
		}, c.Proc)
		assert.ElementsMatch(t, texts, got, tenant)
	}
}

// inNamespace is a line that says where it is from; without a namespace when that is empty.
func inNamespace(namespace, text string) said {
	s := ofShop()
	if namespace != "" {
		s = ofShop("k8s.namespace.name", namespace)
	}
	s.body = text
	return s
}

// tenants is a cluster whose gateways give a Loki a tenant for each namespace.
type tenants struct {
	t    *testing.T // Loki runs on when a part has ended
	k    *backends.Kubernetes
	loki *backends.Loki
}

func (w tenants) start(t *testing.T, override string) *harness.Collector {
	t.Helper()
	return tiers.Start(t, w.k, tiers.Tier{
		Profile: "gateway", Backends: []string{"backends/lgtm", "loki/gateway-tenants"}, Override: override,
		Env: tiers.With(elsewhere, map[string]string{"LOKI_URL": w.loki.URL, "LOKI_TENANT": "others"}),
	})
}

// What came in one request arrives in the name of each, and nobody sees another's.
func TestLokiTenants(t *testing.T) {
	w := tenants{t: t, k: tiers.StartKubernetes(t), loki: backends.StartLoki(t, backends.LokiOptions{MultiTenant: true})}
	t.Run("as shipped", w.asShipped)
	t.Run("with a processor that batches by tenant", w.batchProcessor)
	t.Run("with a queue that batches", w.batchingQueue)
}

const refusedRecords = "otelcol_exporter_send_failed_log_records"

func (w tenants) asShipped(t *testing.T) {
	c := w.start(t, "")
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, otlp(
		inNamespace("red", "red 1"), inNamespace("blue", "blue 1"), inNamespace("", "nobody's"), inNamespace("red", "red 2"),
		inNamespace("a:b", "who might be a"), inNamespace("a/b", "of no tenant that Loki takes"), inNamespace("blue", "blue 2"),
	)))
	want := map[string][]string{
		"red": {"red 1", "red 2"}, "blue": {"blue 1", "blue 2"}, "a": nil,
		"others": {"nobody's", "who might be a", "of no tenant that Loki takes"},
	}
	tenantLines(t, w.loki, c, want)
	assert.InDelta(t, 2, c.Metric(t, hintMetric+"invalid_tenant_records", nil), 0)
	for tenant := range want {
		for _, labels := range w.loki.As(tenant).Series(t, "") {
			assert.Equal(t, "default", labels["k8s_cluster_name"])
		}
	}

	// What waits on disk keeps its tenant, also over a restart.
	w.loki.Stop(t)
	client := harness.NewClient(t, c.OTLPGRPC, harness.ClientOptions{})
	for i := range 5 {
		for _, tenant := range []string{"red", "blue"} {
			text := fmt.Sprintf("%s, while Loki was away: %d", tenant, i)
			require.NoError(t, client.SendLogs(otlp(inNamespace(tenant, text))))
			want[tenant] = append(want[tenant], text)
		}
	}
	c.Restart(t)
	w.loki.Restart(w.t)
	tenantLines(t, w.loki, c, want)
	assert.Zero(t, c.Metric(t, refusedRecords, nil))
	assert.Empty(t, w.loki.Discarded(t))
}

func (w tenants) batchProcessor(t *testing.T) {
	c := w.start(t, `
processors:
  batch/loki: {metadata_keys: [x-scope-orgid], timeout: 1s}
service:
  pipelines:
    logs/loki: {processors: [loki_hint, batch/loki]}
`)
	want := map[string][]string{"cyan": nil, "pink": nil}
	for i := range 6 {
		tenant := []string{"cyan", "pink"}[i%2]
		text := fmt.Sprint(tenant, i)
		require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, otlp(inNamespace(tenant, text))))
		want[tenant] = append(want[tenant], text)
	}
	tenantLines(t, w.loki, c, want)
}

// Why the shipped queue has no batch: what it joins has no tenant any more.
func (w tenants) batchingQueue(t *testing.T) {
	c := w.start(t, `
exporters:
  otlp_http/loki_tenants:
    sending_queue: {batch: {flush_timeout: 2s, min_size: 500000}}
`)
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, otlp(inNamespace("green", "lost"), inNamespace("yellow", "lost"))))
	proc.Eventually(t, 30*time.Second, func() error {
		if n := c.Metric(t, refusedRecords, nil); n != 2 {
			return fmt.Errorf("%v records failed", n)
		}
		return nil
	}, c.Proc)
	assert.Regexp(t, `Dropping data.*HTTP Status Code 401.*"dropped_items": 2`, c.Proc.Output())
	for _, tenant := range []string{"green", "yellow", "others"} {
		for _, line := range w.loki.As(tenant).Lines(t, `{service_name="shop"}`) {
			assert.NotEqual(t, "lost", line.Line, tenant)
		}
	}
}
