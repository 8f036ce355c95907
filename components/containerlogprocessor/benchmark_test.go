package containerlogprocessor_test

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/adapter"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/entry"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/helper"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/stanza/operator/parser/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor"
)

// startOperator builds stanza's operator with its own emitter, and behind it filelog's emitter and conversion.
func startOperator(tb testing.TB, sink func(plog.Logs)) (op operator.Operator, stop func()) {
	tb.Helper()
	set := componenttest.NewNopTelemetrySettings()
	out := helper.NewBatchingLogEmitter(set, func(_ context.Context, entries []*entry.Entry) { sink(adapter.ConvertEntries(entries)) })
	op, err := container.NewConfig().Build(set)
	require.NoError(tb, err)
	op.SetOutputIDs([]string{out.ID()})
	require.NoError(tb, op.SetOutputs([]operator.Operator{out}))
	require.NoError(tb, out.Start(nil))
	require.NoError(tb, op.Start(nil))
	return op, func() {
		require.NoError(tb, op.Stop())
		require.NoError(tb, out.Stop())
	}
}

func startProcessor(tb testing.TB, sink func(plog.Logs)) (p processor.Logs, stop func()) {
	tb.Helper()
	next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		sink(ld)
		return nil
	})
	require.NoError(tb, err)
	factory := containerlogprocessor.NewFactory()
	p, err = factory.CreateLogs(tb.Context(), processortest.NewNopSettings(factory.Type()), factory.CreateDefaultConfig(), next)
	require.NoError(tb, err)
	require.NoError(tb, p.Start(tb.Context(), componenttest.NewNopHost()))
	return p, func() { require.NoError(tb, p.Shutdown(context.WithoutCancel(tb.Context()))) }
}

// BenchmarkContainerlog has four arms for each shape: the stanza operator, the conversion that both ways of parsing need, that
// conversion with the processor behind it, and the processor alone. `go run ./e2e/bench -table` makes a table of the output.
func BenchmarkContainerlog(b *testing.B) {
	drop := func(plog.Logs) {}
	for _, s := range shapes() {
		src := newSource(s, 100)
		b.Run(s.String()+"/operator", func(b *testing.B) {
			op, stop := startOperator(b, drop)
			defer stop()
			perLine(b, func() func() error {
				entries := src.entries(false)
				return func() error { return op.ProcessBatch(b.Context(), entries) }
			})
		})
		b.Run(s.String()+"/raw", func(b *testing.B) {
			perLine(b, func() func() error {
				entries := src.entries(true)
				return func() error {
					drop(adapter.ConvertEntries(entries))
					return nil
				}
			})
		})
		b.Run(s.String()+"/containerlog", func(b *testing.B) {
			p, stop := startProcessor(b, drop)
			defer stop()
			perLine(b, func() func() error {
				entries := src.entries(true)
				return func() error { return p.ConsumeLogs(b.Context(), adapter.ConvertEntries(entries)) }
			})
		})
		b.Run(s.String()+"/alone", func(b *testing.B) {
			p, stop := startProcessor(b, drop)
			defer stop()
			perLine(b, func() func() error {
				ld := adapter.ConvertEntries(src.entries(true))
				return func() error { return p.ConsumeLogs(b.Context(), ld) }
			})
		})
	}
}

// perLine measures the work that prepare returns for one batch; preparing costs nothing. Batches are prepared many at a
// time, because stopping the timer for each would disturb the measurement.
func perLine(b *testing.B, prepare func() func() error) {
	b.Helper()
	work := make([]func() error, 50)
	var from, to runtime.MemStats
	var allocs, bytes uint64
	count := func() {
		runtime.ReadMemStats(&to)
		allocs += to.Mallocs - from.Mallocs
		bytes += to.TotalAlloc - from.TotalAlloc
	}
	runtime.ReadMemStats(&from)
	batches := 0
	for ; b.Loop(); batches++ {
		if batches%len(work) == 0 {
			b.StopTimer()
			count()
			for i := range work {
				work[i] = prepare()
			}
			runtime.ReadMemStats(&from)
			b.StartTimer()
		}
		if err := work[batches%len(work)](); err != nil {
			b.Fatal(err)
		}
	}
	elapsed := b.Elapsed()
	count()
	lines := float64(batches * batchLines)
	b.ReportMetric(float64(elapsed.Nanoseconds())/lines, "ns/line")
	b.ReportMetric(float64(bytes)/lines, "B/line")
	b.ReportMetric(float64(allocs)/lines, "allocs/line")
	b.ReportMetric(0, "ns/op") // an op is a batch: of no use to a reader
}

// seen is what the arms must agree on. The operator's restart count is a string and ours a number; its Docker bodies end in
// the newline that ours are without.
type seen struct {
	body, stream, path string
	time               int64
	resource           map[string]string
}

// TestBenchmarkArmsAgree holds the benchmark to comparing like with like: the operator and the processor make the same
// records of every line in it.
func TestBenchmarkArmsAgree(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) {
			batches := max(1, 1000/s.size) // the operator takes its time over long lines
			want, got := collected{newline: true}, collected{}
			op, stopOperator := startOperator(t, want.add)
			p, stopProcessor := startProcessor(t, got.add)
			theirs, ours := newSource(s, batches), newSource(s, batches)
			for range batches {
				require.NoError(t, op.ProcessBatch(t.Context(), theirs.entries(false)))
				require.NoError(t, p.ConsumeLogs(t.Context(), adapter.ConvertEntries(ours.entries(true))))
			}
			stopOperator()
			stopProcessor()
			records := batches * batchLines * (100 - s.partial) / 100
			require.Len(t, want.records(), records)
			assert.Equal(t, want.records(), got.records())
		})
	}
}

// collected keeps records; the operator's emitters call from goroutines of their own.
type collected struct {
	newline bool // cut what Docker stores behind the text

	mu   sync.Mutex
	list []seen
}

func (c *collected) add(ld plog.Logs) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rl := range ld.ResourceLogs().All() {
		resource := map[string]string{}
		for k, v := range rl.Resource().Attributes().All() {
			resource[k] = v.AsString()
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				stream, _ := lr.Attributes().Get("log.iostream")
				path, _ := lr.Attributes().Get("log.file.path")
				body := lr.Body().Str()
				if c.newline {
					body = strings.TrimSuffix(body, "\n")
				}
				c.list = append(c.list, seen{
					body: body, stream: stream.Str(), path: path.Str(),
					time: int64(lr.Timestamp()), resource: resource,
				})
			}
		}
	}
}

// records are in the order of their bodies, each of which has an id of its own.
func (c *collected) records() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.list, func(x, y seen) int { return cmp.Compare(x.body, y.body) })
	return c.list
}
