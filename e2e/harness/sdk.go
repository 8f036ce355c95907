package harness

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

// NewSDKTracer is the tracing of an application that uses the OpenTelemetry SDK for Go with its OTLP exporter, batching
// and retries as they are by default. ForceFlush sends what waits; the provider is shut down when the test ends.
func NewSDKTracer(tb testing.TB, endpoint, service string, dial ...grpc.DialOption) *sdktrace.TracerProvider {
	tb.Helper()
	return newSDKTracer(tb, endpoint, service, func(e sdktrace.SpanExporter) sdktrace.SpanExporter { return e }, dial)
}

// Acknowledged has the spans that a receiver has said to have taken.
type Acknowledged struct {
	sdktrace.SpanExporter

	mu    sync.Mutex
	spans map[[2]string]struct{}
}

// NewKeepingSDKTracer is NewSDKTracer, and keeps what was acknowledged.
func NewKeepingSDKTracer(tb testing.TB, endpoint, service string, dial ...grpc.DialOption) (*sdktrace.TracerProvider, *Acknowledged) {
	tb.Helper()
	a := &Acknowledged{spans: map[[2]string]struct{}{}}
	return newSDKTracer(tb, endpoint, service, func(e sdktrace.SpanExporter) sdktrace.SpanExporter {
		a.SpanExporter = e
		return a
	}, dial), a
}

// ExportSpans exports, and remembers if it went well.
func (a *Acknowledged) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := a.SpanExporter.ExportSpans(ctx, spans); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range spans {
		a.spans[[2]string{s.SpanContext().TraceID().String(), s.SpanContext().SpanID().String()}] = struct{}{}
	}
	return nil
}

// Spans are the acknowledged ones so far, by trace and span ID.
func (a *Acknowledged) Spans() map[[2]string]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.spans)
}

func newSDKTracer(tb testing.TB, endpoint, service string, wrap func(sdktrace.SpanExporter) sdktrace.SpanExporter, dial []grpc.DialOption) *sdktrace.TracerProvider {
	tb.Helper()
	exporter, err := otlptracegrpc.New(tb.Context(),
		otlptracegrpc.WithEndpoint(endpoint),
		otlptracegrpc.WithInsecure(),
		otlptracegrpc.WithDialOption(append(dial, grpc.WithNoProxy())...),
	)
	if err != nil {
		tb.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(wrap(exporter)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))),
	)
	tb.Cleanup(func() {
		// The test's context is done by now. What could not be sent is the test's to notice.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = provider.Shutdown(ctx)
	})
	return provider
}
