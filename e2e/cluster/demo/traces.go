package main

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// classes are what sampling is to tell apart, and how long their traces take.
var classes = map[string]time.Duration{"error": 30 * time.Millisecond, "slow": 3 * time.Second, "normal": 20 * time.Millisecond}

// spansOfTrace is how many spans each trace has.
const spansOfTrace = 3

type traceRecord struct {
	ID           string `json:"id"`
	Class        string `json:"class"`
	Spans        int    `json:"spans"`
	Acknowledged int    `json:"acknowledged"` // of these, taken by who they were sent to
}

// tracer makes traces and remembers each.
type tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer

	mu     sync.Mutex
	made   []*traceRecord
	byID   map[trace.TraceID]*traceRecord
	failed int // exports
	count  int // of next
}

// newTracer sends where OTEL_EXPORTER_OTLP_ENDPOINT says, over HTTP.
func newTracer(ctx context.Context, run string) (*tracer, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(attribute.String("service.instance.id", run)))
	if err != nil {
		return nil, err
	}
	t := &tracer{byID: map[trace.TraceID]*traceRecord{}}
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		// It waits when the queue is full: by default it would throw away, and tell nobody.
		sdktrace.WithBatcher(acknowledging{exporter, t}, sdktrace.WithBlocking(), sdktrace.WithBatchTimeout(time.Second)),
	)
	t.tracer = t.provider.Tracer("demo")
	return t, nil
}

// next makes a trace: of each twenty one has an error, one is slow.
func (t *tracer) next() {
	t.mu.Lock()
	t.count++
	n := t.count
	t.mu.Unlock()
	switch n % 20 {
	case 5:
		t.make("error")
	case 15:
		t.make("slow")
	default:
		t.make("normal")
	}
}

// make makes a trace of a class that just ended: a request, what it did, and a query.
func (t *tracer) make(class string) {
	end := time.Now()
	start := end.Add(-classes[class])
	at := func(d time.Duration) trace.SpanEventOption { return trace.WithTimestamp(start.Add(d)) }
	ctx, root := t.tracer.Start(context.Background(), "POST /orders", trace.WithSpanKind(trace.SpanKindServer), at(0), trace.WithAttributes(
		attribute.String("http.request.method", "POST"), attribute.String("http.route", "/orders"), attribute.String("url.path", "/orders"),
	))
	id := root.SpanContext().TraceID()
	record := &traceRecord{ID: id.String(), Class: class, Spans: spansOfTrace}
	t.mu.Lock()
	t.made = append(t.made, record)
	t.byID[id] = record
	t.mu.Unlock()
	ctx, work := t.tracer.Start(ctx, "take order", at(time.Millisecond))
	_, query := t.tracer.Start(ctx, "INSERT orders", trace.WithSpanKind(trace.SpanKindClient), at(2*time.Millisecond), trace.WithAttributes(
		attribute.String("db.system.name", "postgresql"), attribute.String("db.operation.name", "INSERT"),
	))
	status := 201
	if class == "error" {
		status = 500
		query.SetStatus(codes.Error, "no connection")
		root.SetStatus(codes.Error, "")
	}
	root.SetAttributes(attribute.Int("http.response.status_code", status))
	for _, s := range []trace.Span{query, work, root} {
		s.End(trace.WithTimestamp(end))
	}
}

// records are the traces so far.
func (t *tracer) records() (made []traceRecord, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	made = make([]traceRecord, len(t.made))
	for i, r := range t.made {
		made[i] = *r
	}
	return made, t.failed
}

// acknowledging remembers what was taken.
type acknowledging struct {
	sdktrace.SpanExporter

	t *tracer
}

// ExportSpans exports, and counts how it went.
func (a acknowledging) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := a.SpanExporter.ExportSpans(ctx, spans)
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	if err != nil {
		a.t.failed++
		return err
	}
	for _, s := range spans {
		a.t.byID[s.SpanContext().TraceID()].Acknowledged++
	}
	return nil
}
