package lokihintprocessor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// A name means one thing: the label, or the resource's, or the scope's, or the record's. What says the same is there once, what says something else keeps its
// value under another name.
func TestClashes(t *testing.T) {
	f := func(ofResource, ofScope, ofRecord kv, want string) {
		t.Helper()
		becomes(t, ofNamespace, one(append(kv{"service.name", "s", "k8s.namespace.name", "n"}, ofResource...), ofScope, ofRecord),
			`{k8s_namespace_name="n", service_name="s"} `+want)
	}
	// With a label.
	f(nil, kv{"service.name", "s"}, kv{"k8s.namespace.name", "n", "x", 1}, `x="1"`)
	f(nil, kv{"service_name", "t"}, kv{"k8s-namespace-name", "m"}, `record_k8s_namespace_name="m" scope_service_name="t"`)
	f(nil, nil, kv{"k8s.namespace.name", ""}, `record_k8s_namespace_name=""`)
	f(nil, kv{"k8s", kv{"namespace", kv{"name", "n"}}}, kv{"k8s", kv{"namespace", kv{"name", "n"}}}, `record_k8s_namespace_name="n" scope_k8s_namespace_name="n"`)
	f(kv{"k8s", kv{"namespace.name", "m"}}, nil, nil, `resource_k8s_namespace_name="m"`)
	// With what is demoted.
	f(kv{"k8s.pod.name", "p"}, kv{"k8s.pod.name", "p"}, kv{"k8s_pod_name", "p"}, `k8s_pod_name="p"`)
	f(kv{"k8s.pod.name", "p"}, kv{"k8s.pod.name", "q"}, kv{"k8s_pod_name", "q"}, `k8s_pod_name="p" record_k8s_pod_name="q" scope_k8s_pod_name="q"`)
	f(kv{"k8s.pod.name", "p", "k8s_pod_name", "q"}, nil, nil, `k8s_pod_name="p" resource_k8s_pod_name="q"`)
	f(kv{"k8s_pod_name", "q", "k8s.pod.name", "p"}, nil, nil, `k8s_pod_name="p" resource_k8s_pod_name="q"`)
	// With what was never more than metadata.
	f(kv{"a.b", 1}, kv{"a.b", 1}, kv{"a.b", 1, "c", 1}, `a_b="1" c="1"`)
	f(kv{"a.b", 1}, kv{"a-b", 2}, kv{"a_b", 3}, `a_b="1" record_a_b="3" scope_a_b="2"`)
	f(nil, kv{"a.b", 1}, kv{"a.b", 2}, `a_b="1" record_a_b="2"`)
	f(nil, kv{"a.b", 1}, kv{"a.b", "1"}, `a_b="1"`)
	f(nil, nil, kv{"a.b", 1, "a_b", 1, "a-b", 2, "a:b", 3}, `a_b="1" record_a_b="2" record_a_b_2="3"`)
	f(nil, nil, kv{"a", "", "a", "x"}, `a="" record_a="x"`)
	// The other name is taken as well.
	f(kv{"a", 1}, nil, kv{"record.a", 3, "a", 2, "record_a_2", 4}, `a="1" record_a="3" record_a_2="4" record_a_3="2"`)
	f(kv{"a", 1, "record_a", 5}, nil, kv{"a", 2}, `a="1" record_a="5" record_a_2="2"`)
}

func TestAKeyThatComesTwice(t *testing.T) {
	f := func(in kv, want string) {
		t.Helper()
		for level, prefix := range []string{"resource", "scope", "record"} {
			levels := [3]kv{}
			levels[level] = in
			becomes(t, ofNamespace, one(levels[0], levels[1], levels[2]), `{service_name="unknown_service"} `+strings.ReplaceAll(want, "LEVEL", prefix))
		}
	}
	f(kv{"a", 1, "a", 1}, `a="1"`)
	f(kv{"a", 1, "a", 2}, `a="1" LEVEL_a="2"`)
	f(kv{"a", 1, "a", 2, "a", 3}, `a="1" LEVEL_a="2" LEVEL_a_2="3"`)
	f(kv{"a", kv{"x", 1}, "a", kv{"x", 1}}, `a_x="1" LEVEL_a_x="1"`)
	f(kv{"a", kv{"x", 1}, "a", 2}, `a_x="1" LEVEL_a="2"`)
	f(kv{"a", 2, "a", kv{"x", 1}}, `a="2" LEVEL_a_x="1"`)
	f(kv{"m", kv{"a", 1, "a", 2}}, `m="{\"a\":1,\"a\":2}"`)
	f(kv{"_", 1, "_", 2}, `attr_5f="1" LEVEL_attr_5f="2"`)
}

