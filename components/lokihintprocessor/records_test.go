package lokihintprocessor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

const ofLevel = "{contract: generated, labels: [resource.k8s.namespace.name, {name: level, from: [severity, record.level], values: [info, warn, error]}]}"

// Records of one resource go to the streams of their labels; those with the same stay together, in their order, below copies of their scopes.
func TestARecordsLabelsSplitTheResource(t *testing.T) {
	ld := logs(resource{attrs: kv{"k8s.namespace.name", "n", "host.name", "h"}, schema: "https://a", scopes: []scope{
		{name: "one", version: "1", schema: "https://b", attrs: kv{"x", 1}, records: []record{
			{body: "1", level: plog.SeverityNumberInfo}, {body: "2", level: plog.SeverityNumberError2}, {body: "3", level: plog.SeverityNumberInfo4}, {body: "4"},
		}},
		{name: "two", records: []record{{body: "5", level: plog.SeverityNumberWarn}, {body: "6", level: plog.SeverityNumberError}}},
	}})
	r := newRig(t, ofLevel)
	out := r.through(copied(ld))
	sameRecords(t, ld, out)
	require.Equal(t, 4, out.ResourceLogs().Len())
	for _, rl := range out.ResourceLogs().All() {
		assert.Equal(t, "https://a", rl.SchemaUrl())
		host, _ := rl.Resource().Attributes().Get("host.name")
		assert.Equal(t, "h", host.Str())
	}
	assert.Equal(t, []string{
		`{k8s_namespace_name="n", level="info", service_name="unknown_service"} host_name="h" scope_name="one" scope_version="1" severity_number="9" x="1" - 1`,
		`{k8s_namespace_name="n", level="info", service_name="unknown_service"} host_name="h" scope_name="one" scope_version="1" severity_number="12" x="1" - 3`,
		`{k8s_namespace_name="n", level="error", service_name="unknown_service"} host_name="h" scope_name="one" scope_version="1" severity_number="18" x="1" - 2`,
		`{k8s_namespace_name="n", level="error", service_name="unknown_service"} host_name="h" scope_name="two" severity_number="17" - 6`,
		`{k8s_namespace_name="n", service_name="unknown_service"} host_name="h" scope_name="one" scope_version="1" x="1" - 4`,
		`{k8s_namespace_name="n", level="warn", service_name="unknown_service"} host_name="h" scope_name="two" severity_number="13" - 5`,
	}, strings.Split(r.shown(out), "\n"))
}

// Records in random numbers of resources and scopes come out as they went in, each in the stream of its level.
func TestSplitKeepsEveryRecord(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	r := newRig(t, ofLevel)
	levels := map[string]plog.SeverityNumber{"": 0, "info": plog.SeverityNumberInfo, "warn": plog.SeverityNumberWarn, "error": plog.SeverityNumberError}
	names := []string{"", "info", "warn", "error"}
	for range 100 {
		n := 0
		var all []resource
		for i := range dice.IntN(4) {
			res := resource{attrs: kv{"service.name", fmt.Sprint("s", i)}, schema: fmt.Sprint("r", i)}
			for j := range dice.IntN(4) {
				s := scope{name: fmt.Sprint(i, j), schema: fmt.Sprint("s", j)}
				for range dice.IntN(5) {
					level := names[dice.IntN(4)]
					s.records = append(s.records, record{body: fmt.Sprint(n, " ", level), level: levels[level]})
					n++
				}
				res.scopes = append(res.scopes, s)
			}
			all = append(all, res)
		}
		ld := logs(all...)
		if n == 0 {
			assert.Empty(t, r.send(ld), "nothing is sent for nothing")
			continue
		}
		out := r.through(copied(ld))
		sameRecords(t, ld, out)
		streams := map[string]bool{}
		for _, rl := range out.ResourceLogs().All() {
			last := -1
			for _, e := range r.store(only(rl)).Entries {
				var at int
				level := ""
				_, _ = fmt.Sscan(e.Line, &at, &level)
				assert.Equal(t, level, e.Labels["level"])
				assert.Greater(t, at, last, "in their order")
				last = at
				streams[e.Selector()] = true
			}
		}
		assert.Len(t, streams, out.ResourceLogs().Len(), "a resource for each stream, and not more")
	}
}

