//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/sluice-otel/sluice/e2e/backends"
)

// What Loki makes of OTLP, without anything of ours: loki_hint is built on these.

// lokiFacts is a Loki in which every case is a tenant of its own, so that no case sees another's lines.
type lokiFacts struct {
	*backends.Loki
	cases int
}

func (l *lokiFacts) tenant() *backends.Loki {
	l.cases++
	return l.As(fmt.Sprintf("case-%d", l.cases))
}

// pairs are attributes in their order: key, value, key, value …
type pairs []any

func (p pairs) into(m pcommon.Map) {
	for pair := range slices.Chunk(p, 2) {
		if err := m.PutEmpty(pair[0].(string)).FromRaw(pair[1]); err != nil {
			panic(err)
		}
	}
}

// said is a record to send, with a resource and a scope for itself.
type said struct {
	resource, scope, attrs pairs
	body                   string // a word of its own when empty
	record                 func(plog.LogRecord)
}

func ofShop(more ...any) said { return said{resource: append(pairs{"service.name", "shop"}, more...)} }

func otlp(records ...said) plog.Logs {
	logs := plog.NewLogs()
	for i, s := range records {
		resource := logs.ResourceLogs().AppendEmpty()
		s.resource.into(resource.Resource().Attributes())
		scope := resource.ScopeLogs().AppendEmpty()
		s.scope.into(scope.Scope().Attributes())
		record := scope.LogRecords().AppendEmpty()
		s.attrs.into(record.Attributes())
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(time.Duration(i))))
		if s.body == "" {
			s.body = "said"
		}
		record.Body().SetStr(s.body)
		if s.record != nil {
			s.record(record)
		}
	}
	return logs
}

func pushLogs(t *testing.T, l *backends.Loki, logs plog.Logs) (status int, answer string) {
	t.Helper()
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(t, err)
	return l.Push(t, body)
}

// fate is what became of a record that was sent together with an innocent one.
type fate struct {
	status   int
	labels   map[string]string // of its stream; nil when it is not stored
	metadata map[string]string // without detected_level
	refused  map[string]float64
	other    bool // whether the innocent one is stored
}

// kept is the fate of a record without special effects.
func kept(labels, metadata map[string]string) fate {
	return fate{http.StatusNoContent, labels, metadata, map[string]float64{}, true}
}

func service(name string, more ...string) map[string]string {
	labels := map[string]string{"service_name": name}
	for pair := range slices.Chunk(more, 2) {
		labels[pair[0]] = pair[1]
	}
	return labels
}

// fateOf sends a record as a tenant.
func fateOf(t *testing.T, l *backends.Loki, s said) (got fate, line string) {
	t.Helper()
	got.status, _ = pushLogs(t, l, otlp(s, said{resource: pairs{"service.name", "innocent"}}))
	got.refused = l.Discarded(t)
	for _, labels := range l.Series(t, "") {
		if labels["service_name"] == "innocent" {
			got.other = true
			continue
		}
		got.labels = labels
	}
	if got.labels == nil {
		return got, ""
	}
	var selector []string
	for name, value := range got.labels {
		selector = append(selector, fmt.Sprintf("%s=%q", name, value))
	}
	lines := l.Lines(t, "{"+strings.Join(selector, ",")+"}")
	require.Len(t, lines, 1)
	got.metadata = lines[0].Metadata
	delete(got.metadata, "detected_level")
	return got, lines[0].Line
}

func startFacts(t *testing.T) *lokiFacts {
	t.Helper()
	return &lokiFacts{Loki: backends.StartLoki(t, backends.LokiOptions{MultiTenant: true, Overrides: `few:
  max_global_streams_per_user: 10
rules:
  otlp_config:
    resource_attributes:
      attributes_config:
        - {action: structured_metadata, attributes: [k8s.pod.name]}
        - {action: drop, attributes: [k8s.job.name]}
        - {action: drop, regex: "secret.*|_"}
        - {action: index_label, regex: "secret.*|team"}
        - {action: structured_metadata, attributes: [team]}
    log_attributes: [{action: index_label, attributes: [lvl]}]
    severity_text_as_label: true
timed:
  max_global_streams_per_user: 10
  shard_streams: {time_sharding_enabled: true}
own:
  otlp_config:
    resource_attributes: {ignore_defaults: true, attributes_config: [{action: index_label, attributes: [_x, a__b]}]}
`})}
}