func TestMaps(t *testing.T) {
	f := func(ofResource, ofScope, ofRecord kv, want string) {
		t.Helper()
		becomes(t, ofNamespace, one(ofResource, ofScope, ofRecord), `{service_name="unknown_service"} `+want)
	}
	f(kv{"m", kv{"a", 1, "b.c", kv{"d", "x"}}}, nil, nil, `m_a="1" m_b_c_d="x"`)
	f(kv{"m", kv{"a", 1}, "m_a", 2}, nil, nil, `m_a="1" resource_m_a="2"`)
	f(kv{"m_a", 2, "m", kv{"a", 1, "b", 3}}, nil, nil, `m_a="2" resource_m_a="1" resource_m_b="3"`)
	f(kv{"m", kv{"a", 1}}, kv{"m_a", 1}, kv{"m", kv{"a", 2}}, `m_a="1" record_m_a="2" scope_m_a="1"`)
	// Leaves with one name: then it is text.
	f(kv{"m", kv{"a.b", 1, "a_b", 2}}, nil, nil, `m="{\"a.b\":1,\"a_b\":2}"`)
	f(nil, nil, kv{"m", kv{"a", kv{"b", true}, "a_b", 2.5, "a.b", nil}}, `m="{\"a\":{\"b\":true},\"a_b\":\"2.5\",\"a.b\":null}"`)
	f(nil, kv{"m", kv{"_", []any{"x", 1}, "", []byte("z"), "日", "\""}}, nil, `m="{\"_\":[\"x\",1],\"\":\"eg==\",\"日\":\"\\\"\"}"`)
	f(kv{"_", 1}, nil, kv{"m", kv{"a", kv{"x", 1}, "a", 5, "a_", 6}}, `attr_5f="1" m_a="5" m_a_="6" m_a_x="1"`)
	// A map that fits under no other name.
	f(nil, nil, kv{"__a__", 5, "__a__", kv{"b__", 1, "b_", 2}}, `__a__="5" record_a_8="{\"b__\":1,\"b_\":2}"`)
	// Beside another attribute with the map's own key.
	f(kv{"k8s.pod.name", "p", "k8s_pod_name", kv{"x", 1}}, nil, nil, `k8s_pod_name="p" resource_k8s_pod_name_x="1"`)
	f(kv{"k8s.pod.name", kv{"x", 1}, "k8s_pod_name", "p"}, nil, nil, `k8s_pod_name_x="1" resource_k8s_pod_name="p"`)
	f(kv{"a.b", 1}, nil, kv{"a.b", 2, "record_a_b", kv{"x", 1}}, `a_b="1" record_a_b_2="2" record_a_b_x="1"`)
	// A map that gives way leaves the names of all its leaves to others.
	f(kv{"m_q", 5}, nil, kv{"m", kv{"p", 1, "q", 2}, "m_p", 9}, `m_p="9" m_q="5" record_m_p="1" record_m_q="2"`)
	// Lists and bytes are text.
	f(nil, nil, kv{"a", []any{1, kv{"_", "x"}, "y"}, "b", []byte("z")}, `a="[1,{\"_\":\"x\"},\"y\"]" b="eg=="`)
}

// What Loki cannot name, it would refuse the whole request for.
func TestKeysThatCannotBeNamed(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		for level := range 3 {
			levels := [3]kv{}
			levels[level] = kv{key, "v"}
			becomes(t, ofNamespace, one(levels[0], levels[1], levels[2]), `{service_name="unknown_service"} `+want+`="v"`)
		}
	}
	f("", "attr_")
	f("_", "attr_5f")
	f("__", "attr_5f5f")
	f(".", "attr_2e")
	f("日本", "attr_e697a5e69cac")
	f("\xff", "attr_ff")
	f("\uFFFD", "attr_efbfbd")
	f("__error__", "attr_5f5f6572726f725f5f")
	f("..error..", "_error_")
	f("1", "key_1")
	f("a日本", "a_")
	f("a\xffb", "a_b")
	f(strings.Repeat("-", 64), "attr_"+strings.Repeat("2d", 64))
	// Two that begin alike keep apart.
	long := func(n int) kv {
		return kv{strings.Repeat("-", 64) + strings.Repeat(".", n), n}
	}
	r := newRig(t, ofNamespace)
	entries := r.store(r.through(one(nil, nil, append(long(1), long(2)...)))).Entries
	if names := entries[0].Metadata; len(names) != 2 || !strings.HasPrefix(names[0].Name, "attr_"+strings.Repeat("2d", 64)+"_") || len(names[0].Name) != 5+128+1+32 {
		t.Errorf("%v", names)
	}
	becomes(t, ofNamespace, one(nil, nil, kv{"attr_5f", 1, "_", 2}), `{service_name="unknown_service"} attr_5f="1" record_attr_5f="2"`)
	becomes(t, ofNamespace, one(kv{"_", 1}, kv{"_", 2}, kv{"_", 1}), `{service_name="unknown_service"} attr_5f="1" scope_attr_5f="2"`)
}

