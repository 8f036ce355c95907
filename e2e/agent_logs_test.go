//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/e2e/harness"
	"github.com/sluice-otel/sluice/e2e/proc"
	"github.com/sluice-otel/sluice/e2e/tiers"
)

const (
	cartDir   = "shop_cart-6d4cf56db6-x2x8q_0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01/cart"
	ordersDir = "shop_orders-0_5f0d0f1c-2b60-4d6e-8c58-1de2d4a7c102/orders"
	dockerID  = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa00112233445566778899"
	lineTime  = "2026-03-01T10:20:30.123456789Z"
)

// nodeLogs is a node's /var/log/pods and /var/lib/docker/containers.
type nodeLogs struct{ pods, docker string }

func newNodeLogs(t *testing.T) nodeLogs {
	dir := t.TempDir()
	return nodeLogs{pods: filepath.Join(dir, "pods"), docker: filepath.Join(dir, "docker")}
}

func (n nodeLogs) env() map[string]string {
	return map[string]string{"POD_LOGS_DIR": n.pods, "DOCKER_LOGS_DIR": n.docker}
}

// write appends lines to a file under the pods' directory.
func (n nodeLogs) write(t *testing.T, name string, lines ...string) {
	appendLines(t, filepath.Join(n.pods, name), lines)
}

// writeDocker appends what an application printed to a Docker container's file, the way the json-file driver stores it. The
// suffix is that of a rotated file.
func (n nodeLogs) writeDocker(t *testing.T, id, suffix string, prints ...string) {
	lines := make([]string, 0, len(prints))
	for _, text := range prints {
		line, err := json.Marshal(map[string]string{"log": text, "stream": "stdout", "time": lineTime})
		require.NoError(t, err)
		lines = append(lines, string(line))
	}
	appendLines(t, filepath.Join(n.docker, id, id+"-json.log"+suffix), lines)
}

