package lokihintprocessor

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/internal/seldom"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/budget"
	"github.com/sluice-otel/sluice/components/lokihintprocessor/internal/metadata"
)

type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder
	labels  []label

	demoted   [][numReasons]metric.MeasurementOption
	values    []metric.MeasurementOption
	mended    [numMends]metric.MeasurementOption
	hints     [numActions]metric.MeasurementOption
	refusable [numLimits]metric.MeasurementOption

	told *seldom.Teller[int] // of a label, that values are demoted
}

func newTelemetry(set component.TelemetrySettings, l *layout, window time.Duration) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	t := &telemetry{logger: set.Logger, builder: builder, labels: l.labels, told: seldom.New[int](window)}
	for i := range l.labels {
		t.values = append(t.values, with("label", l.labels[i].name))
		var reasons [numReasons]metric.MeasurementOption
		for r := range numReasons {
			reasons[r] = with("label", l.labels[i].name, "reason", r.String())
		}
		t.demoted = append(t.demoted, reasons)
	}
	for m := range numMends {
		t.mended[m] = with("mend", m.String())
	}
	for a := range numActions {
		t.hints[a] = with("action", a.String())
	}
	for l := range numLimits {
		t.refusable[l] = with("limit", l.String())
	}
	return t, nil
}

func with(pairs ...string) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// observe registers the gauges.
func (t *telemetry) observe(b *budget.Budgets, l budget.Limits) error {
	return errors.Join(
		t.builder.RegisterProcessorLokiHintLabelValuesCallback(func(_ context.Context, o metric.Int64Observer) error {
			for i, n := range b.Stats(time.Now()).Values {
				o.Observe(int64(n), t.values[i])
			}
			return nil
		}),
		t.builder.RegisterProcessorLokiHintLabelValuesLimitCallback(func(_ context.Context, o metric.Int64Observer) error {
			for i := range l.Labels {
				o.Observe(int64(l.Labels[i].MaxValues), t.values[i])
			}
			return nil
		}),
		t.builder.RegisterProcessorLokiHintStreamsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(b.Stats(time.Now()).Streams))
			return nil
		}),
		t.builder.RegisterProcessorLokiHintStreamsLimitCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(l.MaxStreams))
			return nil
		}),
		t.builder.RegisterProcessorLokiHintTenantsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(b.Stats(time.Now()).Tenants))
			return nil
		}),
		t.builder.RegisterProcessorLokiHintTenantsLimitCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(l.MaxTenants))
			return nil
		}),
	)
}

// add hands a batch's counts on.
func (t *telemetry) add(c *counts, now time.Time) {
	ctx := context.Background()
	add := func(counter metric.Int64Counter, n int, of metric.MeasurementOption) {
		if n > 0 {
			counter.Add(ctx, int64(n), of)
		}
	}
	for i := range c.demoted {
		for r, n := range c.demoted[i] {
			add(t.builder.ProcessorLokiHintDemotedRecords, n, t.demoted[i][r])
		}
		if c.demoted[i][overValues]+c.demoted[i][overStreams] > 0 {
			t.tell(i, &c.demoted[i], now)
		}
	}
	for m, n := range c.mended {
		add(t.builder.ProcessorLokiHintMendedAttributes, n, t.mended[m])
	}
	for a, n := range c.hints {
		add(t.builder.ProcessorLokiHintHints, n, t.hints[a])
	}
	for l, n := range c.refusable {
		add(t.builder.ProcessorLokiHintRefusableRecords, n, t.refusable[l])
	}
	if c.newStreams > 0 {
		t.builder.ProcessorLokiHintNewStreams.Add(ctx, int64(c.newStreams))
	}
	if c.invalidTenants > 0 {
		t.builder.ProcessorLokiHintInvalidTenantRecords.Add(ctx, int64(c.invalidTenants))
	}
}

// tell warns once a window that a label is over its budget; it says no value, which is outside input.
func (t *telemetry) tell(label int, n *[numReasons]int, now time.Time) {
	if !t.told.Tell(label, now) {
		return
	}
	why, raise := "it has as many values as budget::max_values allows", "budget::max_values, or max_values of the label,"
	if n[overValues] == 0 {
		why, raise = "the tenant has as many streams as budget::max_streams allows", "budget::max_streams (and Loki's max_global_streams_per_user)"
	}
	become := "structured metadata of the same name"
	if label == 0 {
		become = `"` + overflow + `", and the attribute becomes resource_service_name`
	}
	t.logger.Warn("new values of a label are demoted: "+why, zap.String("label", t.labels[label].name), zap.String("they_become", become),
		zap.String("what_to_do", "find who sends so many; or raise "+raise+"; or take the label out of labels"))
}