// Text that is broken gets spaces where it is; bodies are not touched.
func TestInvalidUTF8(t *testing.T) {
	f := func(ofResource, ofScope, ofRecord kv, want string) {
		t.Helper()
		becomes(t, "{contract: generated, labels: [resource.k8s.namespace.name, {name: l, from: [record.l.x]}]}", one(ofResource, ofScope, ofRecord), want)
	}
	f(kv{"k8s.namespace.name", "a\xffb"}, nil, nil, `{k8s_namespace_name="a b", service_name="unknown_service"}`)
	f(kv{"k8s.namespace.name", "a\uFFFDb", "x", "a\uFFFDb"}, nil, nil, `{k8s_namespace_name="a b", service_name="unknown_service"} x="a b"`)
	f(kv{"service.name", "a\xff", "x", "\xff"}, kv{"y", "b\xff\xfe"}, kv{"l.x", "\xc3("}, `{l=" (", service_name="a "} l_x=" (" x=" " y="b "`)
	f(nil, nil, kv{"l.x", "a\uFFFDb"}, `{l="a b", service_name="unknown_service"} l_x="a b"`)
	f(nil, nil, kv{"a\xff", 1, "a\xfe", 2}, `{service_name="unknown_service"} a_="1" record_a_="2"`)
	f(nil, nil, kv{"m", kv{"k\xff", "v\xff", "k\xfe", 2}}, `{service_name="unknown_service"} m="{\"k \":\"v \",\"k \":2}"`)
	f(kv{"m", kv{"a", "v\xff", "b", 2}}, nil, nil, `{service_name="unknown_service"} m="{\"a\":\"v \",\"b\":2}"`)
	f(nil, nil, kv{"list", []any{"a\xff"}}, `{service_name="unknown_service"} list="[\"a\\ufffd\"]"`)
	becomes(t, ofNamespace, many(nil, record{body: "a\xffb"}), `{service_name="unknown_service"} - a`+"\xff"+`b`)
}

// Loki has names for what it finds in records, scopes and in itself.
func TestWhatLokiNamesItself(t *testing.T) {
	whole := func(lr plog.LogRecord) {
		lr.SetTimestamp(1)
		lr.SetObservedTimestamp(2)
		lr.SetTraceID(pcommon.TraceID{1})
		lr.SetSpanID(pcommon.SpanID{2})
		lr.SetFlags(1)
		lr.SetDroppedAttributesCount(3)
	}
	names := []string{
		"observed_timestamp", "severity_number", "severity_text", "trace_id", "span_id", "flags", "dropped_attributes_count", "scope_name", "scope_version",
		"scope_dropped_attributes_count",
	}
	attrs := kv{}
	for _, name := range names {
		attrs = append(attrs, name, "x")
	}
	f := func(ofResource, ofScope, ofRecord kv, prefix string) {
		t.Helper()
		ld := logs(resource{attrs: ofResource, scopes: []scope{{name: "n", version: "v", attrs: ofScope, records: []record{
			{level: plog.SeverityNumberInfo, text: "INFO", attrs: ofRecord, also: whole},
		}}}})
		ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope().SetDroppedAttributesCount(4)
		own := `dropped_attributes_count="3" flags="1" observed_timestamp="2" `
		rest := `scope_dropped_attributes_count="4" scope_name="n" scope_version="v" severity_number="9" severity_text="INFO" ` +
			`span_id="0200000000000000" trace_id="01000000000000000000000000000000"`
		renamed := func(names ...string) string {
			var words strings.Builder
			for _, name := range names {
				fmt.Fprintf(&words, "%s_%s=\"x\" ", prefix, name)
			}
			return words.String()
		}
		mid := renamed("dropped_attributes_count", "flags", "observed_timestamp", "scope_dropped_attributes_count", "scope_name", "scope_version", "severity_number",
			"severity_text", "span_id", "trace_id")
		want := own + mid + rest
		if prefix == "scope" { // of which one is taken
			want = own + `scope_dropped_attributes_count="4" scope_dropped_attributes_count_2="x" ` + renamed("flags") + `scope_name="n" ` +
				renamed("observed_timestamp", "scope_dropped_attributes_count", "scope_name", "scope_version", "severity_number", "severity_text", "span_id", "trace_id") +
				`scope_version="v" severity_number="9" severity_text="INFO" span_id="0200000000000000" trace_id="01000000000000000000000000000000"`
		}
		becomes(t, "{}", ld, `{service_name="unknown_service"} `+want)
	}
	f(attrs, nil, nil, "resource")
	f(nil, attrs, nil, "scope")
	f(nil, nil, attrs, "record")
	// What says the same.
	ld := many(nil, record{text: "INFO", attrs: kv{"severity_text", "INFO", "trace_id", "01000000000000000000000000000000", "span.id", "0200000000000000"}, also: func(lr plog.LogRecord) {
		lr.SetTraceID(pcommon.TraceID{1})
		lr.SetSpanID(pcommon.SpanID{2})
	}})
	becomes(t, "{}", ld, `{service_name="unknown_service"} severity_text="INFO" span_id="0200000000000000" trace_id="01000000000000000000000000000000"`)
	// Without a time of its own a record's observed time is its time, and no metadata.
	becomes(t, "{}", many(nil, record{attrs: kv{"observed_timestamp", "x"}, also: func(lr plog.LogRecord) { lr.SetObservedTimestamp(5) }}),
		`{service_name="unknown_service"} observed_timestamp="x"`)
	// A record without these has the names for itself.
	becomes(t, "{}", one(nil, nil, kv{"trace_id", "x", "severity_text", "y", "scope_name", "z"}), `{service_name="unknown_service"} scope_name="z" severity_text="y" trace_id="x"`)
}

