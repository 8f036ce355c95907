//go:build e2e

package harness

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/proc"
)

const config = "e2e/harness/testdata/collector.yaml"

func startWithSink(t *testing.T, o Options) (*Collector, *Sink) {
	t.Helper()
	sink := StartSink(t, SinkOptions{})
	o.Configs, o.Env = []string{config}, map[string]string{"BACKEND_ENDPOINT": sink.GRPC}
	return StartCollector(t, o), sink
}

func TestCollectorForwardsEverySender(t *testing.T) {
	c, sink := startWithSink(t, Options{})
	span := func(name string) Span {
		return Span{
			TraceID: TraceID(7), SpanID: SpanID(uint64(len(name))), Parent: SpanID(99), Service: "shop", Name: name,
			Kind: ptrace.SpanKindClient, Start: time.UnixMicro(1_700_000_000_000_000), Duration: 1500 * time.Microsecond, Error: true,
			Attrs: map[string]any{"s": "x", "n": 3, "f": 0.5, "b": true}, ResourceAttrs: map[string]any{"host.name": "h"},
		}
	}
	require.NoError(t, SendTraces(t, c.OTLPGRPC, Traces(span("otlp"))))
	require.NoError(t, NewClient(t, c.OTLPHTTP, ClientOptions{Protocol: HTTPJSON, Gzip: true}).SendTraces(Traces(span("http-json"))))
	require.NoError(t, SendJaegerGRPC(t, c.JaegerGRPC, span("jaeger")))
	require.NoError(t, SendJaegerThriftHTTP(t, c.JaegerHTTP, span("jaeger-thrift")))
	require.NoError(t, SendZipkinJSON(t, c.Zipkin, span("zipkin")))
	provider := NewSDKTracer(t, c.OTLPGRPC, "shop")
	_, s := provider.Tracer("app").Start(t.Context(), "sdk")
	s.End()
	require.NoError(t, provider.ForceFlush(t.Context()))
	require.NoError(t, SendLogs(t, c.OTLPGRPC, Logs(Log{Body: "line"})))
	require.NoError(t, SendMetrics(t, c.OTLPGRPC, Metrics(Sample{Name: "m", Value: 1})))

	sink.WaitLogs(t, 10*time.Second, AtLeast[LogRecord](1), c.Proc)
	sink.WaitPoints(t, 10*time.Second, AtLeast[Point](1), c.Proc)
	spans := sink.WaitSpans(t, 10*time.Second, AtLeast[SpanRecord](6), c.Proc)
	byName := map[string]SpanRecord{}
	for _, s := range spans {
		byName[s.Name] = s
		assert.Equal(t, "shop", s.Resource["service.name"], s.Name)
	}
	for _, name := range []string{"otlp", "http-json", "jaeger", "jaeger-thrift", "zipkin"} {
		got := byName[name]
		assert.Equal(t, TraceID(7).String(), got.TraceID, name)
		assert.Equal(t, SpanID(uint64(len(name))).String(), got.SpanID, name)
		assert.Equal(t, SpanID(99).String(), got.Parent, name)
		assert.Equal(t, "Client", got.Kind, name)
		assert.Equal(t, "Error", got.Status, name)
		assert.Equal(t, int64(1_700_000_000_000_000), got.Start.UnixMicro(), name)
		assert.Equal(t, 1500*time.Microsecond, got.End.Sub(got.Start), name)
		assert.Equal(t, "x 3 0.5 true", fmt.Sprint(got.Attrs["s"], " ", got.Attrs["n"], " ", got.Attrs["f"], " ", got.Attrs["b"]), name)
	}
	assert.Equal(t, "h", byName["jaeger"].Resource["host.name"])
	assert.Equal(t, "h", byName["jaeger-thrift"].Resource["host.name"])

	assert.InDelta(t, 6, c.Metric(t, "otelcol_receiver_accepted_spans", nil), 0)
	assert.InDelta(t, 1, c.Metric(t, "otelcol_receiver_accepted_spans", map[string]string{"receiver": "zipkin"}), 0)
	for _, url := range []string{c.ZPages + "/debug/servicez", c.PProf + "/debug/pprof/"} {
		resp, err := http.Get("http://" + url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusOK, resp.StatusCode, url)
	}
	c.Stop(t)
}