func TestLokiFacts(t *testing.T) {
	l := startFacts(t)
	for name, test := range map[string]func(*testing.T, *lokiFacts){
		"labels by default": lokiDefaultLabels, "service name": lokiServiceName, "values of labels": lokiValues, "rules of a tenant": lokiRules,
		"names": lokiNames, "metadata": lokiMetadata, "doubled names": lokiDoubled, "utf-8": lokiUTF8, "query poison": lokiQueryPoison,
		"number of labels": lokiLabelCount, "limits": lokiLimits, "stream limit": lokiStreamLimit, "late": lokiLate, "late, sharded by time": lokiTimeShards, "tenants": lokiTenants,
		"doubled lines": lokiDoubledLines,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

// lokiIndex is what Loki makes labels of by itself.
var lokiIndex = []string{
	"service.name", "service.namespace", "service.instance.id", "deployment.environment", "deployment.environment.name",
	"cloud.region", "cloud.availability_zone", "k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "container.name",
	"k8s.replicaset.name", "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name", "k8s.job.name",
}

// Exactly these 18, and only on a resource, in this spelling.
func lokiDefaultLabels(t *testing.T, l *lokiFacts) {
	tenant := l.tenant()
	var records []said
	var want []map[string]string
	for i, key := range lokiIndex {
		name := strings.ReplaceAll(key, ".", "_")
		records = append(records, said{resource: pairs{"service.name", fmt.Sprint("s", i), key, "v"}})
		labels := service(fmt.Sprint("s", i))
		labels[name] = "v"
		want = append(want, labels)
	}
	plain := ofShop()
	for _, key := range lokiIndex[1:] {
		plain.resource = append(plain.resource, strings.ReplaceAll(key, ".", "_"), "v")
		plain.scope, plain.attrs = append(plain.scope, key, "v"), append(plain.attrs, key, "v")
	}
	for _, key := range []string{
		"k8s.node.name", "k8s.pod.uid", "host.name", "k8s.replicationcontroller.name", "container.id", "namespace", "pod", "app", "job", "K8s.pod.name", "k8s.pod.name.",
	} {
		plain.resource = append(plain.resource, key, "v")
	}
	status, answer := pushLogs(t, tenant, otlp(append(records, plain)...))
	require.Equal(t, http.StatusNoContent, status, answer)
	assert.ElementsMatch(t, append(want, service("shop")), tenant.Series(t, ""))
}

func lokiServiceName(t *testing.T, l *lokiFacts) {
	f := func(want map[string]string, resource ...any) {
		t.Helper()
		got, _ := fateOf(t, l.tenant(), said{resource: resource})
		assert.Equal(t, http.StatusNoContent, got.status, resource)
		assert.Equal(t, want, got.labels, resource)
	}
	f(service("unknown_service"))
	f(service("unknown_service"), "service.name", "")
	f(service("unknown_service"), "service.name", nil)
	f(service("unknown_service"), "k8s.node.name", "n", "app", "a") // these are no labels
	f(service("unknown_service", "k8s_deployment_name", "d"), "k8s.deployment.name", "d")
	f(service(" "), "service.name", " ")
	f(service("7"), "service.name", 7)
	// The first one of the resource, in whatever order its maker wrote it.
	f(service("c", "k8s_container_name", "c", "k8s_job_name", "j"), "k8s.container.name", "c", "k8s.job.name", "j")
	f(service("j", "k8s_container_name", "c", "k8s_job_name", "j"), "k8s.job.name", "j", "k8s.container.name", "c")
	f(service("c", "container_name", "c"), "container.name", "c")
	// Two ways to have none at all.
	f(map[string]string{"k8s_container_name": "c"}, "k8s.container.name", "c", "service.name", "")
	f(map[string]string{"service_name_a": "b"}, "service.name", map[string]any{"a": "b"})
}

func lokiValues(t *testing.T, l *lokiFacts) {
	f := func(value any, want ...string) {
		t.Helper()
		got, _ := fateOf(t, l.tenant(), ofShop("cloud.region", value))
		assert.Equal(t, kept(service("shop", want...), map[string]string{}), got, "%v", value)
	}
	f("", []string{}...)
	f(nil, []string{}...)
	f(map[string]any{}, []string{}...)
	f(7, "cloud_region", "7")
	f(1.5, "cloud_region", "1.5")
	f(true, "cloud_region", "true")
	f([]byte{1, 2}, "cloud_region", "AQI=")
	f([]any{"a", 1}, "cloud_region", `["a",1]`)
	f(map[string]any{"x.y": "1", "z": map[string]any{"q": 2}}, "cloud_region_x_y", "1", "cloud_region_z_q", "2")
	f("a\x00b\n\"\\\ufeff\u2028", "cloud_region", "a\x00b\n\"\\\ufeff\u2028")
	f(strings.Repeat("v", 2048), "cloud_region", strings.Repeat("v", 2048))
}

// The first rule that matches decides, and Loki's own come first: a tenant cannot get rid of a default label.
func lokiRules(t *testing.T, l *lokiFacts) {
	s := ofShop("k8s.pod.name", "p", "k8s.job.name", "j", "secret1", "s", "_", "poison", "team", "t", "k8s.node.name", "n")
	s.attrs = pairs{"lvl", "high"}
	s.record = func(r plog.LogRecord) { r.SetSeverityText("Warn") }
	got, _ := fateOf(t, l.As("rules"), s)
	assert.Equal(t, kept(
		service("shop", "k8s_pod_name", "p", "k8s_job_name", "j", "team", "t", "lvl", "high", "severity_text", "Warn"),
		map[string]string{"k8s_node_name": "n", "severity_text_extracted": "Warn"},
	), got)

	// With rules of its own only, a service.name that no rule names is no label, and stands in the way of unknown_service.
	got, _ = fateOf(t, l.As("own"), ofShop("_x", "1", "a__b", "2", "k8s.pod.name", "p"))
	assert.Equal(t, fate{
		status: http.StatusBadRequest, labels: map[string]string{"_x": "1", "a_b": "2"},
		metadata: map[string]string{"service_name": "shop", "k8s_pod_name": "p"},
		refused:  map[string]float64{"missing_labels": 1, "invalid_labels": 1},
	}, got)
}

// everywhere is an attribute on a resource, on a scope and on a record.
func everywhere(key string, value any) map[string]said {
	return map[string]said{
		"resource": ofShop(key, value),
		"scope":    {resource: ofShop().resource, scope: pairs{key, value}},
		"record":   {resource: ofShop().resource, attrs: pairs{key, value}},
	}
}
