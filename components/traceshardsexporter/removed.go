package traceshardsexporter

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/internal/storageclient"
)

// keyHighest is where the storage has how many shards there have been at most: their queues' files are known by nothing else.
const keyHighest = "highest_shards"

// drainRemoved starts a reader for each queue whose shard is no more, which gives what it finds to the shards that are. A queue that is
// empty costs a reader that waits.
func (r *router) drainRemoved(ctx context.Context, host component.Host) error {
	id := r.cfg.QueueConfig.Get().StorageID
	if id == nil {
		return nil // queues in memory: there is nothing left
	}
	highest, err := r.rememberHighest(ctx, host, id)
	if err != nil {
		return err
	}
	for number := len(r.shards); number < highest; number++ {
		reader, err := r.readerOf(ctx, number)
		if err == nil {
			err = r.start(ctx, host, reader)
		}
		if err != nil {
			return fmt.Errorf("queue of removed shard %d: %w", number, err)
		}
	}
	return nil
}

// rememberHighest gives back the highest number of shards there ever was, as many as now at least.
func (r *router) rememberHighest(ctx context.Context, host component.Host, id *component.ID) (highest int, err error) {
	client, err := storageclient.OpenFor(ctx, host, component.KindExporter, *id, r.set.ID, "shards")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, client.Close(ctx)) }()
	before, err := client.Get(ctx, keyHighest)
	if err != nil {
		return 0, fmt.Errorf("storage: %w", err)
	}
	highest, err = strconv.Atoi(string(before))
	if before != nil && (err != nil || highest < 0 || highest > maxShards) {
		r.set.Logger.Warn("the number of shards there were cannot be read: queues of removed ones, if there are, stay as they are", zap.ByteString("stored", before))
		highest = 0
	}
	if highest >= len(r.shards) {
		return highest, nil
	}
	return len(r.shards), client.Batch(ctx, storage.SetOperation(keyHighest, []byte(strconv.Itoa(len(r.shards)))))
}

// readerOf is an exporter with the removed shard's name, hence on its queue, that sends to the other shards' queues.
func (r *router) readerOf(ctx context.Context, number int) (component.Component, error) {
	set := r.settingsOf(number)
	queue := *r.cfg.QueueConfig.Get()
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]() // they are batched where they go to
	queue.NumConsumers = 1
	retry := r.cfg.RetryConfig
	retry.Enabled, retry.MaxElapsedTime = true, 0
	return exporterhelper.NewTraces(ctx, set, r.cfg, r.reroute,
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}),
		exporterhelper.WithRetry(retry),
		exporterhelper.WithQueue(configoptional.Some(queue)))
}

// reroute keeps what the shards refuse for another attempt, and only that.
func (r *router) reroute(ctx context.Context, td ptrace.Traces) error {
	parts := split(td, len(r.shards))
	var errs []error
	for i := range parts {
		if parts[i].spans == 0 {
			continue
		}
		// A copy: when it is refused, the part is needed.
		copied := part{ptrace.NewTraces(), parts[i].spans}
		parts[i].td.CopyTo(copied.td)
		if err := r.offer(ctx, i, copied); err != nil {
			errs = append(errs, err)
			continue
		}
		r.tel.ExporterTraceShardsReroutedSpans.Add(ctx, int64(parts[i].spans))
		parts[i] = part{}
	}
	if len(errs) == 0 {
		return nil
	}
	return consumererror.NewTraces(errors.Join(errs...), join(parts))
}
