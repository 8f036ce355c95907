package traceshardsexporter

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/sluice-otel/sluice/components/durablestorageextension"
	"github.com/sluice-otel/sluice/components/internal/storageclient"
	"github.com/sluice-otel/sluice/components/traceshardsexporter/internal/metadata"
)

// replica is an OTLP server on 127.0.0.10n that knows whose spans it got.
type replica struct {
	ptraceotlp.UnimplementedGRPCServer
	mu    sync.Mutex
	spans map[int64]int
	shard map[int64]string // span: with what it came
}

func (r *replica) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, what := range seen(req.Traces()) {
		r.spans[n]++
		r.shard[n] = what
	}
	return ptraceotlp.NewExportResponse(), nil
}

func (r *replica) got() map[int64]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := map[int64]int{}
	for n, times := range r.spans {
		m[n] = times
	}
	return m
}

// port is one that is free on the addresses of all replicas, as far as one can know.
func port(t *testing.T) int {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.100:0")
	require.NoError(t, err)
	defer lis.Close()
	return lis.Addr().(*net.TCPAddr).Port
}

func startReplica(t *testing.T, number, port int) (*replica, *grpc.Server) {
	t.Helper()
	lis, err := net.Listen("tcp", fmt.Sprintf("127.0.0.10%d:%d", number, port))
	require.NoError(t, err)
	r := &replica{spans: map[int64]int{}, shard: map[int64]string{}}
	s := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(s, r)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(lis) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return r, s
}

func config(t testing.TB, yaml string) (*Config, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	return cfg, xconfmap.Validate(cfg)
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// withStorage is a host with a real durable_storage in dir.
func withStorage(t *testing.T, dir string) (h host, stop func()) {
	t.Helper()
	f := durablestorageextension.NewFactory()
	cfg := f.CreateDefaultConfig().(*durablestorageextension.Config)
	cfg.Directory = dir
	ext, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), host{}))
	return host{component.NewID(f.Type()): ext}, func() { require.NoError(t, ext.Shutdown(context.Background())) }
}

const onDisk = "sending_queue: {storage: durable_storage, sizer: bytes, queue_size: %d, num_consumers: 1}\n"

func start(t *testing.T, tel component.TelemetrySettings, h component.Host, shards, port int, more string) exporter.Traces {
	t.Helper()
	cfg, err := config(t, fmt.Sprintf("shards: %d\nendpoint: '127.0.0.10%%d:%d'\ntls: {insecure: true}\nretry_on_failure: {initial_interval: 50ms, max_interval: 100ms, max_elapsed_time: 0s}\n%s", shards, port, more))
	require.NoError(t, err)
	set := exportertest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	set.TelemetrySettings = tel
	e, err := NewFactory().CreateTraces(t.Context(), set, cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), h))
	return e
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, 10*time.Millisecond, what)
}

// A dead shard delays its own traces, and the others get theirs once.
func TestDeadShard(t *testing.T) {
	port := port(t)
	alive, _ := startReplica(t, 0, port)
	h, stop := withStorage(t, t.TempDir())
	defer stop()
	e := start(t, componenttest.NewNopTelemetrySettings(), h, 2, port, fmt.Sprintf(onDisk, 1<<20))
	td := batch(500, 100, 1)
	want := map[int]int{}
	for _, p := range []int{0, 1} {
		want[p] = split(clone(td), 2)[p].spans
	}
	require.NoError(t, e.ConsumeTraces(t.Context(), clone(td)))
	within(t, "the living shard's spans", func() bool { return len(alive.got()) == want[0] })
	dead, _ := startReplica(t, 1, port)
	within(t, "the spans of the one that is back", func() bool { return len(dead.got()) == want[1] })
	require.NoError(t, e.Shutdown(context.Background()))
	all := seen(td)
	for _, r := range []*replica{alive, dead} {
		for n, times := range r.got() {
			assert.Equal(t, 1, times)
			assert.Equal(t, all[n], r.shard[n])
			delete(all, n)
		}
	}
	assert.Empty(t, all, "missing")
}

// A queue that is full refuses a batch before the other shards take their parts of it, however often the sender repeats it.
func TestFullQueue(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	port := port(t)
	alive, _ := startReplica(t, 0, port)
	h, stop := withStorage(t, t.TempDir())
	defer stop()
	e := start(t, tel.NewTelemetrySettings(), h, 2, port, fmt.Sprintf(onDisk, 60_000))
	refused, accepted := 0, 0
	for range 40 {
		td := batch(200, 100, 1)
		if err := e.ConsumeTraces(t.Context(), td); err != nil {
			assert.False(t, consumererror.IsPermanent(err), "the sender would drop it")
			assert.ErrorContains(t, err, "shard 1: ")
			refused++
		} else {
			accepted++
		}
		time.Sleep(5 * time.Millisecond)
	}
	require.Greater(t, refused, 20)
	require.Positive(t, accepted)
	part := split(batch(200, 100, 1), 2)[0].spans
	within(t, "what was accepted", func() bool { return len(alive.got()) == part })
	time.Sleep(100 * time.Millisecond)
	most := 0
	for _, times := range alive.got() {
		most = max(most, times)
	}
	assert.LessOrEqual(t, most, accepted+1, "one batch may come again: the first that was refused")
	repeated, err := tel.GetMetric("otelcol_exporter_trace_shards_repeated_spans")
	require.NoError(t, err)
	assert.Equal(t, int64(part), sum(t, repeated), "counted")
	// Each queue has its own metrics.
	for _, shard := range []string{"0", "1"} {
		assert.Contains(t, attributesOf(t, tel, "otelcol_exporter_queue_size", "exporter"), "otlp_grpc/trace_shards-"+shard)
	}
	require.NoError(t, e.Shutdown(context.Background()))
}

