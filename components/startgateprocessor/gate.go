package startgateprocessor

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/sluice-otel/sluice/components/startgateprocessor/internal/metadata"
)

// errStarting is no permanent error: receivers answer it with UNAVAILABLE or 503, and senders try again.
var errStarting = errors.New("the collector is still starting: try again")

// gate opens when it is started. A collector starts what is behind a component before the component itself, so everything behind is ready then.
// A receiver of several signals listens as soon as the first of its pipelines has started; the others of its pipelines need the gate.
type gate struct {
	open    atomic.Bool
	builder *metadata.TelemetryBuilder
}

func (g *gate) Start(context.Context, component.Host) error {
	g.open.Store(true)
	return nil
}

func (g *gate) Shutdown(context.Context) error {
	g.builder.Shutdown()
	return nil
}

func (*gate) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{}
}

func (g *gate) refuse(ctx context.Context) error {
	g.builder.ProcessorStartGateRefusedRequests.Add(ctx, 1)
	return errStarting
}

type logs struct {
	*gate
	next consumer.Logs
}

func (l logs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if !l.open.Load() {
		return l.refuse(ctx)
	}
	return l.next.ConsumeLogs(ctx, ld)
}

type metrics struct {
	*gate
	next consumer.Metrics
}

func (m metrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	if !m.open.Load() {
		return m.refuse(ctx)
	}
	return m.next.ConsumeMetrics(ctx, md)
}

type traces struct {
	*gate
	next consumer.Traces
}

func (t traces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if !t.open.Load() {
		return t.refuse(ctx)
	}
	return t.next.ConsumeTraces(ctx, td)
}

// NewFactory makes the factory of the start_gate processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, func() component.Config { return &struct{}{} },
		processor.WithLogs(createLogs, metadata.LogsStability),
		processor.WithMetrics(createMetrics, metadata.MetricsStability),
		processor.WithTraces(createTraces, metadata.TracesStability))
}

func newGate(set processor.Settings) (*gate, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	return &gate{builder: builder}, err
}

func createLogs(_ context.Context, set processor.Settings, _ component.Config, next consumer.Logs) (processor.Logs, error) {
	g, err := newGate(set)
	return logs{g, next}, err
}

func createMetrics(_ context.Context, set processor.Settings, _ component.Config, next consumer.Metrics) (processor.Metrics, error) {
	g, err := newGate(set)
	return metrics{g, next}, err
}

func createTraces(_ context.Context, set processor.Settings, _ component.Config, next consumer.Traces) (processor.Traces, error) {
	g, err := newGate(set)
	return traces{g, next}, err
}
