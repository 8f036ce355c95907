package durabletailsamplingprocessor

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durabletailsamplingprocessor/internal/metadata"
	"github.com/sluice-otel/sluice/components/internal/seldom"
)

// logInterval is how often the log repeats that something fails.
const logInterval = 30 * time.Second

var (
	reasonBlocked = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "blocked")))
	reasonFull    = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "full")))
	reasonStorage = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "storage")))
	operations    = map[string]metric.MeasurementOption{
		"load":  metric.WithAttributeSet(attribute.NewSet(attribute.String("operation", "load"))),
		"store": metric.WithAttributeSet(attribute.NewSet(attribute.String("operation", "store"))),
	}
)

type telemetry struct {
	logger  *zap.Logger
	builder *metadata.TelemetryBuilder

	told *seldom.Teller[string]
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{logger: set.Logger, builder: builder, told: seldom.New[string](logInterval)}, nil
}

func (t *telemetry) observe(j *journal) error {
	return errors.Join(
		t.builder.RegisterProcessorDurableTailSamplingJournalBatchesCallback(func(_ context.Context, o metric.Int64Observer) error {
			batches, _ := j.stats()
			o.Observe(int64(batches))
			return nil
		}),
		t.builder.RegisterProcessorDurableTailSamplingJournalBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			_, bytes := j.stats()
			o.Observe(bytes)
			return nil
		}),
	)
}

func (t *telemetry) refused(spans int, err error) {
	reason := reasonStorage
	switch {
	case errors.Is(err, errFull):
		reason = reasonFull
	case errors.Is(err, errBlocked):
		reason = reasonBlocked
	default:
		t.builder.ProcessorDurableTailSamplingStorageErrors.Add(context.Background(), 1, operations["store"])
	}
	t.builder.ProcessorDurableTailSamplingRefusedSpans.Add(context.Background(), int64(spans), reason)
	t.warn("spans are refused", err)
}

func (t *telemetry) storageError(operation, what string, err error) {
	t.builder.ProcessorDurableTailSamplingStorageErrors.Add(context.Background(), 1, operations[operation])
	t.warn(what, err)
}

func (t *telemetry) lost(spans int, err error) {
	t.builder.ProcessorDurableTailSamplingLostSpans.Add(context.Background(), int64(spans))
	t.warn("a kept trace is lost: the next component refuses it for good", err)
}

func (t *telemetry) deliveryFailed(err error) {
	t.builder.ProcessorDurableTailSamplingDeliveryFailures.Add(context.Background(), 1)
	t.warn("a kept trace is refused by the next component; tried again", err)
}

// warn says a thing once in logInterval.
func (t *telemetry) warn(what string, err error) {
	if t.told.Tell(what, time.Now()) {
		t.logger.Warn(what, zap.Error(err))
	}
}
