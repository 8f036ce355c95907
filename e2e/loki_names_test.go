//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// A key without a letter or digit of ASCII costs the whole request, whatever its value, and no counter tells.
func lokiNames(t *testing.T, l *lokiFacts) {
	f := func(key string, value any, want map[string]string) {
		t.Helper()
		for where, s := range everywhere(key, value) {
			got, _ := fateOf(t, l.tenant(), s)
			assert.Equal(t, kept(service("shop"), want), got, "%q on a %s", key, where)
		}
	}
	f("http.method", "v", map[string]string{"http_method": "v"})
	f("a日本", "v", map[string]string{"a_": "v"})
	f("A..b", "v", map[string]string{"A_b": "v"})
	f("1", "v", map[string]string{"key_1": "v"})
	f("_a", "v", map[string]string{"_a": "v"})
	f("__a", "v", map[string]string{"_a": "v"})
	f("__a__", "v", map[string]string{"__a__": "v"})
	// Only a key that stands alone is poison, not one inside of a value.
	f("m", map[string]any{"日": 1, "a.b": map[string]any{"c": 2}}, map[string]string{"m_": "1", "m_a_b_c": "2"})
	f("m", map[string]any{"": 1}, map[string]string{"m_": "1"})
	f("m", []any{map[string]any{"": 1}}, map[string]string{"m": `[{"":1}]`})

	poison := func(key string, value any) {
		t.Helper()
		for where, s := range everywhere(key, value) {
			got, _ := fateOf(t, l.tenant(), s)
			assert.Equal(t, fate{status: http.StatusBadRequest, refused: map[string]float64{}}, got, "%q on a %s", key, where)
		}
	}
	for _, key := range []string{"", "_", "__", "._.", "-", "日本", "é", "\xff"} {
		poison(key, "v")
	}
	poison("_", map[string]any{})
	poison("_", nil)
}

func lokiMetadata(t *testing.T, l *lokiFacts) {
	f := func(s said, want map[string]string) {
		t.Helper()
		got, _ := fateOf(t, l.tenant(), s)
		assert.Equal(t, kept(service("shop"), want), got)
	}
	// What has no value is not stored.
	f(said{resource: ofShop("a", "").resource, scope: pairs{"b", nil}, attrs: pairs{"c", map[string]any{}, "d", []any{}}}, map[string]string{"d": "[]"})
	// The hints that other exporters honored are attributes like all others.
	f(said{
		resource: ofShop("loki.resource.labels", "a,b", "loki.tenant", "t", "loki.format", "json").resource,
		attrs:    pairs{"loki.attribute.labels", []any{"a", "b"}},
	}, map[string]string{"loki_resource_labels": "a,b", "loki_tenant": "t", "loki_format": "json", "loki_attribute_labels": `["a","b"]`})
	// The fields of a record and of a scope.
	logs := otlp(ofShop())
	scope := logs.ResourceLogs().At(0).ScopeLogs().At(0)
	scope.Scope().SetName("lib")
	scope.Scope().SetVersion("1.2")
	scope.Scope().SetDroppedAttributesCount(3)
	record := scope.LogRecords().At(0)
	record.SetObservedTimestamp(5)
	record.SetSeverityNumber(plog.SeverityNumberWarn)
	record.SetSeverityText("Warn")
	record.SetDroppedAttributesCount(4)
	record.SetFlags(1)
	record.SetTraceID([16]byte{1})
	record.SetSpanID([8]byte{2})
	tenant := l.tenant()
	pushLogs(t, tenant, logs)
	lines := tenant.Lines(t, `{service_name="shop"}`)
	require.Len(t, lines, 1)
	assert.Equal(t, map[string]string{
		"scope_name": "lib", "scope_version": "1.2", "scope_dropped_attributes_count": "3", "observed_timestamp": "5", "severity_number": "13", "severity_text": "Warn",
		"dropped_attributes_count": "4", "flags": "1", "trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000", "detected_level": "warn",
	}, lines[0].Metadata)
}