func only(rl plog.ResourceLogs) plog.Logs {
	ld := plog.NewLogs()
	rl.CopyTo(ld.ResourceLogs().AppendEmpty())
	return ld
}

// What is demoted does not split: it stays on the record, under the label's name.
func TestWhatIsDemotedStaysOnTheRecord(t *testing.T) {
	f := func(config string, want []string, records ...record) {
		t.Helper()
		in := many(kv{"service.name", "s"}, records...)
		becomes(t, config, in, want...)
		assert.Equal(t, 1, newRig(t, config).through(copied(in)).ResourceLogs().Len())
	}
	const generated = "{contract: generated, labels: [%s]}"
	f(fmt.Sprintf(generated, "{name: level, from: [severity], values: [info]}"),
		[]string{`{service_name="s"} level="debug" severity_number="5"`, `{service_name="s"} level="odd" severity_text="Odd"`, `{service_name="s"}`},
		record{level: plog.SeverityNumberDebug}, record{text: "Odd"}, record{})
	// The record has the name already.
	f(fmt.Sprintf(generated, "{from: [record.user.id], values: [a]}"),
		[]string{`{service_name="s"} user_id="b"`, `{service_name="s"} user_id="c"`}, record{attrs: kv{"user.id", "b"}}, record{attrs: kv{"user_id", "c"}})
	f(fmt.Sprintf(generated, "{name: u, from: [record.user.id], values: [a]}"),
		[]string{`{service_name="s"} u="b" user_id="b"`, `{service_name="s"} record_u="x" u="c" user_id="c"`}, record{attrs: kv{"user.id", "b"}}, record{attrs: kv{"user_id", "c", "u", "x"}})
	f(fmt.Sprintf(generated, "{name: level, from: [severity], values: [info]}"),
		[]string{`{service_name="s"} level="error" record_level="[\"v\",{\"a\":1}]" severity_number="17"`},
		record{level: plog.SeverityNumberError, attrs: kv{"level", "v", "level", kv{"a", 1}}})
	// The resource's value is each record's.
	f(fmt.Sprintf(generated, "{name: u, from: [record.a, resource.service.name], values: [a]}"),
		[]string{`{service_name="s"} u="s"`, `{service_name="s"} a="b" u="b"`}, record{}, record{attrs: kv{"a", "b"}})
}

func TestSourcesOnRecords(t *testing.T) {
	f := func(label string, ofResource, ofRecord kv, want string) {
		t.Helper()
		becomes(t, "{contract: generated, labels: ["+label+"]}", one(append(kv{"service.name", "s"}, ofResource...), nil, ofRecord), want)
	}
	f("record.a.b", nil, kv{"a.b", 1}, `{a_b="1", service_name="s"}`)
	f("record.a.b", nil, kv{"a-b", "x"}, `{a_b="x", service_name="s"}`)
	f("record.a.b", nil, kv{"a_b", "y", "a.b", "x"}, `{a_b="x", service_name="s"} record_a_b="y"`)
	f("record.a.b", nil, kv{"a.b", "", "a_b", "y"}, `{a_b="y", service_name="s"} record_a_b=""`)
	f("record.a.b", nil, kv{"a.b", kv{"c", 1}}, `{service_name="s"} a_b_c="1"`)
	f("record.a.b", nil, kv{"a.b", []any{1}}, `{service_name="s"} a_b="[1]"`)
	f("record.a.b", kv{"a.b", 2}, kv{"a.b", 1}, `{a_b="1", service_name="s"} resource_a_b="2"`)
	f("record.a.b", kv{"a.b", 2}, nil, `{a_b="2", service_name="s"}`)
	f("{name: x, from: [record.a, resource.b, record.c]}", kv{"b", 2}, kv{"c", 3}, `{service_name="s", x="2"} b="2" c="3"`)
	f("{name: x, from: [record.a, resource.b, record.c]}", kv{"b", ""}, kv{"c", 3}, `{service_name="s", x="3"} b="" c="3"`)
	// Of a source with the label's own name nothing is left but the label, which stands for it then.
	f("{name: a, from: [record.a, record.b]}", nil, kv{"a", 1, "b", 2}, `{a="1", service_name="s"} b="2"`)
	f("{name: a, from: [record.c, record.a, resource.service.name]}", nil, kv{"a", 1}, `{a="1", service_name="s"}`)
	f("record.a, {name: j, join: [a]}", nil, kv{"a", 1}, `{a="1", j="1", service_name="s"}`)
	f("resource.b, record.a, {name: j, join: [b, a]}", kv{"b", "x"}, kv{"a", 1}, `{a="1", b="x", j="x/1", service_name="s"}`)
}

