package configs

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
)

func TestLogsReachLokiWithTheLabelsThatWereChosen(t *testing.T) {
	f := load(t, "backends/lgtm.yaml")
	assert.Equal(t, names{"forward/loki"}, f.Service.Pipelines["logs"].Exporters)
	assert.Equal(t, pipeline{Receivers: names{"forward/loki"}, Processors: names{"loki_hint"}, Exporters: names{"otlp_http/loki"}}, f.Service.Pipelines["logs/loki"])
	assert.Equal(t, "durable_storage", f.Processors["loki_hint"]["storage"], "what is known must survive a restart: Loki still has the streams")
	labels, _ := f.Processors["loki_hint"]["labels"].([]any)
	require.NotEmpty(t, labels)
	for _, unbounded := range []string{"resource.k8s.pod.name", "resource.service.instance.id", "resource.k8s.job.name", "resource.k8s.replicaset.name"} {
		assert.NotContains(t, labels, unbounded, "new values for ever")
	}
}

// What is in loki/ is merged over backends/lgtm.yaml.
func TestLokiOverlays(t *testing.T) {
	env := required(t)
	f := func(overlay, tier string) {
		t.Helper()
		output, err := harness.Validate(t, env, "configs/"+tier, "configs/backends/lgtm.yaml", "configs/"+overlay)
		assert.NoError(t, err, "%s %s: %s", tier, overlay, output)
	}
	for _, tier := range tiers(t) {
		f("loki/promtail-labels.yaml", tier.path)
	}
	f("loki/gateway-tenants.yaml", "gateway.yaml")
}

func TestTenantsAreNeverJoined(t *testing.T) {
	f, gateway, lgtm := load(t, "loki/gateway-tenants.yaml"), load(t, "gateway.yaml"), load(t, "backends/lgtm.yaml")
	id := "otlp_http/loki_tenants"
	assert.Equal(t, names{id}, f.Service.Pipelines["logs/loki"].Exporters)
	assert.NotContains(t, lgtm.Exporters, id, "a static X-Scope-OrgID would win over the tenant's")
	exporter := f.Exporters[id]
	assert.NotContains(t, exporter, "headers", "a static X-Scope-OrgID would win over the tenant's")
	assert.NotContains(t, at(exporter, "sending_queue"), "batch", "it joins tenants")
	assert.Equal(t, "headers_setter", at(exporter, "auth", "authenticator"))
	assert.Equal(t, true, at(exporter, "retry_on_failure", "enabled"))
	assert.Equal(t, "0s", at(exporter, "retry_on_failure", "max_elapsed_time"))
	assert.Equal(t, "durable_storage", at(exporter, "sending_queue", "storage"))
	assert.Equal(t, append(slices.Clone(gateway.Service.Extensions), "headers_setter"), f.Service.Extensions, "a list replaces the tier's")
	headers, _ := f.Extensions["headers_setter"]["headers"].([]any)
	require.Len(t, headers, 1)
	assert.Equal(t, map[string]any{"action": "upsert", "key": "X-Scope-OrgID", "from_context": strings.ToLower("X-Scope-OrgID")}, headers[0], "a default_value would be another tenant's")
}

// What the queue joins must stay far below what Loki takes, by Loki's own count.
func TestTheQueueForLokiJoinsOnlyWhatIsSmall(t *testing.T) {
	batch := at(load(t, "backends/lgtm.yaml").Exporters["otlp_http/loki"], "sending_queue", "batch")
	least, _ := at(batch, "min_size").(int)
	assert.True(t, least > 0 && least <= 16384, "min_size %d: Loki makes up to a hundred times as much of it", least)
}
