//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/e2e/backends"
	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

// justLoki leaves of a tier only what its backend file does with logs, so that nothing else mends what a test sends.
const justLoki = `
service:
  pipelines:
    logs: {processors: [memory_limiter]}
`

// elsewhere is where metrics and spans go: nowhere, at once.
var elsewhere = map[string]string{"PROMETHEUS_URL": "http://127.0.0.1:1", "TRACES_ENDPOINT": "127.0.0.1:1"}

// startHint starts a collector that gives its logs to Loki the way the backend file does.
func startHint(t *testing.T, l *backends.Loki, override string, configs ...string) *harness.Collector {
	t.Helper()
	return tiers.Start(t, nil, tiers.Tier{
		Profile: "local", Backends: append([]string{"backends/lgtm"}, configs...), Override: justLoki + override,
		Env: tiers.With(elsewhere, map[string]string{"LOKI_URL": l.URL, "LOCAL_METRICS_INTERVAL": "1h"}),
	})
}

// stored waits until Loki has so many lines, and returns them by their text, which must be one for each.
func stored(t *testing.T, l *backends.Loki, c *harness.Collector, n int) map[string]backends.LogLine {
	t.Helper()
	var lines []backends.LogLine
	proc.Eventually(t, 30*time.Second, func() error {
		if lines = l.Lines(t, `{service_name=~".+"}`); len(lines) < n {
			return fmt.Errorf("%d of %d lines", len(lines), n)
		}
		return nil
	}, c.Proc, l.Process)
	byText := map[string]backends.LogLine{}
	for _, line := range lines {
		assert.NotContains(t, byText, line.Line, "stored twice")
		delete(line.Metadata, "detected_level")
		byText[line.Line] = line
	}
	assert.Len(t, byText, n)
	assertNoneRefused(t, l, c)
	return byText
}

// assertNoneRefused asks both sides.
func assertNoneRefused(t *testing.T, l *backends.Loki, c *harness.Collector) {
	t.Helper()
	assert.Empty(t, l.Discarded(t), "Loki threw lines away")
	page := c.Metrics(t)
	assert.Zero(t, page.Sum("otelcol_exporter_send_failed_log_records", nil))
	assert.NotZero(t, page.Sum("otelcol_exporter_sent_log_records", nil))
}

// meant is a record to send, and what it must be in Loki.
type meant struct {
	said
	labels, metadata map[string]string
}

func meaning(s said, labels, metadata map[string]string) meant { return meant{s, labels, metadata} }

// sendMeant sends records whose text is their place in the list, in one request: a single one that Loki refused would take all with it.
func sendMeant(t *testing.T, c *harness.Collector, list []meant) {
	t.Helper()
	records := make([]said, len(list))
	for i, m := range list {
		m.body = fmt.Sprintf("line %d", i)
		records[i] = m.said
	}
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, otlp(records...)))
}

func assertMeant(t *testing.T, lines map[string]backends.LogLine, list []meant) {
	t.Helper()
	for i, want := range list {
		got := lines[fmt.Sprintf("line %d", i)]
		assert.Equal(t, want.labels, got.Labels, "labels of %v", want.said)
		assert.Equal(t, want.metadata, got.Metadata, "metadata of %v", want.said)
	}
}

var nothing = map[string]string{}

func podOf(more ...any) said {
	return ofShop(append([]any{"k8s.namespace.name", "prod", "k8s.container.name", "server", "k8s.pod.name", "p1", "service.instance.id", "i1"}, more...)...)
}

// podLabels and podMetadata are what a pod has.
func podLabels(more ...string) map[string]string {
	return service("shop", append([]string{"k8s_namespace_name", "prod", "k8s_container_name", "server"}, more...)...)
}

func podMetadata(more ...string) map[string]string {
	m := service("", append([]string{"k8s_pod_name", "p1", "service_instance_id", "i1"}, more...)...)
	delete(m, "service_name")
	return m
}