func appendLines(t *testing.T, path string, lines []string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// containerd is a complete line as containerd writes it.
func containerd(text string) string { return lineTime + " stdout F " + text }

// startAgent starts the agent over a node's logs, delivering to a sink in the gateway's place.
func startAgent(t *testing.T, n nodeLogs) (*harness.Collector, *harness.Sink) {
	t.Helper()
	sink := harness.StartSink(t, harness.SinkOptions{})
	agent := tiers.Start(t, tiers.StartKubernetes(t), tiers.Tier{
		Profile: "agent", Backends: []string{"backends/to-gateway"}, Env: tiers.With(tiers.ToSink(t, sink), n.env()),
	})
	return agent, sink
}

// byBody waits for n records and indexes them; two of the same body fail the test.
func byBody(t *testing.T, sink *harness.Sink, n int, need ...*proc.Process) map[string]harness.LogRecord {
	t.Helper()
	records := sink.WaitLogs(t, 30*time.Second, harness.AtLeast[harness.LogRecord](n), need...)
	index := map[string]harness.LogRecord{}
	for _, r := range records {
		assert.NotContains(t, index, r.Body, "delivered twice")
		index[r.Body] = r
	}
	assert.Len(t, index, n)
	return index
}

const dockerConfig = `{"ID":"` + dockerID + `","Name":"/shop-cart-1","Config":{"Image":"registry.test:5000/shop/cart:1.2","Env":["A=b"],
	"Labels":{"io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.name":"cart-0","io.kubernetes.container.name":"cart"}}}`

// longLine is as long as what containerd and Docker write as one piece.
var longLine = strings.Repeat("0123456789abcdef", 1024)

func threeRuntimes(t *testing.T) nodeLogs {
	n := newNodeLogs(t)
	n.write(t, cartDir+"/0.log",
		containerd("containerd: plain"),
		lineTime+" stdout P "+longLine,
		lineTime+" stderr F containerd: on stderr", // each stream's record is its own
		lineTime+" stdout P "+longLine,
		lineTime+" stdout F |end of a long line ",
		containerd("  blanks and Ünïcode 漢字 🚀 stay  "),
	)
	n.write(t, cartDir+"/2.log", containerd("after two restarts"))
	n.write(t, ordersDir+"/0.log", lineTime+" stdout F and ended after it", "2026-03-01T11:20:30.123456789+01:00 stdout F CRI-O: with a zone", "not a container line at all")
	n.write(t, ordersDir+"/0.log.20260301-101500", containerd("rotated while nobody was looking"), lineTime+" stdout P begun before the rotation ")
	n.write(t, ordersDir+"/0.log.20260301-100000.gz", "compressed, not text")
	n.write(t, "kube-system_etcd-node-1_f3b1d97a0c62e854b19d4a7e0f6c8325/etcd/0.log", containerd("of a static pod"))
	n.write(t, "sluice-agent_sluice-agent_11111111-2222-3333-4444-555555555555/otelcol/0.log", containerd("the agent's own line"))
	n.writeDocker(t, dockerID, ".1", "docker: rotated\n")
	n.writeDocker(t, dockerID, "", "docker: plain\n", "docker: <tag> & \"quotes\"\n", longLine, "|end of a long Docker line\n")
	require.NoError(t, os.WriteFile(filepath.Join(n.docker, dockerID, "config.v2.json"), []byte(dockerConfig), 0o600))
	return n
}

func TestAgentReadsThreeRuntimes(t *testing.T) {
	n := threeRuntimes(t)
	agent, sink := startAgent(t, n)
	got := byBody(t, sink, 14, agent.Proc)

	at := time.Date(2026, 3, 1, 10, 20, 30, 123456789, time.UTC)
	cart := map[string]any{
		"k8s.namespace.name": "shop", "k8s.pod.name": "cart-6d4cf56db6-x2x8q", "k8s.pod.uid": "0b6e1c5e-6a3c-4a55-9d0e-6f5b3f1f0a01",
		"k8s.container.name": "cart", "k8s.container.restart_count": int64(0), "k8s.node.name": "node-1", "k8s.cluster.name": "default",
	}
	docker := map[string]any{
		"container.id": dockerID, "container.name": "shop-cart-1", "container.runtime.name": "docker", "k8s.pod.name": "cart-0",
		"container.image.name": "registry.test:5000/shop/cart", "container.image.tags": []any{"1.2"},
	}
	f := func(body, stream string, resource map[string]any) {
		t.Helper()
		r, ok := got[body]
		if !assert.True(t, ok, "%.60q did not arrive", body) {
			return
		}
		assert.Equal(t, stream, r.Attrs["log.iostream"], "%.60q", body)
		assert.True(t, r.Time.Equal(at), "%.60q: %s", body, r.Time)
		assert.NotContains(t, r.Attrs, "log.file.record_offset", "%.60q: only containerlog needs it", body)
		for key, value := range resource {
			assert.Equal(t, value, r.Resource[key], "%.60q: %s", body, key)
		}
	}
	f("containerd: plain", "stdout", cart)
	f("containerd: on stderr", "stderr", cart)
	f(longLine+longLine+"|end of a long line ", "stdout", cart)
	f("  blanks and Ünïcode 漢字 🚀 stay  ", "stdout", cart)
	f("after two restarts", "stdout", map[string]any{"k8s.container.restart_count": int64(2)})
	f("CRI-O: with a zone", "stdout", map[string]any{"k8s.pod.name": "orders-0", "k8s.container.name": "orders"})
	f("rotated while nobody was looking", "stdout", map[string]any{"k8s.pod.name": "orders-0"})
	f("begun before the rotation and ended after it", "stdout", map[string]any{"k8s.pod.name": "orders-0"})
	f("of a static pod", "stdout", map[string]any{"k8s.pod.name": "etcd-node-1", "containerlog.static_pod": true, "k8s.pod.uid": nil})
	f("docker: rotated", "stdout", docker)
	f("docker: plain", "stdout", docker)
	f("docker: <tag> & \"quotes\"", "stdout", docker)
	f(longLine+"|end of a long Docker line", "stdout", docker)

	assertGoesOn(t, n, agent, sink)
}

// assertGoesOn restarts the agent in the middle of a line, and looks for the line that was in no runtime's format.
func assertGoesOn(t *testing.T, n nodeLogs, agent *harness.Collector, sink *harness.Sink) {
	t.Helper()
	n.write(t, cartDir+"/0.log", lineTime+" stdout P begun before the restart, ")
	proc.Eventually(t, 10*time.Second, func() error {
		if agent.Metric(t, "otelcol_processor_containerlog_held_records", nil) == 0 {
			return errors.New("the beginning has not been read")
		}
		return nil
	}, agent.Proc)
	agent.Restart(t)
	n.write(t, cartDir+"/0.log", containerd("ended after it"), containerd("written after the restart"))
	got := byBody(t, sink, 16, agent.Proc)
	assert.Contains(t, got, "begun before the restart, ended after it")
	assert.Contains(t, got, "written after the restart")
	assert.Equal(t, "unknown_format", got["not a container line at all"].Attrs["containerlog.parse_error"], "a line that cannot be read is kept as it is")
}

func TestAgentReadsBodies(t *testing.T) {
	n := newNodeLogs(t)
	falco := func(priority string) string {
		return fmt.Sprintf(`{"hostname":"node-1","output":"%[1]s shell in a container","output_fields":{"container.id":"abc"},"priority":"%[1]s","rule":"Terminal shell in container","source":"syscall","tags":["shell","T1059"],"time":"2026-03-01T10:20:30.1Z"}`, priority)
	}
	lines := map[string]struct {
		severity int
		attrs    map[string]any
	}{
		`{"level":"warn","msg":"slow","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","http.route":"/cart","order":{"id":7}}`: {13, map[string]any{"http.route": "/cart", "order": nil}},
		`{"severity":"ERROR","message":"failed","big":12345678901234567890}`:                                                                             {17, nil},
		`{"level":"info","log.iostream":"not the collector's"}`:                                                                                          {9, map[string]any{"log.iostream": "stdout"}},
		`{"level":"info", broken`:                       {0, nil},
		`level=error msg="logfmt"`:                      {17, nil},
		`2026-03-01 10:20:30,123 WARN [main] x`:         {13, nil},
		`[ERROR] in brackets`:                           {17, nil},
		`I0301 10:20:30.123456       1 main.go:1] klog`: {9, nil},
		`no level, says DEBUG in passing`:               {0, nil},
		falco("Emergency"):                              {21, map[string]any{"falco.rule": "Terminal shell in container", "falco.source": "syscall", "falco.tags": []any{"shell", "T1059"}}},
		falco("Critical"):                               {18, nil},
		falco("Warning"):                                {13, nil},
		falco("Notice"):                                 {10, map[string]any{"falco.priority": "Notice"}},
		falco("Informational"):                          {9, nil},
	}
	for line := range lines {
		n.write(t, cartDir+"/0.log", containerd(line))
	}
	agent, sink := startAgent(t, n)
	got := byBody(t, sink, len(lines), agent.Proc)
	for line, want := range lines {
		r, ok := got[line]
		if !assert.True(t, ok, "the body must stay as it was written: %s", line) {
			continue
		}
		assert.Equal(t, want.severity, r.SeverityNumber, line)
		for key, value := range want.attrs {
			assert.Equal(t, value, r.Attrs[key], "%s: %s", line, key)
		}
		assert.NotContains(t, r.Attrs, "redaction.redacted.keys", line)
	}
	for body, r := range got {
		if strings.Contains(body, "trace_id") {
			assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", r.TraceID)
			assert.Equal(t, "b7ad6b7169203331", r.SpanID)
		}
	}
}

func TestAgentDropsExactlyDebugAndProbes(t *testing.T) {
	access := func(method, path string, status int) string {
		return fmt.Sprintf(`10.1.2.3 - - [01/Mar/2026:10:20:30 +0000] "%s %s HTTP/1.1" %d 2 "-" "kube-probe/1.35"`, method, path, status)
	}
	debug := []string{`{"level":"debug","msg":"d"}`, `{"level":"trace","msg":"t"}`, `{"severity":"DBG","msg":"d"}`, `level=debug msg=d`, `2026-03-01T10:20:30Z DEBUG d`, falcoDebug}
	probes := []string{
		access("GET", "/healthz", 200), access("GET", "/health", 204), access("HEAD", "/readyz?verbose", 200), access("GET", "/livez/ping", 200), access("GET", "/health?full=1", 200),
		access("GET", "/ready", 200), access("GET", "/ping", 200),
		`{"level":"info","url.path":"/healthz","http.response.status_code":200}`,
	}
	kept := []string{
		access("GET", "/healthz", 500), access("GET", "/readyz", 503), access("POST", "/healthz", 200), access("GET", "/healthcare", 200),
		access("GET", "/api/healthz", 200), access("GET", "/cart?next=/healthz", 200), `{"level":"info","url.path":"/healthz","http.response.status_code":503}`,
		`{"level":"info","url.path":"/healthz"}`,
		access("GET", "/health/patients/42", 200), access("GET", "/live/stream/7", 200), access("POST", "/ready/orders", 201),
		"2026-03-01 10:20:30 ERROR cannot parse flag level=debug", access("GET", "/logs?level=debug", 500), "Exception: severity=debug was configured",
		`{"level":"INFO","msg":"i"}`, `{"level":"debugging","msg":"no level of ours"}`, `plain`, `the DEBUG flag is set`, `{"level":5,"msg":"a number"}`, ``,
	}
	n := newNodeLogs(t)
	for _, line := range slices.Concat(debug, probes, kept) {
		n.write(t, cartDir+"/0.log", containerd(line))
	}
	agent, sink := startAgent(t, n)
	got := byBody(t, sink, len(kept), agent.Proc)
	for _, line := range kept {
		assert.Contains(t, got, line)
	}
	proc.Eventually(t, 10*time.Second, func() error {
		dropped := agent.Metric(t, "otelcol_processor_filter_logs_filtered", nil)
		if int(dropped) != len(debug)+len(probes) {
			return fmt.Errorf("the agent says it dropped %v records, it was given %d to drop", dropped, len(debug)+len(probes))
		}
		return nil
	}, agent.Proc)
}

const falcoDebug = `{"output":"d","output_fields":{},"priority":"Debug","rule":"r","source":"syscall"}`
