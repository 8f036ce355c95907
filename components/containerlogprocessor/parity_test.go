package containerlogprocessor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/entry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	at       = "2026-03-01T10:20:30.123456789Z"
	podLog   = "/var/log/pods/shop_cart-0_0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01/cart/2.log"
	dockerID = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa00112233445566778899"
)

func rawEntries(path string, offsets bool, lines []string) []*entry.Entry {
	entries := make([]*entry.Entry, 0, len(lines))
	offset := 0
	for _, line := range lines {
		e := entry.New()
		e.Body = line
		e.Attributes = map[string]any{"log.file.path": path}
		if offsets {
			e.Attributes["log.file.record_offset"] = int64(offset)
			offset += len(line) + 1
		}
		entries = append(entries, e)
	}
	return entries
}

// operatorMakes and processorMakes are what becomes of a file's lines: the records, and for the operator whether it reported an error.
func operatorMakes(t *testing.T, show func(plog.ResourceLogs, plog.LogRecord) string, path string, lines []string) []string {
	t.Helper()
	var mu sync.Mutex
	var got []string
	op, stop := startOperator(t, func(ld plog.Logs) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, each(ld, show)...)
	})
	err := op.ProcessBatch(t.Context(), rawEntries(path, false, lines))
	stop()
	if err != nil {
		got = append([]string{"ERROR"}, got...)
	}
	return got
}

func processorMakes(t *testing.T, show func(plog.ResourceLogs, plog.LogRecord) string, path string, lines []string) []string {
	t.Helper()
	var got []string
	p, stop := startProcessor(t, func(ld plog.Logs) { got = append(got, each(ld, show)...) })
	require.NoError(t, p.ConsumeLogs(t.Context(), adapter.ConvertEntries(rawEntries(path, true, lines))))
	stop()
	return got
}

func each(ld plog.Logs, show func(plog.ResourceLogs, plog.LogRecord) string) (got []string) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				got = append(got, show(rl, lr))
			}
		}
	}
	return got
}

// everything is all that must agree: without the operator's logtag, with its restart count as a number.
func everything(rl plog.ResourceLogs, lr plog.LogRecord) string {
	attrs := lr.Attributes().AsRaw()
	delete(attrs, "logtag")
	resource := rl.Resource().Attributes().AsRaw()
	if s, ok := resource["k8s.container.restart_count"].(string); ok {
		resource["k8s.container.restart_count"] = json.Number(s)
	}
	text, err := json.Marshal([]any{lr.Body().AsString(), int64(lr.Timestamp()), attrs, resource})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Where the operator is right the records are equal.
func TestParity(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1024)
	f := func(name string, lines ...string) {
		t.Helper()
		want := operatorMakes(t, everything, podLog, lines)
		require.NotContains(t, want, "ERROR", name)
		assert.Equal(t, want, processorMakes(t, everything, podLog, lines), name)
		rotated := podLog + ".20260301-101500"
		assert.Equal(t, operatorMakes(t, everything, rotated, lines), processorMakes(t, everything, rotated, lines), name)
	}
	f("plain", at+" stdout F a", at+" stderr F b")
	f("empty", at+" stdout F ", at+" stdout F")
	f("blanks", at+" stdout F  a \t", at+" stdout F \t")
	f("pieces", at+" stdout P a", at+" stdout P b", at+" stdout F c")
	f("16 KiB pieces", at+" stdout P "+long, at+" stdout P "+long, at+" stdout F end")
	f("a character cut in two", at+" stdout P a\xe6", at+" stdout F \xbc\xa2b")
	f("the application's CRI and JSON", at+" stdout F "+at+" stderr P x", at+` stdout F {"log":"x"}`)
	f("fractions", "2026-03-01T10:20:30Z stdout F a", "2026-03-01T10:20:30.1Z stdout F b", "2026-03-01T10:20:30.123456Z stdout F c")
	f("zones", "2026-03-01T10:20:30.123+02:00 stdout F a", "2026-03-01T10:20:30-03:30 stdout F b", "2026-03-01T10:20:30.000000001+14:00 stdout F c")
	f("leap day, year's end", "2024-02-29T23:59:59.999999999Z stdout F a", "2025-12-31T23:59:59Z stdout F b")
	f("Windows", `2026-03-01T10:20:30Z stdout F C:\a`)
}