func TestKilledCollectorRestartsOnItsPortsAndState(t *testing.T) {
	c, sink := startWithSink(t, Options{})
	sink.Refuse()
	require.NoError(t, SendLogs(t, c.OTLPGRPC, Logs(Log{Body: "kept"})))
	before := *c
	c.Kill()
	sink.Heal(t)
	c.Restart(t)
	sink.WaitLogs(t, 20*time.Second, AtLeast[LogRecord](1), c.Proc)
	assert.Equal(t, before.OTLPGRPC, c.OTLPGRPC)
	assert.Equal(t, before.StateDir, c.StateDir)
	assert.NotEqual(t, before.Proc.Pid(), c.Proc.Pid())

	c.Restart(t) // a running one is stopped, and must end well
	require.NoError(t, SendLogs(t, c.OTLPGRPC, Logs(Log{Body: "after"})))
	sink.WaitLogs(t, 20*time.Second, AtLeast[LogRecord](2), c.Proc)
}

func TestStateDirIsThatOfTheTest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	c, _ := startWithSink(t, Options{StateDir: dir, Name: "with/state"})
	assert.Equal(t, dir, c.StateDir)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.NotEmpty(t, files)
}

func TestOverrideEnvAndGates(t *testing.T) {
	sink := StartSink(t, SinkOptions{})
	port := proc.FreePorts(t, 1)[0]
	endpoint := fmt.Sprintf("127.0.0.1:%d", port)
	c := StartCollector(t, Options{
		Configs:  []string{config},
		Env:      map[string]string{"BACKEND_ENDPOINT": sink.GRPC, "OTLP_GRPC_ENDPOINT": endpoint},
		Override: "service: {telemetry: {resource: {overridden: yes-it-is}, logs: {encoding: json}}}",
		Gates:    []string{"-stanza.synchronousLogEmitter"},
	})
	assert.Equal(t, endpoint, c.OTLPGRPC)
	require.NoError(t, SendLogs(t, endpoint, Logs(Log{Body: "x"})))
	assert.Contains(t, c.Proc.Output(), "yes-it-is")
	c.Stop(t)
	assert.Empty(t, crashLine.FindAllString(c.Proc.Output(), -1))
}

func TestCollectorThatDoesNotStartFailsAtOnce(t *testing.T) {
	start := time.Now()
	f := record(t, func(tb testing.TB) {
		StartCollector(tb, Options{Configs: []string{config}, Override: "receivers: {nonsense: {}}"})
	})
	assert.Contains(t, f.said, "exited (exit status 1)")
	assert.Contains(t, f.logged, "nonsense", "its output is shown")
	assert.Less(t, time.Since(start), healthTimeout/2)

	c := StartCollector(t, Options{Configs: []string{config}, Override: "receivers: {nonsense: {}}", NoWait: true})
	require.Error(t, c.Proc.Wait(20*time.Second))
}

func TestCrashFailsTheTest(t *testing.T) {
	f := record(t, func(tb testing.TB) {
		c := startFor(t, tb)
		c.Proc.Signal(syscall.SIGABRT) // Go prints its stacks and exits with 2, as for a panic
		require.Error(t, c.Proc.Wait(20*time.Second))
	})
	assert.Contains(t, f.said, "otelcol crashed")
}

func TestBadStopFailsTheTest(t *testing.T) {
	f := record(t, func(tb testing.TB) {
		c := startFor(t, tb)
		c.Kill()
		c.Stop(tb)
	})
	assert.Contains(t, f.said, "stop: signal: killed")
}

// startFor starts a collector that belongs to the test that is expected to fail.
func startFor(t *testing.T, tb testing.TB) *Collector {
	t.Helper()
	return StartCollector(tb, Options{Configs: []string{config}, Env: map[string]string{"BACKEND_ENDPOINT": "127.0.0.1:1"}})
}

func TestValidate(t *testing.T) {
	env := map[string]string{"BACKEND_ENDPOINT": "127.0.0.1:1", "STATE_DIR": t.TempDir(), "METRICS_PORT": "8888"}
	for _, name := range []string{"HEALTH", "ZPAGES", "PPROF", "OTLP_GRPC", "OTLP_HTTP", "JAEGER_GRPC", "JAEGER_HTTP", "ZIPKIN"} {
		env[name+"_ENDPOINT"] = "127.0.0.1:1"
	}
	out, err := Validate(t, env, config)
	require.NoError(t, err, out)
	out, err = Validate(t, env, config, "yaml:receivers::nonsense: {}")
	require.Error(t, err)
	assert.Contains(t, out, "nonsense")
}