// what the shipped labels make of ordinary records and of those that Loki refuses, loses or cannot show: see loki_facts_test.go.
func shippedMeanings() []meant {
	list := []meant{
		meaning(podOf(), podLabels(), podMetadata()),
		meaning(podOf("k8s.deployment.name", "d", "k8s.node.name", "n"), podLabels("k8s_deployment_name", "d"), podMetadata("k8s_node_name", "n")),
		// what others wrote in the place of a label
		meaning(ofShop("k8s_namespace_name", "prod"), service("shop", "k8s_namespace_name", "prod"), nothing),
	}
	for _, s := range everywhere("_", "v") {
		list = append(list, meaning(s, service("shop"), map[string]string{"attr_5f": "v"}))
	}
	for _, s := range everywhere("日本", map[string]any{"a": 1, "": 2}) {
		list = append(list, meaning(s, service("shop"), map[string]string{"attr_e697a5e69cac_a": "1", "attr_e697a5e69cac_": "2"}))
	}
	for _, s := range everywhere("__error__", "boom") {
		list = append(list, meaning(s, service("shop"), map[string]string{"attr_5f5f6572726f725f5f": "boom"}))
	}
	for _, s := range everywhere("key", "a\xffb") {
		list = append(list, meaning(s, service("shop"), map[string]string{"key": "a b"}))
	}
	for _, bad := range []string{"a\xffb", "a\ufffdb"} {
		list = append(list,
			meaning(ofShop("k8s.namespace.name", bad), service("shop", "k8s_namespace_name", "a b"), nothing),
			meaning(said{resource: pairs{"service.name", bad}}, service("a b"), nothing))
	}
	long := strings.Repeat("long-", 600)
	list = append(list,
		meaning(podOf("k8s.deployment.name", long), podLabels(), podMetadata("k8s_deployment_name", long)),
		meaning(said{resource: pairs{"service.name", long}}, service("overflow"), map[string]string{"resource_service_name": long}),
		// service.name
		meaning(said{}, service("unknown_service"), nothing),
		meaning(said{resource: pairs{"k8s.container.name", "c", "k8s.deployment.name", "d", "service.name", ""}},
			service("d", "k8s_container_name", "c", "k8s_deployment_name", "d"), nothing),
		meaning(said{resource: pairs{"k8s.container.name", "c"}}, service("c", "k8s_container_name", "c"), nothing),
		// hints
		meaning(said{
			resource: ofShop("loki.resource.labels", "k8s.pod.name", "loki.tenant", "t", "k8s.pod.name", "p").resource,
			scope:    pairs{"loki.format", "json"}, attrs: pairs{"loki.attribute.labels", []any{"a"}, "a", "b"},
		}, service("shop"), map[string]string{"k8s_pod_name": "p", "a": "b"}),
	)
	return list
}

// clashes are names that two have.
func clashes() []meant {
	traced := func(r plog.LogRecord) { r.SetTraceID([16]byte{1}); r.SetSeverityText("Warn") }
	return []meant{
		meaning(said{resource: podOf().resource, attrs: pairs{"k8s.namespace.name", "prod", "k8s_pod_name", "p2", "service.name", "x"}},
			podLabels(), podMetadata("record_k8s_pod_name", "p2", "record_service_name", "x")),
		meaning(said{resource: ofShop("a.b", "1").resource, scope: pairs{"a/b", "2"}, attrs: pairs{"a_b", "3", "c", "4"}},
			service("shop"), map[string]string{"a_b": "1", "scope_a_b": "2", "record_a_b": "3", "c": "4"}),
		meaning(ofShop("a.b", "1", "a_b", "2"), service("shop"), map[string]string{"a_b": "1", "resource_a_b": "2"}),
		meaning(said{resource: ofShop("trace_id", "r").resource, attrs: pairs{"trace.id", "mine", "severity_text", "Warn"}, record: traced}, service("shop"),
			map[string]string{"trace_id": "01000000000000000000000000000000", "resource_trace_id": "r", "record_trace_id": "mine", "severity_text": "Warn"}),
	}
}