func TestSeverities(t *testing.T) {
	f := func(n plog.SeverityNumber, text, want string) {
		t.Helper()
		r := newRig(t, "{contract: generated, labels: [{name: level, from: [severity]}]}")
		entries := r.store(r.through(many(nil, record{level: n, text: text}))).Entries
		assert.Equal(t, want, entries[0].Labels["level"], "%d %s", n, text)
	}
	for i, want := range []string{"trace", "debug", "info", "warn", "error", "fatal"} {
		for j := range 4 {
			f(plog.SeverityNumber(1+4*i+j), "other", want)
		}
	}
	f(0, "Warning", "warning")
	f(0, "", "")
	f(0, "a\xff", "a ")
}

// The level that the record says itself comes before its severity, also when the label says it for the record.
func TestALevelOfTwoSources(t *testing.T) {
	becomes(t, "{contract: generated, labels: [{name: level, from: [record.level, severity]}]}", many(nil, record{level: 9, attrs: kv{"level", "INFO"}}),
		`{level="INFO", service_name="unknown_service"} severity_number="9"`)
}

// A budget that is used up by records demotes theirs, and only theirs.
func TestExplodingRecords(t *testing.T) {
	r := newRig(t, "{contract: generated, labels: [resource.ns, {from: [record.user], max_values: 3}]}")
	var records []record
	for i := range 10 {
		records = append(records, record{body: i, attrs: kv{"user", fmt.Sprint("u", i%5)}})
	}
	out := r.through(many(kv{"ns", "n"}, records...))
	require.Equal(t, 4, out.ResourceLogs().Len())
	var got []string
	for _, e := range r.store(out).Entries {
		got = append(got, e.Line+e.Selector())
	}
	slices.Sort(got)
	assert.Equal(t, []string{
		`0{ns="n", service_name="unknown_service", user="u0"}`, `1{ns="n", service_name="unknown_service", user="u1"}`, `2{ns="n", service_name="unknown_service", user="u2"}`,
		`3{ns="n", service_name="unknown_service"}`, `4{ns="n", service_name="unknown_service"}`,
		`5{ns="n", service_name="unknown_service", user="u0"}`, `6{ns="n", service_name="unknown_service", user="u1"}`, `7{ns="n", service_name="unknown_service", user="u2"}`,
		`8{ns="n", service_name="unknown_service"}`, `9{ns="n", service_name="unknown_service"}`,
	}, got)
	assert.Equal(t, map[string]int64{"value": 4}, r.counted("demoted_records", "reason"))
}

// Resources without records make no stream; scopes without do not matter.
func TestNothing(t *testing.T) {
	r := newRig(t, ofLevel)
	assert.Empty(t, r.send(plog.NewLogs()))
	assert.Empty(t, r.send(logs(resource{}, resource{attrs: kv{"_", 1}, scopes: []scope{{}, {}}})))
	assert.Equal(t, `{service_name="unknown_service"}`, r.shown(r.through(logs(resource{scopes: []scope{{}, {records: []record{{}}}}}, resource{}))))
	assert.Empty(t, r.counted("mended_attributes", "mend"))
}
