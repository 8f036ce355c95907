package durablestorageextension

import (
	"context"

	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// open opens the store, says what is damaged, and puts a queue in order.
func (c *client) open(ctx context.Context, o store.Options) error {
	s, damage, err := store.Open(c.path, o)
	if err != nil {
		return err
	}
	c.store = s
	c.telemetry.damaged(ctx, damagedRecord, damage.Records)
	if damage.Records > 0 {
		c.logger.Error("Writes that had been acknowledged are gone from a storage: check the disk; everything else in it is used",
			zap.Uint64("writes", damage.Records), zap.String("directory", c.path))
	}
	if damage.Torn {
		c.telemetry.damaged(ctx, damagedTorn, 1)
		c.logger.Warn("The last write to a storage was cut off before it was acknowledged: nothing is lost", zap.String("directory", c.path))
	}
	if !c.queue {
		return nil
	}
	writes := c.repair(ctx)
	if len(writes) == 0 {
		return nil
	}
	if err := c.store.Apply(writes); err != nil {
		c.telemetry.writeFailed(ctx, err)
		c.logger.Error("Cannot write how a queue was put in order: it is tried again; is the volume full?", zap.String("directory", c.path), zap.Error(err))
		for _, w := range writes { // the queue reads it as if it were done
			c.keep(w.Key, w.Value)
		}
		c.arm(retryAfter)
	}
	return nil
}

// repair is what puts back what was in flight, before the queue sees it.
func (c *client) repair(ctx context.Context) (writes []store.Write) {
	var items []queue.Item
	c.store.Keys(func(key string, size int) {
		if n, ok := queue.ItemNumber(key); ok {
			items = append(items, queue.Item{Number: n, Size: size})
		}
	})
	raw, err := c.store.Get(queue.MetadataKey)
	m, decodeErr := queue.Decode(raw)
	if err != nil || decodeErr != nil || raw == nil && len(items) > 0 {
		c.telemetry.damaged(ctx, damagedIndex, 1)
		c.logger.Error("A queue's index is gone, and was made anew from its items; some may be delivered twice",
			zap.Int("items", len(items)), zap.String("directory", c.path))
		m = queue.Rebuild(items)
		c.counted = m.Write // between them are numbers of items that were delivered
		return []store.Write{{Key: queue.MetadataKey, Value: m.Encode()}}
	}
	plan := queue.Plan(m, items)
	if plan == nil {
		return nil
	}
	// What was delivered needs no write to be forgotten: the numbers say it, and a full volume must not keep it.
	c.store.Forget(func(yield func(string) bool) {
		for _, n := range plan.Delete {
			if !yield(queue.ItemKey(n)) {
				return
			}
		}
	})
	if len(m.InFlight) == 0 && plan.Metadata.Write == m.Write {
		return nil
	}
	writes = append(writes, store.Write{Key: queue.MetadataKey, Value: plan.Metadata.Encode()})
	for _, move := range plan.Move {
		value, _ := c.read(ctx, queue.ItemKey(move.From)) // a damaged one is missed and counted when the queue comes to it
		writes = append(writes, store.Write{Key: queue.ItemKey(move.From)}, store.Write{Key: queue.ItemKey(move.To), Value: value})
	}
	if c.telemetry.damaged(ctx, damagedItem, uint64(plan.Missing)); plan.Missing > 0 { //nolint:gosec // a count
		c.logger.Error("Items of a queue are gone", zap.Int("items", plan.Missing), zap.String("directory", c.path))
	}
	if len(m.InFlight) > 0 {
		c.logger.Info("Items that were in flight when the collector died are back in their queue, in their order",
			zap.Uint64("waiting", plan.Metadata.Write-plan.Metadata.Read), zap.Int("were_in_flight", len(m.InFlight)))
	}
	return writes
}
