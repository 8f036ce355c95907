package lokimodel

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/config"
)

var now = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func lokiSettings() Settings {
	s := Defaults(config.DefaultIndex())
	s.Now = now
	return s
}

// kv is a key and a value, key and value …, in their order.
type kv []any

func put(m pcommon.Map, pairs kv) {
	for i := 0; i < len(pairs); i += 2 {
		value := m.PutEmpty(pairs[i].(string))
		if nested, ok := pairs[i+1].(kv); ok {
			put(value.SetEmptyMap(), nested)
		} else if err := value.FromRaw(pairs[i+1]); err != nil {
			panic(err)
		}
	}
}

// add is a resource with one record, which has the body x and now's time.
func add(ld plog.Logs, resource, scope, record kv) plog.LogRecord {
	rl := ld.ResourceLogs().AppendEmpty()
	put(rl.Resource().Attributes(), resource)
	sl := rl.ScopeLogs().AppendEmpty()
	put(sl.Scope().Attributes(), scope)
	lr := sl.LogRecords().AppendEmpty()
	put(lr.Attributes(), record)
	lr.Body().SetStr("x")
	lr.SetTimestamp(pcommon.NewTimestampFromTime(now))
	return lr
}

func one(resource, scope, record kv) plog.Logs {
	ld := plog.NewLogs()
	add(ld, resource, scope, record)
	return ld
}

