package durabletailsamplingprocessor

import (
	"context"
	"encoding/binary"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/durablestorageextension"
	"github.com/sluice-otel/sluice/components/durabletailsamplingprocessor/internal/metadata"
)

// realDisk is a host with a durable_storage.
type realDisk map[component.ID]component.Component

func (r realDisk) GetExtensions() map[component.ID]component.Component { return r }

func newRealDisk(b *testing.B, fsync bool) realDisk {
	b.Helper()
	f := durablestorageextension.NewFactory()
	cfg := f.CreateDefaultConfig().(*durablestorageextension.Config)
	cfg.Directory, cfg.Fsync = b.TempDir(), fsync
	ext, err := f.Create(b.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(b, err)
	require.NoError(b, ext.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, ext.Shutdown(context.Background())) })
	return realDisk{diskID: ext}
}

// shop makes 1,000 spans of 300 traces with attributes as SDKs send them; n numbers the batches.
func shop(td ptrace.Traces, n uint64) {
	for resource := range 10 {
		rs := td.ResourceSpans().AppendEmpty()
		for _, key := range []string{"service.name", "service.instance.id", "k8s.namespace.name", "k8s.pod.name", "k8s.node.name", "deployment.environment.name"} {
			rs.Resource().Attributes().PutStr(key, key+strconv.Itoa(resource))
		}
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range uint64(100) {
			s := spans.AppendEmpty()
			var id pcommon.TraceID
			binary.BigEndian.PutUint64(id[8:], n*300+i*3)
			s.SetTraceID(id)
			s.SetName("GET /orders/{id}")
			for _, key := range []string{"http.request.method", "http.route", "url.path", "server.address", "user_agent.original"} {
				s.Attributes().PutStr(key, "a value of usual length")
			}
			s.Attributes().PutInt("http.response.status_code", 200)
		}
	}
}

// BenchmarkConsume is upstream alone and with the journal, without and with fsync.
func BenchmarkConsume(b *testing.B) {
	run := func(name string, start func(b *testing.B) consumer.Traces) {
		b.Run(name, func(b *testing.B) {
			p := start(b)
			b.ReportAllocs()
			before := cpu(b)
			for n := range b.N {
				td := ptrace.NewTraces()
				shop(td, uint64(n))
				require.NoError(b, p.ConsumeTraces(b.Context(), td))
			}
			b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-ns/span")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
		})
	}
	cfg, err := config(b, shippedLike)
	require.NoError(b, err)
	cfg.NumTraces = 10_000_000
	run("tail_sampling", func(b *testing.B) consumer.Traces {
		p, err := upstream.CreateTraces(b.Context(), processortest.NewNopSettings(upstream.Type()), &cfg.Config, consumertest.NewNop())
		require.NoError(b, err)
		require.NoError(b, p.Start(b.Context(), componenttest.NewNopHost()))
		b.Cleanup(func() { require.NoError(b, p.Shutdown(context.Background())) })
		return p
	})
	for name, fsync := range map[string]bool{"journal": false, "journal and fsync": true} {
		run(name, func(b *testing.B) consumer.Traces {
			disk := newRealDisk(b, fsync)
			p, err := NewFactory().CreateTraces(b.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
			require.NoError(b, err)
			require.NoError(b, p.Start(b.Context(), disk))
			b.Cleanup(func() { require.NoError(b, p.Shutdown(context.Background())) })
			return p
		})
	}
}

// cpu is what the process has used, in thousandths of a nanosecond-span: a batch has 1,000 spans.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}
