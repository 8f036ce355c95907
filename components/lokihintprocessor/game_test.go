package lokihintprocessor

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// dice gives the fuzzer's bytes, and zeros after them.
type dice struct{ bytes []byte }

func (d *dice) roll(sides int) int {
	if len(d.bytes) == 0 {
		return 0
	}
	b := d.bytes[0]
	d.bytes = d.bytes[1:]
	return int(b) % sides
}

// fuzzConfigs are what a game is played with.
var fuzzConfigs = []string{
	"{}",
	"labels: [resource.k8s.namespace.name, resource.k8s.pod.name, {name: cloud_region, from: [resource.a, record.a.b]}]",
	`{contract: generated, hints: {emit: true}, labels: [{name: namespace, from: [resource.k8s.namespace.name]}, {name: app, from: [resource.a.b, resource.service.name, resource.k8s.pod.name]},
		{name: job, join: [namespace, app]}, {name: level, from: [severity, record.level], values: [info, warn, x]}, {name: pod, from: [resource.k8s.pod.name], max_values: 2}]}`,
	"{contract: list, index: [service.name, pod, a, team, k8s.namespace.name, a.b, a_b, resource_a], labels: [resource.pod, {name: a_b, from: [record.a], max_values: 3}], max_value_bytes: 16}",
	`{contract: generated, labels: [resource.a, record.a.b, {name: pod, from: [record.pod, resource.pod]}, {name: record_a, from: [resource.a]}, {name: k8s, from: [resource.k8s], values: [x]}],
		max_labels: 3, budget: {max_values: 4}}`,
	`{contract: generated, hints: {honor: [resource.k8s.pod.name, record.a.b, loki.tenant]}, tenant: {from: [resource.team, resource.pod], default: nobody}, labels: [resource.a],
		budget: {max_values: 3, max_streams: 9}}`,
	"{contract: generated, long_value: truncate, max_value_bytes: 16, labels: [{name: level, from: [record.level, severity]}, resource.a.b, {name: j, join: [level, a_b]}, record.app]}",
	"{long_value: truncate, max_value_bytes: 16, budget: {max_values: 2}, max_request_bytes: 65536, hints: {emit: true}}",
	"{labels: [resource.k8s.namespace.name, resource.k8s.pod.name], tenant: {from: [resource.team], default: nobody}, max_value_bytes: 16, budget: {max_values: 2, max_streams: 4, max_tenants: 1}}",
}

var fuzzKeys = []string{
	"a", "a.b", "a_b", "a-b", "a..b", "service.name", "service_name", "k8s.namespace.name", "k8s_namespace_name", "k8s.pod.name", "k8s_pod_name", "pod", "app", "team", "job", "level",
	"_", "", "日本", "\xff", "a\xff", "a\xfe", "\uFFFD", "__error__", "__a__", "b__", "b_", "1", "trace_id", "severity_text", "scope_name", "flags", "observed_timestamp",
	"resource_service_name", "resource_a", "record_a", "record_a_2", "scope_a", "attr_5f", "attr_ff", "loki.resource.labels", "loki.attribute.labels", "loki.tenant", "loki.format",
	"loki_resource_labels", "k8s", "service", "name", "namespace", "namespace.name", "k8s.job.name", "container.name", "resource_attr_5f", "service_name_original", "__a__b__",
}

// game makes batches of the fuzzer's bytes and looks at what becomes of them.
type game struct {
	*dice
	t       *testing.T
	r       *rig
	values  int // so far
	records int
	streams map[string]map[string]bool            // by tenant
	labels  map[string]map[string]map[string]bool // values by tenant and label
	// What was counted when it was asked last.
	happened [2]int64
}

// long are lengths on both sides of a limit.
var long = []int{16, 17, 2048, 2049, 30_000}

func (g *game) value(depth int) any {
	g.values++
	switch n := g.roll(24); n {
	case 0, 1:
		return "x"
	case 2:
		return ""
	case 3:
		return g.values
	case 4:
		return g.roll(2) == 0
	case 5:
		return 0.5
	case 6:
		return []byte{byte(g.values), 0xff}
	case 7:
		return []any{fmt.Sprint("l", g.values), "\xff"}
	case 8:
		return fmt.Sprintf("v%d\xff\xfe", g.values)
	case 9:
		return fmt.Sprintf("v%d\uFFFD", g.values)
	case 10:
		return strings.Repeat("w", long[g.roll(len(long))])
	case 11:
		return []string{"overflow", "unknown_service", "info", "record_a", "unknown_service:java"}[g.roll(5)]
	case 12:
		return "k8s.pod.name, a.b , team"
	case 13:
		return nil
	case 14, 15, 16:
		if depth < 3 {
			return g.attributes(depth + 1)
		}
	}
	return fmt.Sprint("v", g.values)
}

func (g *game) attributes(depth int) kv {
	pairs := kv{}
	for range g.roll(6 - depth) {
		pairs = append(pairs, fuzzKeys[g.roll(len(fuzzKeys))], g.value(depth))
	}
	return pairs
}

func (g *game) batch() plog.Logs {
	var all []resource
	for range g.roll(4) {
		res := resource{attrs: g.attributes(0), schema: []string{"", "https://r"}[g.roll(2)]}
		for range g.roll(3) {
			s := scope{attrs: g.attributes(1), name: []string{"", "n"}[g.roll(2)], version: []string{"", "1"}[g.roll(2)]}
			for range g.roll(4) {
				s.records = append(s.records, g.record())
			}
			res.scopes = append(res.scopes, s)
		}
		all = append(all, res)
	}
	return logs(all...)
}

func (g *game) record() record {
	g.records++
	bits := g.roll(256)
	return record{body: fmt.Sprint("record ", g.records), attrs: g.attributes(0), level: plog.SeverityNumber(g.roll(25)), text: []string{"", "INFO", "x", "\xff"}[g.roll(4)], also: func(lr plog.LogRecord) {
		if bits&1 != 0 {
			lr.SetTraceID(pcommon.TraceID{1})
			lr.SetSpanID(pcommon.SpanID{2})
		}
		if bits&2 != 0 {
			lr.SetFlags(1)
		}
		if bits&4 != 0 {
			lr.SetTimestamp(1)
		}
		lr.SetObservedTimestamp(pcommon.Timestamp(bits >> 3))
	}}
}