// show is a result on one line: the stream, then name=value of its metadata, then why it is not stored.
func show(r Result) string {
	if r.Refused != "" {
		return "refused: " + r.Refused
	}
	var lines []string
	for _, e := range r.Entries {
		words := []string{e.Selector()}
		for _, p := range e.Metadata {
			words = append(words, fmt.Sprintf("%s=%q", p.Name, p.Value))
		}
		if e.Refused != "" {
			words = append(words, "refused: "+string(e.Refused))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(lines, "\n")
}

func TestLabelsAndMetadata(t *testing.T) {
	f := func(resource, scope, record kv, want string) {
		t.Helper()
		assert.Equal(t, want, show(lokiSettings().Store(one(resource, scope, record))))
	}

	f(kv{"service.name", "a", "k8s.pod.name", "p", "k8s.node.name", "n"}, kv{"s.t", "u"}, kv{"k", "v"},
		`{k8s_pod_name="p", service_name="a"} k="v" k8s_node_name="n" s_t="u"`)
	// The key itself decides, not what becomes of it.
	f(kv{"service.name", "a", "k8s_pod_name", "p"}, nil, nil, `{service_name="a"} k8s_pod_name="p"`)
	f(kv{"service.name", "a"}, kv{"k8s.pod.name", "s"}, kv{"k8s.pod.name", "r"}, `{service_name="a"} k8s_pod_name="r" k8s_pod_name="s"`)
	// All that is not text becomes text; a map's leaves get names of their own, as label and as metadata.
	f(kv{"service.name", 7, "k8s.pod.name", kv{"a.b", true, "c", kv{"", 1.5}}}, nil, kv{"m", kv{"_", []any{1, "x"}}, "none", kv{}},
		`{k8s_pod_name_a_b="true", k8s_pod_name_c_="1.5", service_name="7"} m_="[1,\"x\"]"`)
	f(kv{"service.name", "a", "x", nil}, nil, nil, `{service_name="a"} x=""`)
	// Two spellings of a name: all of them.
	f(kv{"service.name", "a", "a.b", 1, "a..b", 2}, nil, kv{"a_b", 3}, `{service_name="a"} a_b="3" a_b="1" a_b="2"`)
	// An empty label is none.
	f(kv{"service.name", "a", "k8s.pod.name", ""}, nil, nil, `{service_name="a"}`)
	f(kv{"service.name", "a", "d", "e\uFFFDf"}, nil, kv{"g", "h\xffi"}, `{service_name="a"} d="e f" g="h i"`)
	f(kv{"service.name", "a", "d", "\xff1"}, kv{"d", "\xff3"}, kv{"d", "2"}, `{service_name="a"} d=" 3" d="\xff1" d="\xff3"`)
}

func TestServiceName(t *testing.T) {
	f := func(resource kv, want string) {
		t.Helper()
		assert.Equal(t, want, show(lokiSettings().Store(one(resource, nil, nil))))
	}

	f(kv{}, `{service_name="unknown_service"}`)
	f(kv{"service.name", ""}, `{service_name="unknown_service"}`)
	f(kv{"k8s.container.name", "c"}, `{k8s_container_name="c", service_name="c"}`)
	f(kv{"k8s.job.name", "j", "k8s.container.name", "c"}, `{k8s_container_name="c", k8s_job_name="j", service_name="j"}`)
	f(kv{"app", "a"}, `{service_name="unknown_service"} app="a"`)
	// An empty one is made the label over what was found before it, and is no label then.
	f(kv{"k8s.container.name", "c", "service.name", ""}, `{k8s_container_name="c"}`)
	f(kv{"service.name", "", "k8s.container.name", "c"}, `{k8s_container_name="c", service_name="c"}`)
}

func TestGeneratedIndex(t *testing.T) {
	s := Defaults([]string{"service.name", "namespace"})
	s.Drop = config.HintKeys()
	f := func(resource, record kv, want string) {
		t.Helper()
		assert.Equal(t, want, show(s.Store(one(resource, nil, record))))
	}

	f(kv{"service.name", "a", "namespace", "n", "k8s.pod.name", "p", "loki.format", "json"}, kv{"loki.attribute.labels", "x"}, `{namespace="n", service_name="a"} k8s_pod_name="p"`)
	s.Index = []string{"namespace"}
	f(kv{"service.name", "a", "x", "y"}, nil, `{} service_name="a" x="y" refused: missing_labels`)
	s.Index = []string{"service.name", "a.b", "a..b"}
	f(kv{"service.name", "a", "a..b", 1, "a.b", 2}, nil, `{a_b="2", service_name="a"}`)
	s.Index, s.DiscoverServiceName = []string{"namespace"}, nil
	f(kv{"namespace", ""}, nil, `{} refused: missing_labels`)
}

func TestFieldsOfTheRecord(t *testing.T) {
	ld := plog.NewLogs()
	lr := add(ld, kv{"service.name", "a"}, nil, kv{"trace_id", "mine"})
	lr.SetTimestamp(10)
	lr.SetObservedTimestamp(20)
	lr.SetSeverityNumber(plog.SeverityNumberWarn)
	lr.SetSeverityText("WARN")
	lr.SetDroppedAttributesCount(3)
	lr.SetFlags(1)
	lr.SetTraceID([16]byte{1})
	lr.SetSpanID([8]byte{2})
	scope := ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope()
	scope.SetName("lib")
	scope.SetVersion("1")
	scope.SetDroppedAttributesCount(4)
	s := lokiSettings()
	s.Now = time.Time{} // nothing is too old
	r := s.Store(ld)
	assert.Equal(t, `{service_name="a"} dropped_attributes_count="3" flags="1" observed_timestamp="20" scope_dropped_attributes_count="4" scope_name="lib"`+
		` scope_version="1" severity_number="13" severity_text="WARN" span_id="0200000000000000" trace_id="mine" trace_id="01000000000000000000000000000000"`, show(r))
	assert.Equal(t, []string{"trace_id"}, r.Entries[0].Clashes())
	assert.Equal(t, time.Unix(0, 10).UTC(), r.Entries[0].Time)
	assert.Equal(t, "x", r.Entries[0].Line)

	lr.SetTimestamp(0)
	r = s.Store(ld)
	assert.NotContains(t, show(r), "observed_timestamp")
	assert.Equal(t, time.Unix(0, 20).UTC(), r.Entries[0].Time)
	lr.SetObservedTimestamp(0)
	s.Now = now
	assert.Equal(t, now, s.Store(ld).Entries[0].Time)
}

func TestRefusedRequests(t *testing.T) {
	f := func(ld plog.Logs, want string) {
		t.Helper()
		r := lokiSettings().Store(ld)
		assert.Contains(t, r.Refused, want)
		assert.Equal(t, want == "", r.Refused == "")
		assert.Equal(t, want == "", len(r.Entries) > 0)
	}

	good := kv{"service.name", "a"}
	for _, key := range []string{"", "_", ".", "-", "___", "日本"} {
		want := fmt.Sprintf("attribute %q", key)
		f(one(append(kv{key, "v"}, good...), nil, nil), want)
		f(one(good, kv{key, 1}, nil), want)
		f(one(good, nil, kv{key, kv{}}), want)
		f(one(good, nil, kv{"a", kv{key, 1}}), "") // has a name by what is before it
	}
	f(plog.NewLogs(), "at least one valid stream")
	empty := plog.NewLogs()
	put(empty.ResourceLogs().AppendEmpty().Resource().Attributes(), good)
	f(empty, "at least one valid stream")
	f(one(kv{"k8s.pod.name", "\xff"}, nil, nil), "at least one valid stream")

	// A resource that is skipped is not looked at further.
	skipped := one(kv{"k8s.pod.name", "\xff"}, nil, kv{"_", 1})
	add(skipped, good, nil, nil)
	f(skipped, "")
	assert.Equal(t, "{k8s_pod_name=\"\\xff\", service_name=\"unknown_service\"} refused: invalid_utf8\n"+`{service_name="a"}`, show(lokiSettings().Store(skipped)))
}

func TestRefusedEntries(t *testing.T) {
	f := func(resource, record kv, mutate func(lr plog.LogRecord), want Reason) {
		t.Helper()
		ld := plog.NewLogs()
		mutate(add(ld, resource, nil, record))
		add(ld, kv{"service.name", "other"}, nil, nil)
		r := lokiSettings().Store(ld)
		require.Len(t, r.Entries, 2)
		assert.Equal(t, want, r.Entries[0].Refused)
		assert.Empty(t, r.Entries[1].Refused, "the rest of the request is stored")
	}
	asIs := func(plog.LogRecord) {}
	at := func(d time.Duration) func(plog.LogRecord) {
		return func(lr plog.LogRecord) { lr.SetTimestamp(pcommon.NewTimestampFromTime(now.Add(d))) }
	}
	index := func(n int) kv {
		resource := kv{"service.name", "a"}
		for _, key := range config.DefaultIndex()[1 : 1+n] {
			resource = append(resource, key, "v")
		}
		return resource
	}
	many := func(n, bytes int) kv {
		var record kv
		for i := range n {
			record = append(record, fmt.Sprintf("%04d", i+1000), strings.Repeat("v", bytes-len("key_0000")))
		}
		return record
	}

	f(kv{"k8s.pod.name", "b\uFFFDc"}, nil, asIs, InvalidLabels)
	f(append(index(16), "service.name", "\uFFFD"), nil, asIs, InvalidLabels)
	f(kv{"k8s.pod.name", "\x00\n\"\\\x7f \u200b\uFEFF"}, nil, asIs, "")
	f(index(15), nil, asIs, "")
	f(index(16), nil, asIs, TooManyLabels)
	f(append(index(15), "k8s.job.name", ""), nil, asIs, "")
	f(kv{"k8s.pod.name", strings.Repeat("v", 2048)}, nil, asIs, "")
	f(kv{"k8s.pod.name", strings.Repeat("v", 2049)}, nil, asIs, LabelValueTooLong)
	f(kv{"k8s.pod.name", kv{strings.Repeat("k", 1024-len("k8s_pod_name_")), 1}}, nil, asIs, "")
	f(kv{"k8s.pod.name", kv{strings.Repeat("k", 1025-len("k8s_pod_name_")), 1}}, nil, asIs, LabelNameTooLong)
	f(nil, many(128, 512), asIs, "")
	f(nil, append(many(127, 512), "k", strings.Repeat("v", 512)), asIs, MetadataTooLarge)
	f(nil, append(many(127, 512), "detected_level", strings.Repeat("v", 1<<20)), asIs, "")
	f(nil, many(129, 100), asIs, MetadataTooMany)
	f(nil, nil, func(lr plog.LogRecord) { lr.Body().SetStr(strings.Repeat("v", 256<<10)) }, "")
	f(nil, nil, func(lr plog.LogRecord) { lr.Body().SetStr(strings.Repeat("v", 256<<10+1)) }, LineTooLong)
	f(nil, nil, at(-7*24*time.Hour), "")
	f(nil, nil, at(-7*24*time.Hour-1), TooOld)
	f(nil, nil, at(10*time.Minute), "")
	f(nil, nil, at(10*time.Minute+1), TooNew)
}

func TestClashes(t *testing.T) {
	f := func(resource, scope, record kv, want ...string) {
		t.Helper()
		assert.Equal(t, want, lokiSettings().Store(one(resource, scope, record)).Entries[0].Clashes())
	}

	f(kv{"service.name", "a"}, kv{"a", 1}, kv{"b", 1})
	f(kv{"service.name", "a"}, nil, kv{"service.name", "b"}, "service_name")
	f(kv{"a.b", 1, "a_b", 1, "c", ""}, kv{"c", 2}, kv{"a-b", 1}, "a_b", "c")
	f(kv{"__error__", 1}, kv{"__error_details__", 1}, kv{"..error..", 1}, "__error__", "__error_details__")
}

// Loki names metadata twice; that does not matter.
func TestNamesStayAsTheyAre(t *testing.T) {
	for _, key := range []string{"a.b", "__a__", "__a", "_a", "9", "a__b", "_9", "a_", "日本x", "\xff1"} {
		name, err := config.Name(key)
		require.NoError(t, err)
		again, err := config.Name(name)
		require.NoError(t, err)
		assert.Equal(t, name, again)
	}
}
