package containerlogprocessor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
)

// However lines are cut into batches, the records are the same.
func TestJoin(t *testing.T) {
	long := strings.Repeat("x", 600)
	f := func(name string, lines []string, want ...string) {
		t.Helper()
		for _, size := range []int{1, 2, 3, len(lines)} {
			next := &sink{}
			p := start(t, next, options{cfg: func(c *Config) { c.MaxRecordSize = 1024 }})
			file := logFile{path: podPath}
			for rest := lines; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				send(t, p, file.batch(rest[:min(size, len(rest))]...))
			}
			assert.Equal(t, want, next.bodies(), "%s, batches of %d", name, size)
			p.stopOnce(t)
		}
	}
	f("complete", []string{cri("out", "F", "a"), cri("err", "F", "b")}, "a", "b")
	f("P P F", []string{cri("out", "P", "a"), cri("out", "P", "b"), cri("out", "F", "c")}, "abc")
	f("streams interleave", []string{cri("out", "P", "a"), cri("err", "P", "1"), cri("err", "F", "2"), cri("out", "F", "b")}, "12", "ab")
	f("a complete line of the other stream", []string{cri("out", "P", "a"), cri("err", "F", "e"), cri("out", "F", "b")}, "e", "ab")
	f("empty pieces", []string{cri("out", "P", ""), stamp + " stdout F"}, "")
	f("tags are a list", []string{cri("out", "P:x:y", "a"), cri("out", "F:z", "b")}, "ab")
	f("a character cut in two", []string{cri("out", "P", "a\xe6"), cri("out", "P", "\xbc"), cri("out", "F", "\xa2b")}, "a漢b")
	f("blanks at the cuts", []string{cri("out", "P", " a\t "), cri("out", "F", " b ")}, " a\t  b ")
	f("bytes that are not UTF-8", []string{cri("out", "P", "a\xff"), cri("out", "F", "\xfeb")}, `a\xff\xfeb`)
	f("malformed lines flush nothing", []string{cri("out", "P", "a"), "no header", cri("out", "F", "b")}, "no header|unknown_format", "ab")
	f("an application's JSON and CRI", []string{cri("out", "F", `{"log":"x"}`), cri("out", "F", cri("err", "P", "y"))}, `{"log":"x"}`, cri("err", "P", "y"))
	f("JSON in a CRI file", []string{`{"msg":"lost its header"}`, cri("out", "F", "a")}, `{"msg":"lost its header"}|missing_time`, "a")
	f("longer than max_record_size", []string{cri("out", "P", long), cri("out", "P", long), cri("out", "P", long), cri("out", "F", "end"), cri("out", "F", "next")},
		long+long+"|size", long+"end|last", "next")
	f("a character at the cut", []string{cri("out", "P", strings.Repeat("x", 1023)+"\xe6"), cri("out", "P", "\xbc"), cri("out", "F", "\xa2b")},
		strings.Repeat("x", 1023)+"|size", "漢b|last")
	f("Docker pieces", []string{
		`{"log":"a","stream":"stdout","time":"` + stamp + `"}`,
		`{"log":"1\n","stream":"stderr","time":"` + stamp + `"}`,
		`{"log":"\u003cb\u003e\n","stream":"stdout","time":"` + stamp + `"}`,
	}, "1", "a<b>")
}

func TestRecord(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	send(t, p, file.batch(
		"2026-03-01T10:20:30.1Z stdout P first",
		"2026-03-01T12:20:31.000000001+02:00 stdout F , second",
		"2026-03-01T10:20:32Z stderr F alone",
		"broken",
	))
	got := next.all()
	second := int64(1772360430_000000000)
	resource := map[string]any{
		"k8s.namespace.name": "shop", "k8s.pod.name": "cart-0", "k8s.pod.uid": "0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01",
		"k8s.container.name": "cart", "k8s.container.restart_count": int64(0),
	}
	assert.Equal(t, []record{
		{Body: "first, second", Time: second + 100_000_000, Stream: "stdout", Path: podPath, Resource: resource, Attrs: map[string]any{}},
		{Body: "alone", Time: second + 2_000_000_000, Stream: "stderr", Path: podPath, Resource: resource, Attrs: map[string]any{}},
		{Body: "broken", Time: second + 2_000_000_000, Error: "unknown_format", Path: podPath, Resource: resource, Attrs: map[string]any{}},
	}, got)
}