// Where it is wrong, or as the operator alone cannot be right. The table in README.md is of these.
func TestWhereTheOperatorIsWrong(t *testing.T) {
	body := func(_ plog.ResourceLogs, lr plog.LogRecord) string { return lr.Body().AsString() }
	stream := func(_ plog.ResourceLogs, lr plog.LogRecord) string {
		s, _ := lr.Attributes().AsRaw()["log.iostream"].(string)
		return s + " " + lr.Body().AsString()
	}
	resource := func(keys ...string) func(plog.ResourceLogs, plog.LogRecord) string {
		return func(rl plog.ResourceLogs, _ plog.LogRecord) string {
			raw := rl.Resource().Attributes().AsRaw()
			var out []string
			for _, key := range keys {
				out = append(out, fmt.Sprintf("%s=%v(%T)", key, raw[key], raw[key]))
			}
			return strings.Join(out, " ")
		}
	}
	attrs := func(_ plog.ResourceLogs, lr plog.LogRecord) string {
		raw := lr.Attributes().AsRaw()
		delete(raw, "log.file.path")
		text, _ := json.Marshal(raw)
		return lr.Body().AsString() + " " + string(text)
	}
	f := func(name string, show func(plog.ResourceLogs, plog.LogRecord) string, path string, lines, theirs, ours []string) {
		t.Helper()
		assert.Equal(t, theirs, operatorMakes(t, show, path, lines), "%s: the operator; when it has become right, change README.md", name)
		assert.Equal(t, ours, processorMakes(t, show, path, lines), name)
	}
	f("stdout and stderr interleave", stream, podLog,
		[]string{at + " stdout P a", at + " stderr P 1", at + " stderr F 2", at + " stdout F b"},
		[]string{"stdout a12", "stdout b"}, []string{"stderr 12", "stdout ab"})
	f("tags are a list", body, podLog,
		[]string{at + " stdout F:x a", at + " stdout P:y b", at + " stdout F:z c"},
		[]string{"abc"}, []string{"a", "bc"})
	f("Docker's 16 KiB pieces", body, podLog,
		[]string{`{"log":"a","stream":"stdout","time":"` + at + `"}`, `{"log":"b\n","stream":"stdout","time":"` + at + `"}`},
		[]string{"a", "b\n"}, []string{"ab"})
	f("Docker leaves an empty text out", stream, podLog,
		[]string{`{"stream":"stdout","time":"` + at + `"}`},
		[]string{"ERROR", ` {"stream":"stdout","time":"` + at + `"}`}, []string{"stdout "})
	f("Docker's attrs", attrs, podLog,
		[]string{`{"log":"a","stream":"stdout","attrs":{"tag":"web"},"time":"` + at + `"}`, `{"log":"\n","stream":"stdout","time":"` + at + `"}`},
		[]string{`a {"attrs":{"tag":"web"},"log.iostream":"stdout"}`, "\n" + ` {"log.iostream":"stdout"}`},
		[]string{`a {"docker.attrs.tag":"web","log.iostream":"stdout"}`})
	f("NULs that a power loss left", stream, podLog,
		[]string{"\x00\x00" + at + " stdout F a"},
		[]string{"ERROR", " \x00\x00" + at + " stdout F a"}, []string{"stdout a"})
	f("a line that is none", resource("k8s.pod.name"), podLog,
		[]string{"no header"},
		[]string{"ERROR", "k8s.pod.name=<nil>(<nil>)"}, []string{"k8s.pod.name=cart-0(string)"})
	f("restart count", resource("k8s.container.restart_count"), podLog, []string{at + " stdout F a"},
		[]string{"k8s.container.restart_count=2(string)"}, []string{"k8s.container.restart_count=2(int64)"})
	f("a static pod's directory has a hash for a UID", resource("k8s.pod.name", "k8s.pod.uid"),
		"/var/log/pods/kube-system_etcd-node-1_0123456789abcdef0123456789abcdef/etcd/3.log", []string{at + " stdout F a"},
		[]string{"k8s.pod.name=etcd-node-1(string) k8s.pod.uid=0123456789abcdef0123456789abcdef(string)"},
		[]string{"k8s.pod.name=etcd-node-1(string) k8s.pod.uid=<nil>(<nil>)"})
	f("/var/log/containers", resource("k8s.pod.name", "container.id"), "/var/log/containers/cart-0_shop_cart-"+dockerID+".log", []string{at + " stdout F a"},
		[]string{"ERROR", "k8s.pod.name=<nil>(<nil>) container.id=<nil>(<nil>)"},
		[]string{"k8s.pod.name=cart-0(string) container.id=" + dockerID + "(string)"})
	f("Docker's directory", resource("container.id"), "/var/lib/docker/containers/"+dockerID+"/"+dockerID+"-json.log",
		[]string{`{"log":"a\n","stream":"stdout","time":"` + at + `"}`},
		[]string{"ERROR", "container.id=<nil>(<nil>)"}, []string{"container.id=" + dockerID + "(string)"})
}