// What waited for a shard that is no more goes to those that are, once, also when one of them refuses for a while.
func TestRemovedShard(t *testing.T) {
	port, dir := port(t), t.TempDir()
	h, stop := withStorage(t, dir)
	nop := componenttest.NewNopTelemetrySettings()
	e := start(t, nop, h, 4, port, fmt.Sprintf(onDisk, 1<<20))
	td := batch(500, 100, 2)
	require.NoError(t, e.ConsumeTraces(t.Context(), clone(td)))
	require.NoError(t, e.Shutdown(context.Background()))
	stop()

	var replicas []*replica
	for i := range 2 {
		r, _ := startReplica(t, i, port)
		replicas = append(replicas, r)
	}
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	h, stop = withStorage(t, dir)
	e = start(t, tel.NewTelemetrySettings(), h, 2, port, fmt.Sprintf(onDisk, 1<<20))
	within(t, "all spans", func() bool { return len(replicas[0].got())+len(replicas[1].got()) == 500 })
	rerouted, err := tel.GetMetric("otelcol_exporter_trace_shards_rerouted_spans")
	require.NoError(t, err)
	parts := split(clone(td), 4)
	assert.Equal(t, int64(parts[2].spans+parts[3].spans), sum(t, rerouted))
	for i, r := range replicas {
		for n, times := range r.got() {
			assert.Equal(t, 1, times, "span %d in replica %d", n, i)
		}
	}
	require.NoError(t, e.Shutdown(context.Background()))
	stop()

	// And again, with nothing left; the storage still knows the highest number.
	h, stop = withStorage(t, dir)
	e = start(t, nop, h, 1, port, fmt.Sprintf(onDisk, 1<<20))
	assert.Len(t, e.(*router).started, 4)
	require.NoError(t, e.Shutdown(context.Background()))
	stop()
}

// Of what is read from a removed shard's queue only the part that was refused is tried again.
func TestRerouteRefused(t *testing.T) {
	h, stop := withStorage(t, t.TempDir())
	defer stop()
	e := start(t, componenttest.NewNopTelemetrySettings(), h, 2, port(t), fmt.Sprintf(onDisk, 60_000)).(*router)
	ones := ptrace.NewTraces() // the second shard's alone
	split(batch(300, 100, 1), 2)[1].td.CopyTo(ones)
	for e.ConsumeTraces(t.Context(), clone(ones)) == nil {
	}
	td := batch(900, 100, 3)
	var refused consumererror.Traces
	require.ErrorAs(t, e.reroute(t.Context(), clone(td)), &refused)
	assert.Equal(t, seen(split(clone(td), 2)[1].td), seen(refused.Data()))
	require.NoError(t, e.Shutdown(context.Background()))
}

// A stored number that cannot be read is no reason not to start.
func TestNumberOfShardsThatCannotBeRead(t *testing.T) {
	h, stop := withStorage(t, t.TempDir())
	defer stop()
	for _, stored := range []string{"", "three", "-1", "100000"} {
		client, err := storageclient.OpenFor(t.Context(), h, component.KindExporter, component.MustNewID("durable_storage"), component.NewID(metadata.Type), "shards")
		require.NoError(t, err)
		require.NoError(t, client.Set(t.Context(), keyHighest, []byte(stored)))
		require.NoError(t, client.Close(t.Context()))
		e := start(t, componenttest.NewNopTelemetrySettings(), h, 2, port(t), fmt.Sprintf(onDisk, 1<<20))
		assert.Len(t, e.(*router).started, 2)
		require.NoError(t, e.Shutdown(context.Background()))
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		_, err := config(t, yaml)
		assert.EqualError(t, err, want)
	}
	f("{endpoint: 'a-%d:1'}", "shards: must be from 1 to 256, got 0")
	f("{shards: 257, endpoint: 'a-%d:1'}", "shards: must be from 1 to 256, got 257")
	f("{shards: 2, endpoint: 'a-0:1'}", `endpoint: must have %d where the number of the shard belongs, got "a-0:1"`)
	f("{shards: 2, endpoint: 'a-%d:1', sending_queue: {enabled: false}}", "sending_queue::enabled: must be true, got false: without queues one shard that is away would make senders repeat the spans of all")
	f("{shards: 2, endpoint: 'a-%d:1', sending_queue: {wait_for_result: true}}", "sending_queue::wait_for_result: must be false, got true: one shard that is away would make senders repeat the spans of all")
	_, err := config(t, "{shards: 1, endpoint: 'a:1'}")
	require.NoError(t, err)
	_, err = config(t, "{shards: 2}")
	require.ErrorContains(t, err, `requires a non-empty "endpoint"`)
}