// With an unconfigured Loki: the labels are those that the backend file lists, exactly, and whatever else was said is found.
func TestLokiHint(t *testing.T) {
	l := backends.StartLoki(t, backends.LokiOptions{})
	c := startHint(t, l, "")
	list := append(shippedMeanings(), clashes()...)
	sendMeant(t, c, list)
	lines := stored(t, l, c, len(list))
	assertMeant(t, lines, list)

	f := func(selector string, want int) {
		t.Helper()
		assert.Len(t, l.Lines(t, selector), want, selector)
	}
	pods := 0
	for _, m := range list {
		if m.metadata["k8s_pod_name"] == "p1" {
			pods++
		}
	}
	f(`{service_name="shop"} | k8s_pod_name="p1"`, pods)
	f(`{k8s_pod_name="p1"}`, 0)
	f(`{service_name="shop"} | k8s_namespace_name="prod" | k8s_pod_name="p1"`, pods) // a label, asked for as if it were none
	f(`{service_name="shop"} | attr_5f="v"`, 3)
	f(`{service_name="shop"} | k8s_deployment_name=~"(long-){600}"`, 1)
	f(`{service_name="overflow"} | resource_service_name=~"(long-){600}"`, 1)
	for text, line := range lines {
		for name := range maps.Keys(line.Metadata) {
			assert.NotRegexp(t, `_extracted$|^loki_`, name, text)
		}
	}
	total := l.Query(t, `sum(count_over_time({service_name=~".+"}[5m]))`)
	require.Len(t, total, 1, "a query over all")
	assert.InDelta(t, len(list), total[0].Value, 0)
	for mend, atLeast := range map[string]float64{"key": 9, "utf8": 5, "clash": 8} {
		assert.GreaterOrEqual(t, c.Metric(t, "otelcol_processor_loki_hint_mended_attributes", map[string]string{"mend": mend}), atLeast, mend)
	}
}

// What a query by pod adds up to does not change when the pod is no label any more, and lines that are equal but for their pod all stay.
func TestLokiHintKeepsSums(t *testing.T) {
	l := backends.StartLoki(t, backends.LokiOptions{})
	c := startHint(t, l, "")
	const query = `sum by (k8s_pod_name) (count_over_time({service_name=%q} | k8s_namespace_name="prod" [5m]))`
	now := pcommon.NewTimestampFromTime(time.Now())
	logs := func(service string) plog.Logs {
		var records []said
		for pod := range 5 {
			for i := range pod + 1 {
				records = append(records, said{
					resource: pairs{"service.name", service, "k8s.namespace.name", "prod", "k8s.pod.name", fmt.Sprint("p", pod)}, body: "the same text",
					record: func(r plog.LogRecord) { r.SetTimestamp(now + pcommon.Timestamp(i)) }, // the same for each pod
				})
			}
		}
		return otlp(records...)
	}
	status, answer := pushLogs(t, l, logs("direct"))
	require.Equal(t, 204, status, answer)
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, logs("hinted")))
	direct := l.Query(t, fmt.Sprintf(query, "direct"))
	sum := 0.0
	for _, pod := range direct {
		sum += pod.Value
	}
	require.InDelta(t, 1+2+3+4+5, sum, 0)
	proc.Eventually(t, 30*time.Second, func() error {
		if got := l.Query(t, fmt.Sprintf(query, "hinted")); !assert.ObjectsAreEqual(fmt.Sprint(direct), fmt.Sprint(got)) {
			return fmt.Errorf("by pod: %v, want %v", got, direct)
		}
		return nil
	}, c.Proc)
	assert.Len(t, l.Series(t, `{service_name="direct"}`), 5)
	assert.Len(t, l.Series(t, `{service_name="hinted"}`), 1)
}

// A value that is too long for a label is cut between two characters, where that is wanted; the whole one can be asked for.
func TestLokiTruncatedLabel(t *testing.T) {
	l := backends.StartLoki(t, backends.LokiOptions{})
	c := startHint(t, l, "\nprocessors: {loki_hint: {long_value: truncate}}\n")
	long := "x" + strings.Repeat("é", 1500) // its 2048th byte is the first half of a character
	require.NoError(t, harness.SendLogs(t, c.OTLPGRPC, otlp(ofShop("k8s.namespace.name", long))))
	line := stored(t, l, c, 1)["said"]
	assert.Equal(t, "x"+strings.Repeat("é", 1023), line.Labels["k8s_namespace_name"])
	assert.Equal(t, long, line.Metadata["resource_k8s_namespace_name"])
}
