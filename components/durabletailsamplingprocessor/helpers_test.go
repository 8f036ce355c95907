package durabletailsamplingprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/durabletailsamplingprocessor/internal/metadata"
)

// disk is a storage extension that can be copied at any moment, which is what kill -9 leaves; a fake, because the real one cannot (e2e
// kills the real one). It can be made to fail.
type disk struct {
	component.StartFunc
	component.ShutdownFunc
	mu      sync.Mutex
	data    map[string][]byte
	failing error
	batches int
}

var diskID = component.MustNewID("durable_storage")

func newDisk() *disk { return &disk{data: map[string][]byte{}} }

func (d *disk) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{diskID: d}
}

func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{data: maps.Clone(d.data)}
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
}

// keys are how many of a kind there are.
func (d *disk) keys(kind string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range d.data {
		if k[:1] == kind {
			n++
		}
	}
	return n
}

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failing != nil {
		return d.failing
	}
	d.batches++
	for _, op := range ops {
		switch op.Type {
		case storage.Set:
			d.data[op.Key] = append([]byte{}, op.Value...)
		case storage.Delete:
			delete(d.data, op.Key)
		case storage.Get:
			return errors.New("not asked for")
		}
	}
	return nil
}

func (d *disk) Get(_ context.Context, key string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.data[key], nil
}

func (d *disk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

func (d *disk) Delete(ctx context.Context, key string) error {
	return d.Batch(ctx, storage.DeleteOperation(key))
}

func (*disk) Close(context.Context) error { return nil }

// backend keeps the spans that it gets, as trace and number, and can be made to block or refuse.
type backend struct {
	mu      sync.Mutex
	spans   map[span]int
	blocked chan struct{}
	err     error
}

type span struct{ trace, number uint64 }

func (b *backend) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (b *backend) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	b.mu.Lock()
	blocked, err := b.blocked, b.err
	b.mu.Unlock()
	if blocked != nil {
		select {
		case <-blocked:
		case <-ctx.Done(): // as a queue that is full does
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range spansOf(td) {
		b.spans[s]++
	}
	return nil
}

func (b *backend) set(blocked chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked, b.err = blocked, err
}

func (b *backend) got() map[span]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.spans)
}

func spansOf(td ptrace.Traces) (list []span) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				id, number := s.TraceID(), s.SpanID()
				list = append(list, span{binary.BigEndian.Uint64(id[8:]), binary.BigEndian.Uint64(number[:])})
			}
		}
	}
	return list
}

func traces(spans ...span) ptrace.Traces {
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, s := range spans {
		one := list.AppendEmpty()
		var id pcommon.TraceID
		binary.BigEndian.PutUint64(id[8:], s.trace)
		var number pcommon.SpanID
		binary.BigEndian.PutUint64(number[:], s.number)
		one.SetTraceID(id)
		one.SetSpanID(number)
		if s.number == failed {
			one.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	return td
}

// failed is the number of a span whose trace is kept.
const failed = 99

const shippedLike = `
journal: {storage: durable_storage}
decision_wait: 5s
num_traces: 10000
block_on_overflow: true
decision_cache: {sampled_cache_size: 100000, non_sampled_cache_size: 100000}
policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]
`

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

func start(t testing.TB, d *disk, next consumer.Traces, change func(*Config)) *sampler {
	t.Helper()
	return startWith(t, componenttest.NewNopTelemetrySettings(), d, next, change)
}

func startWith(t testing.TB, tel component.TelemetrySettings, d *disk, next consumer.Traces, change func(*Config)) *sampler {
	t.Helper()
	cfg, err := config(t, shippedLike)
	require.NoError(t, err)
	if change != nil {
		change(cfg)
	}
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel
	p, err := NewFactory().CreateTraces(context.Background(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(context.Background(), d))
	return p.(*sampler)
}

const tick = 100 * time.Millisecond