func TestDockerRecord(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	id := strings.Repeat("3f", 32)
	file := logFile{path: "/var/lib/docker/containers/" + id + "/" + id + "-json.log"}
	send(t, p, file.batch(
		"\x00\x00"+`{"log":"a\n","stream":"stderr","attrs":{"tag":"web"},"time":"`+stamp+`"}`,
		`{"log":"b\n","stream":"stdout"}`,
	))
	got := next.all()
	assert.Equal(t, []string{"a", `{"log":"b\n","stream":"stdout"}|missing_time`}, bodiesOf(got))
	assert.Equal(t, map[string]any{"container.id": id, "container.runtime.name": "docker"}, got[0].Resource)
	assert.Equal(t, map[string]any{"docker.attrs.tag": "web"}, got[0].Attrs)
	assert.Equal(t, "stderr", got[0].Stream)
}

// A static pod's directory has a hash in place of the UID.
func TestStaticPod(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: "/var/log/pods/kube-system_etcd-node-1_0123456789abcdef0123456789abcdef/etcd/3.log"}
	send(t, p, file.batch(cri("out", "F", "a")))
	assert.Equal(t, map[string]any{
		"k8s.namespace.name": "kube-system", "k8s.pod.name": "etcd-node-1", "k8s.container.name": "etcd",
		"k8s.container.restart_count": int64(3), "containerlog.static_pod": true,
	}, next.all()[0].Resource)
}

// Without the synchronous emitter a batch has lines of several files, in any mixture.
func TestSeveralFilesInABatch(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	a, b := logFile{path: podPath}, logFile{path: podDir + "1.log"}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("kept", "yes")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	a.append(records, cri("out", "P", "a1"))
	b.append(records, cri("out", "F", "b1"))
	a.append(records, cri("out", "F", "a2"))
	records.AppendEmpty().Body().SetStr("of no file")
	b.append(records, cri("out", "P", "b2"))
	send(t, p, ld)
	send(t, p, b.batch(cri("out", "F", "b3")))
	got := next.all()
	assert.ElementsMatch(t, []string{"a1a2", "b1", "of no file", "b2b3"}, bodiesOf(got))
	for _, r := range got[:3] {
		assert.Equal(t, "yes", r.Resource["kept"], r.Body)
	}
	for _, r := range got {
		switch r.Body[0] {
		case 'a':
			assert.Equal(t, int64(0), r.Resource["k8s.container.restart_count"])
		case 'b':
			assert.Equal(t, int64(1), r.Resource["k8s.container.restart_count"])
		default:
			assert.Equal(t, map[string]any{"kept": "yes"}, r.Resource)
		}
	}
}

// Records that are not raw lines pass as they are: applications', and those this processor has made.
func TestOtherRecordsPass(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("an application's")
	made := rl.ScopeLogs().AppendEmpty()
	made.Scope().SetName(metadata.ScopeName)
	lr := made.LogRecords().AppendEmpty()
	lr.Body().SetStr(cri("out", "F", "looks raw"))
	lr.Attributes().PutStr(filePath, podPath)
	structured := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	structured.Body().SetEmptyMap().PutStr("a", "b")
	structured.Attributes().PutStr(filePath, podPath)
	want := plog.NewLogs()
	ld.CopyTo(want)
	send(t, p, ld)
	assert.Equal(t, recordsOf(want), next.all())
	assert.Zero(t, p.files.len())
}

func TestOrderIsKept(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: podPath}
	var lines, want []string
	for i := range 100 {
		text := strings.Repeat("n", i)
		want = append(want, text)
		if i%3 == 0 {
			lines = append(lines, cri("out", "P", text[:i/2]), cri("out", "F", text[i/2:]))
		} else {
			lines = append(lines, cri([]string{"out", "err"}[i%2], "F", text))
		}
	}
	send(t, p, file.batch(lines...))
	assert.Equal(t, want, next.bodies())
}

// A path of another layout: the lines are read, nothing is made up about the container.
func TestUnknownPath(t *testing.T) {
	next := &sink{}
	p := start(t, next, options{})
	file := logFile{path: "/srv/logs/app.log"}
	send(t, p, file.batch(cri("out", "P", "a"), cri("out", "F", "b")))
	assert.Equal(t, []string{"ab"}, next.bodies())
	assert.Empty(t, next.all()[0].Resource)
}