// Of several values of a name only one can be found.
func lokiDoubled(t *testing.T, l *lokiFacts) {
	f := func(s said, name, found string, lost ...string) {
		t.Helper()
		tenant := l.tenant()
		got, _ := fateOf(t, tenant, s)
		assert.Equal(t, http.StatusNoContent, got.status)
		assert.Equal(t, found, got.metadata[name], name)
		for i, value := range append([]string{found}, lost...) {
			assert.Len(t, tenant.Lines(t, fmt.Sprintf(`{service_name="shop"} | %s=%q`, name, value)), map[bool]int{true: 1}[i == 0], "%s=%s", name, value)
		}
	}
	// The last one, in the order record, resource, scope: as long as there are fewer than a dozen in all. More are sorted, and which
	// one is the last then is anybody's guess.
	f(said{resource: ofShop("a.b", "resource").resource, scope: pairs{"a/b", "scope"}, attrs: pairs{"a_b", "record"}}, "a_b", "scope", "resource", "record")
	f(said{resource: ofShop("a.b", "resource").resource, attrs: pairs{"a_b", "record"}}, "a_b", "resource", "record")
	f(ofShop("a.b", "1", "a_b", "2"), "a_b", "2", "1")
	// So an attribute can hide a field, and a field an attribute.
	traced := func(r plog.LogRecord) { r.SetTraceID([16]byte{1}) }
	const traceID = "01000000000000000000000000000000"
	f(said{resource: ofShop("trace_id", "resource").resource, record: traced}, "trace_id", "resource", traceID)
	f(said{resource: ofShop().resource, attrs: pairs{"trace.id", "record"}, record: traced}, "trace_id", traceID, "record")
	warned := func(r plog.LogRecord) { r.SetSeverityText("Warn") }
	f(said{resource: ofShop().resource, attrs: pairs{"severity_text", "record"}, record: warned}, "severity_text", "Warn", "record")
	f(said{resource: ofShop().resource, scope: pairs{"severity_text", "scope"}, record: warned}, "severity_text", "scope", "Warn")

	// What has a label's name is shown under another one, the same value too; a filter by the name means the label.
	s := ofShop("k8s.namespace.name", "n")
	s.attrs = pairs{"k8s_namespace_name", "n", "service.name", "other"}
	tenant := l.tenant()
	got, _ := fateOf(t, tenant, s)
	assert.Equal(t, kept(
		service("shop", "k8s_namespace_name", "n"), map[string]string{"k8s_namespace_name_extracted": "n", "service_name_extracted": "other"},
	), got)
	assert.Empty(t, tenant.Lines(t, `{k8s_namespace_name="n"} | service_name="other"`))
	assert.Len(t, tenant.Lines(t, `{k8s_namespace_name="n"} | service_name_extracted="other"`), 1)
}

func lokiUTF8(t *testing.T, l *lokiFacts) {
	const bad, replaced, surrogate = "a\xffb", "a\ufffdb", "a\xed\xa0\x80"
	for _, key := range []string{"service.name", "k8s.namespace.name"} {
		for _, value := range []string{bad, surrogate} {
			// The record is gone, the answer is that all is well, and nothing is counted.
			got, _ := fateOf(t, l.tenant(), said{resource: pairs{key, value}})
			assert.Equal(t, kept(nil, nil), got, "%s = %q", key, value)
			status, _ := pushLogs(t, l.tenant(), otlp(said{resource: pairs{key, value}}))
			assert.Equal(t, http.StatusUnprocessableEntity, status, "nothing else in the request")
		}
		// The replacement character is no better in a label.
		got, _ := fateOf(t, l.tenant(), said{resource: pairs{key, replaced}})
		assert.Equal(t, fate{status: http.StatusBadRequest, refused: map[string]float64{"invalid_labels": 1}, other: true}, got, key)
	}
	for _, value := range []string{bad, replaced} {
		for where, s := range everywhere("key", value) {
			s.body = "line " + value
			got, line := fateOf(t, l.tenant(), s)
			assert.Equal(t, kept(service("shop"), map[string]string{"key": "a b"}), got, "%q on a %s", value, where)
			assert.Equal(t, "line "+replaced, line) // in JSON, where there is no other way to say it
		}
	}
	got, _ := fateOf(t, l.tenant(), said{resource: ofShop().resource, attrs: pairs{bad, "v"}})
	assert.Equal(t, kept(service("shop"), map[string]string{"a_b": "v"}), got)
}

// One record with an attribute that has the name of LogQL's own error makes every sum over its stream an error.
func lokiQueryPoison(t *testing.T, l *lokiFacts) {
	f := func(key, want string) {
		t.Helper()
		for where, s := range everywhere(key, "boom") {
			tenant := l.tenant()
			got, _ := fateOf(t, tenant, s)
			assert.Equal(t, http.StatusNoContent, got.status)
			_, err := tenant.TryQuery(`sum(count_over_time({service_name="shop"}[5m]))`)
			if want == "" {
				assert.NoError(t, err, "%s on a %s", key, where)
			} else {
				assert.ErrorContains(t, err, want, "%s on a %s", key, where)
			}
		}
	}
	f("__error__", "pipeline error: 'boom'")
	for _, key := range []string{"__error_details__", "__preserve_error__", "__line__", "__timestamp__", "__name__", "__stream_shard__", "..error.."} {
		f(key, "")
	}
}
