package preflightextension

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
	"github.com/sluice-otel/sluice/components/preflightextension/internal/metadata"
)

// telemetry has the metrics, which look at the directories whenever they are read, and the log.
type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder
	checks  map[check.ID]metric.ObserveOption
}

func newTelemetry(set component.TelemetrySettings, p *preflight) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	// No stack traces: a finding is about the configuration, not about the code that found it.
	t := &telemetry{logger: set.Logger.WithOptions(zap.AddStacktrace(zap.DPanicLevel)), builder: builder, checks: map[check.ID]metric.ObserveOption{}}
	for _, id := range check.IDs() {
		t.checks[id] = metric.WithAttributeSet(attribute.NewSet(attribute.String("check", string(id)), attribute.String("severity", string(id.Severity()))))
	}
	of := func(value func(check.Usage) (int64, bool)) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			_, usages := p.glance()
			for _, u := range usages {
				if n, ok := value(u); ok {
					o.Observe(n, metric.WithAttributeSet(attribute.NewSet(attribute.String("directory", u.Directory))))
				}
			}
			return nil
		}
	}
	return t, errors.Join(
		builder.RegisterExtensionPreflightFindingsCallback(func(_ context.Context, o metric.Int64Observer) error {
			t.observe(o, p)
			return nil
		}),
		builder.RegisterExtensionPreflightOrphanedBytesCallback(of(func(u check.Usage) (int64, bool) { return u.Orphaned, true })),
		builder.RegisterExtensionPreflightQueueCapacityCallback(of(func(u check.Usage) (int64, bool) { return u.Capacity, true })),
		builder.RegisterExtensionPreflightSetAsideBytesCallback(of(func(u check.Usage) (int64, bool) { return u.SetAside, true })),
		builder.RegisterExtensionPreflightUsedBytesCallback(of(func(u check.Usage) (int64, bool) { return u.Owned, true })),
		builder.RegisterExtensionPreflightVolumeFreeCallback(of(func(u check.Usage) (int64, bool) { return u.Volume.Free, u.Known })),
		builder.RegisterExtensionPreflightVolumeSizeCallback(of(func(u check.Usage) (int64, bool) { return u.Volume.Size, u.Known })),
	)
}

// observe gives every check a value, so that an alert can tell "nothing is wrong" from "nobody has looked".
func (t *telemetry) observe(o metric.Int64Observer, p *preflight) {
	open, usages := p.glance()
	if usages == nil {
		return
	}
	counts := map[check.ID]int64{}
	for _, f := range open {
		counts[f.Check]++
	}
	for id, attributes := range t.checks {
		o.Observe(counts[id], attributes)
	}
}

// finding logs one. All of it is the message: the collector's logger drops messages that repeat, and people read the message first.
func (t *telemetry) finding(f check.Finding) {
	fields := []zap.Field{zap.String("check", string(f.Check)), zap.String("at", f.At)}
	if f.Severity() == check.Error {
		t.logger.Error("preflight: "+f.String(), fields...)
	} else {
		t.logger.Warn("preflight: "+f.String(), fields...)
	}
}
