package lokihintprocessor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/metadatatest"
)

func point(n int64, pairs ...string) metricdata.DataPoint[int64] {
	var attrs []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attrs...)}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, `{contract: generated, max_labels: 2, max_value_bytes: 16, labels: [{from: [resource.env], values: [prod]}, {from: [resource.pod], max_values: 2}, resource.ns, resource.zone],
		budget: {max_streams: 100, max_values: 50}, tenant: {from: [resource.team], default: nobody}, hints: {honor: [resource.x]}}`)
	for i := range 5 {
		r.send(join(
			many(kv{"env", "test", "pod", fmt.Sprint("p", i), "ns", "n", "zone", "z", "team", "a", "loki.resource.labels", "x", "loki.format", "json"}, record{attrs: kv{"_", 1, "a", "\xff", "a.b", 1, "a-b", 2}}, record{}),
			one(kv{"env", strings.Repeat("x", 17), "service.name", strings.Repeat("y", 17), "team", "a|b"}, nil, nil)))
	}
	type points = []metricdata.DataPoint[int64]
	no := metricdatatest.IgnoreTimestamp()
	metadatatest.AssertEqualProcessorLokiHintDemotedRecords(t, r.read, points{
		point(10, "label", "env", "reason", "vocabulary"), point(6, "label", "pod", "reason", "value"), point(10, "label", "zone", "reason", "count"),
		point(5, "label", "env", "reason", "length"), point(5, "label", "service_name", "reason", "length"),
	}, no)
	metadatatest.AssertEqualProcessorLokiHintHints(t, r.read, points{point(5, "action", "honored"), point(5, "action", "stripped")}, no)
	metadatatest.AssertEqualProcessorLokiHintInvalidTenantRecords(t, r.read, points{point(5)}, no)
	metadatatest.AssertEqualProcessorLokiHintMendedAttributes(t, r.read, points{point(5, "mend", "key"), point(5, "mend", "utf8"), point(5, "mend", "clash")}, no)
	metadatatest.AssertEqualProcessorLokiHintNewStreams(t, r.read, points{point(4)}, no)
	metadatatest.AssertEqualProcessorLokiHintStreams(t, r.read, points{point(3)}, no)
	metadatatest.AssertEqualProcessorLokiHintStreamsLimit(t, r.read, points{point(100)}, no)
	metadatatest.AssertEqualProcessorLokiHintTenants(t, r.read, points{point(2)}, no)
	metadatatest.AssertEqualProcessorLokiHintLabelValues(t, r.read, points{
		point(1, "label", "service_name"), point(0, "label", "env"), point(2, "label", "pod"), point(1, "label", "ns"), point(0, "label", "zone"), point(0, "label", "x"),
	}, no)
	metadatatest.AssertEqualProcessorLokiHintLabelValuesLimit(t, r.read, points{
		point(50, "label", "service_name"), point(50, "label", "env"), point(2, "label", "pod"), point(50, "label", "ns"), point(50, "label", "zone"), point(50, "label", "x"),
	}, no)
}

// What Loki refuses by default is counted, record by record; what it just takes is not.
func TestRefusableRecords(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) func(plog.LogRecord) {
		return func(lr plog.LogRecord) { lr.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(d))) }
	}
	attrs := func(n int) kv {
		all := kv{}
		for i := range n {
			all = append(all, fmt.Sprint("k", i), i)
		}
		return all
	}
	f := func(want string, in record) {
		t.Helper()
		r := newRig(t, "{}")
		in.attrs = append(kv{"own", 1}, in.attrs...)
		r.send(many(kv{"service.name", "s", "host", "h"}, in, record{}))
		got := map[string]int64{}
		if want != "" {
			got[want] = 1
		}
		assert.Equal(t, got, r.counted("refusable_records", "limit"))
	}
	f("", record{body: strings.Repeat("x", 256<<10)})
	f("line", record{body: strings.Repeat("x", 256<<10+1)})
	f("", record{attrs: kv{"a", strings.Repeat("x", 64<<10-100)}})
	f("metadata_bytes", record{attrs: kv{"a", strings.Repeat("x", 64<<10)}})
	f("metadata_bytes", record{attrs: kv{"a", kv{"b", strings.Repeat("x", 64<<10)}}})
	f("", record{attrs: attrs(126)})
	f("metadata_entries", record{attrs: attrs(127)})
	f("metadata_entries", record{attrs: kv{"m", attrs(127)}})
	f("metadata_entries", record{attrs: kv{"m", kv{"n", attrs(127)}}})
	f("metadata_entries", record{attrs: attrs(126), text: "INFO"})
	f("", record{also: at(-7*24*time.Hour + time.Hour)})
	f("too_old", record{also: at(-7*24*time.Hour - time.Hour)})
	f("", record{also: at(9 * time.Minute)})
	f("future", record{also: at(11 * time.Minute)})
	f("too_old", record{also: func(lr plog.LogRecord) { lr.SetObservedTimestamp(1) }})
	f("", record{also: func(lr plog.LogRecord) { lr.SetObservedTimestamp(1); at(0)(lr) }})
	// The model is of the same mind.
	r := newRig(t, "{}")
	for _, in := range []record{{attrs: attrs(127)}, {attrs: attrs(128)}, {attrs: attrs(127), text: "INFO"}} {
		assert.Equal(t, len(in.attrs) > 2*127 || in.text != "", r.store(r.through(many(kv{"service.name", "s", "host", "h"}, in))).Entries[0].Refused != "")
	}
}

