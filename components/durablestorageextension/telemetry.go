package durablestorageextension

import (
	"context"
	"errors"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/metadata"
	"github.com/sluice-otel/sluice/components/internal/seldom"
)

// What can be damaged: values of the attribute what.
const (
	damagedRecord = "record"
	damagedItem   = "item"
	damagedIndex  = "index"
	damagedTorn   = "torn"
)

// clientTelemetry counts for one client; its attributes are few and known when it is made.
type clientTelemetry struct {
	builder *metadata.TelemetryBuilder
	damage  map[string]metric.AddOption
	failed  map[string]metric.AddOption
	told    *seldom.Teller[struct{}] // that a write failed
}

func newClientTelemetry(builder *metadata.TelemetryBuilder, client string) *clientTelemetry {
	with := func(key string, values ...string) map[string]metric.AddOption {
		options := map[string]metric.AddOption{}
		for _, v := range values {
			options[v] = metric.WithAttributeSet(attribute.NewSet(attribute.String("client", client), attribute.String(key, v)))
		}
		return options
	}
	return &clientTelemetry{
		builder: builder,
		damage:  with("what", damagedRecord, damagedItem, damagedIndex, damagedTorn),
		failed:  with("reason", "no_space", "other"),
		told:    seldom.New[struct{}](10 * time.Second),
	}
}

func (t *clientTelemetry) damaged(ctx context.Context, what string, n uint64) {
	if n > 0 {
		t.builder.ExtensionDurableStorageDamaged.Add(ctx, int64(n), t.damage[what]) //nolint:gosec // a count
	}
}

// writeFailed counts, and returns true when the log was not told of it in the last ten seconds.
func (t *clientTelemetry) writeFailed(ctx context.Context, err error) (tell bool) {
	reason := "other"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = "no_space"
	}
	t.builder.ExtensionDurableStorageFailedWrites.Add(ctx, 1, t.failed[reason])
	return t.told.Tell(struct{}{}, time.Now())
}
