package harness

import (
	"context"
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
	exporter, err := otlptracegrpc.New(tb.Context(),
		otlptracegrpc.WithEndpoint(endpoint),
		otlptracegrpc.WithInsecure(),
		otlptracegrpc.WithDialOption(append(dial, grpc.WithNoProxy())...),
	)
	if err != nil {
		tb.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
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