// Records with the keys of the one before are looked at only once; not when their values or what Loki adds make a difference.
func TestRecordsThatAreAlike(t *testing.T) {
	f := func(want []string, records ...record) {
		t.Helper()
		for i := range want {
			want[i] = `{service_name="s"} A="h" ` + want[i]
		}
		becomes(t, ofNamespace, many(kv{"service.name", "s", "A", "h"}, records...), want...)
	}
	traced := func(lr plog.LogRecord) { lr.SetTraceID(pcommon.TraceID{1}) }
	f([]string{`a="1" b="2"`, `a="3" b="4"`, `a="5 " b="6"`, `a="7" b="8"`},
		record{attrs: kv{"a", 1, "b", 2}}, record{attrs: kv{"a", 3, "b", 4}}, record{attrs: kv{"a", "5\xff", "b", 6}}, record{attrs: kv{"a", 7, "b", 8}})
	f([]string{`a="1" b="2"`, `a="3" record_A="4"`, `a="5" b="6"`, `a="7"`, `a="8" b="9" c="0"`},
		record{attrs: kv{"a", 1, "b", 2}}, record{attrs: kv{"a", 3, "A", 4}}, record{attrs: kv{"a", 5, "b", 6}}, record{attrs: kv{"a", 7}}, record{attrs: kv{"a", 8, "b", 9, "c", 0}})
	f([]string{`a="x"`, `a="{\"b.c\":1,\"b_c\":2}"`, `a="y"`}, record{attrs: kv{"a", "x"}}, record{attrs: kv{"a", kv{"b.c", 1, "b_c", 2}}}, record{attrs: kv{"a", "y"}})
	f([]string{`a_b="x"`, `a_b="x" a_c="1"`, `a="y"`}, record{attrs: kv{"a", kv{"b", "x"}}}, record{attrs: kv{"a", kv{"b", "x", "c", 1}}}, record{attrs: kv{"a", "y"}})
	f([]string{`trace_id="x"`, `record_trace_id="y" trace_id="01000000000000000000000000000000"`, `trace_id="z"`},
		record{attrs: kv{"trace_id", "x"}}, record{attrs: kv{"trace_id", "y"}, also: traced}, record{attrs: kv{"trace_id", "z"}})
	f([]string{`a="1"`, `a="2" severity_text="INFO" trace_id="01000000000000000000000000000000"`}, record{attrs: kv{"a", 1}}, record{attrs: kv{"a", 2}, text: "INFO", also: traced})
	r := newRig(t, ofNamespace)
	out := r.through(many(nil, record{attrs: kv{"a", "x"}}, record{attrs: kv{"a", "5\xff"}}))
	mended, _ := out.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1).Attributes().Get("a")
	assert.Equal(t, "5 ", mended.Str(), "Loki would mend this by itself; others would not")
	// What the scope before had does not count.
	becomes(t, "{}", logs(resource{scopes: []scope{
		{attrs: kv{"a", 1}, records: []record{{attrs: kv{"a", 1}}, {attrs: kv{"b", 1}}}}, {attrs: kv{"a", 2}, records: []record{{attrs: kv{"a", 1}}}}, {attrs: kv{"b", 2}, records: []record{{attrs: kv{"b", 1}}}},
	}}), `{service_name="unknown_service"} a="1"`, `{service_name="unknown_service"} a="1" b="1"`, `{service_name="unknown_service"} a="2" record_a="1"`,
		`{service_name="unknown_service"} b="2" record_b="1"`)
}
