//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/sluice-otel/sluice/e2e/harness"
)

// Every protocol that an application may speak ends as the same span.
func TestAgentTakesEveryTraceProtocol(t *testing.T) {
	agent, sink := startAgent(t, newNodeLogs(t))
	start := time.Now().Add(-time.Minute).Truncate(time.Microsecond) // Jaeger and Zipkin count microseconds
	senders := map[string]func(harness.Span) error{
		"otlp-grpc": func(s harness.Span) error { return harness.SendTraces(t, agent.OTLPGRPC, harness.Traces(s)) },
		"otlp-http": func(s harness.Span) error {
			return harness.NewClient(t, agent.OTLPHTTP, harness.ClientOptions{Protocol: harness.HTTPProtobuf, Gzip: true}).SendTraces(harness.Traces(s))
		},
		"otlp-json": func(s harness.Span) error {
			return harness.NewClient(t, agent.OTLPHTTP, harness.ClientOptions{Protocol: harness.HTTPJSON}).SendTraces(harness.Traces(s))
		},
		"jaeger-grpc":   func(s harness.Span) error { return harness.SendJaegerGRPC(t, agent.JaegerGRPC, s) },
		"jaeger-thrift": func(s harness.Span) error { return harness.SendJaegerThriftHTTP(t, agent.JaegerHTTP, s) },
		"zipkin":        func(s harness.Span) error { return harness.SendZipkinJSON(t, agent.Zipkin, s) },
	}
	seed := uint64(0)
	want := map[string]harness.Span{}
	for name, send := range senders {
		seed++
		s := harness.Span{
			TraceID: harness.TraceID(seed), SpanID: harness.SpanID(seed), Parent: harness.SpanID(seed + 1000), Service: "cart-" + name, Name: "GET /cart",
			Kind: ptrace.SpanKindServer, Start: start, Duration: 1500 * time.Millisecond, Error: true,
			Attrs: map[string]any{"http.request.method": "GET", "url.path": "/cart"},
		}
		require.NoError(t, send(s), name)
		want[s.Service] = s
	}
	// An application as people write them: the OpenTelemetry SDK with its defaults.
	provider := harness.NewSDKTracer(t, agent.OTLPGRPC, "cart-sdk")
	_, span := provider.Tracer("shop").Start(t.Context(), "GET /cart")
	span.End()
	require.NoError(t, provider.ForceFlush(t.Context()))

	spans := sink.WaitSpans(t, 30*time.Second, harness.AtLeast[harness.SpanRecord](len(want)+1), agent.Proc)
	assert.Len(t, spans, len(want)+1)
	for _, got := range spans {
		service := fmt.Sprint(got.Resource["service.name"])
		assert.Equal(t, "node-1", got.Resource["k8s.node.name"], service)
		assert.Equal(t, "GET /cart", got.Name, service)
		w, ok := want[service]
		if !ok {
			assert.Equal(t, "cart-sdk", service)
			continue
		}
		assert.Equal(t, w.TraceID.String(), got.TraceID, service)
		assert.Equal(t, w.SpanID.String(), got.SpanID, service)
		assert.Equal(t, w.Parent.String(), got.Parent, service)
		assert.Equal(t, "Server", got.Kind, service)
		assert.Equal(t, "Error", got.Status, service)
		assert.True(t, got.Start.Equal(start), "%s: %s", service, got.Start)
		assert.Equal(t, 1500*time.Millisecond, got.End.Sub(got.Start), service)
		assert.Equal(t, "GET", got.Attrs["http.request.method"], service)
		assert.Equal(t, "/cart", got.Attrs["url.path"], service)
	}
}