// The log names the label and what to do, once in a window, and never a value, which may be a secret.
func TestTheLogTellsOnceAndNoValue(t *testing.T) {
	r := newRig(t, "{labels: [{from: [resource.k8s.pod.name], max_values: 3}], budget: {max_streams: 20}}")
	for i := range 100 {
		r.send(one(kv{"k8s.pod.name", fmt.Sprint("secret", i), "service.name", fmt.Sprint("hidden", i), "_\xff", "secret"}, nil, kv{"loki.tenant", "secret"}))
	}
	told := r.logs.FilterMessageSnippet("new values of a label are demoted").All()
	labels := map[string]string{}
	for _, e := range told {
		fields := e.ContextMap()
		labels[fields["label"].(string)] = fmt.Sprint(e.Message, fields)
	}
	require.Len(t, told, len(labels), "once for each")
	assert.Contains(t, labels["k8s_pod_name"], "budget::max_values")
	assert.Contains(t, labels["service_name"], "budget::max_streams")
	for _, e := range r.logs.All() {
		text := fmt.Sprint(e.Message, e.ContextMap())
		assert.NotContains(t, text, "secret")
		assert.NotContains(t, text, "hidden")
	}
	assert.Less(t, r.logs.Len(), 6)
}

// The start says what the labels are.
func TestTheStartNamesTheLabels(t *testing.T) {
	r := newRig(t, namespaceAndContainer)
	fields := r.logs.FilterMessage("labels of Loki's streams").All()[0].ContextMap()
	assert.Equal(t, "default", fields["contract"])
	assert.Equal(t, []any{"service_name", "k8s_namespace_name", "k8s_container_name"}, fields["labels"])
}

// Our own metrics do not become what they are there against.
func TestOurOwnMetricsAreBounded(t *testing.T) {
	r := newRig(t, "{contract: generated, labels: [resource.a, record.b], tenant: {from: [resource.t], default: d}, budget: {max_values: 2, max_streams: 3}}")
	for i := range 200 {
		r.send(one(kv{"a", i, "t", fmt.Sprint("t", i), fmt.Sprint("k", i), i, "_", i}, nil, kv{"b", i}))
	}
	all := 0
	for _, name := range []string{
		"demoted_records", "hints", "invalid_tenant_records", "label_values", "label_values_limit", "mended_attributes", "new_streams", "refusable_records", "storage_errors",
		"streams", "streams_limit", "tenants",
	} {
		if m, err := r.read.GetMetric("otelcol_processor_loki_hint_" + name); err == nil {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				all += len(data.DataPoints)
			case metricdata.Gauge[int64]:
				all += len(data.DataPoints)
			}
		}
	}
	assert.LessOrEqual(t, all, 20)
	assert.Equal(t, map[string]int64{"": 100}, r.counted("tenants", "none"))
}

func TestShutdownWithoutStart(t *testing.T) {
	r := newRig(t, "{}")
	p, err := newProcessor(metadatatest.NewSettings(r.read), r.cfg, r.out)
	require.NoError(t, err)
	require.NoError(t, p.Shutdown(t.Context()))
	assert.True(t, r.Capabilities().MutatesData)
}
