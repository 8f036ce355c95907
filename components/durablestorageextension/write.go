package durablestorageextension

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// What an exporter's queue says when it has delivered an item is written with the next item, or after lateFor, or when it is more than maxLate
// keys. A process that dies before that delivers again what it had delivered meanwhile. That an item was read is never in a hurry. After a write that
// failed it is tried again every retryAfter.
const (
	lateFor    = 10 * time.Millisecond
	maxLate    = 4096
	retryAfter = 250 * time.Millisecond
)

func (c *client) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.writeLate(context.Background())
	c.timer = nil
	c.arm(again)
}

// writeLate says when to try again what is left.
func (c *client) writeLate(ctx context.Context) (again time.Duration) {
	if !c.closed && len(c.late)+len(c.gone) > 0 && c.write(ctx, nil) != nil {
		c.release(ctx)
		return retryAfter
	}
	return lateFor
}

// write makes changes and what was left for later, all or nothing, but for deletions, of which it makes not more than maxLate: after a full volume
// had room again there may be millions.
func (c *client) write(ctx context.Context, changes map[string][]byte) error {
	writes := make([]store.Write, 0, len(c.late)+len(changes)+min(len(c.gone), maxLate))
	for key, value := range changes {
		writes = append(writes, store.Write{Key: key, Value: value})
	}
	for key, value := range c.late {
		if _, again := changes[key]; !again {
			writes = append(writes, store.Write{Key: key, Value: value})
		}
	}
	for key := range c.gone {
		if len(writes) == cap(writes) {
			break
		}
		if _, again := changes[key]; !again {
			writes = append(writes, store.Write{Key: key})
		}
	}
	if err := c.store.Apply(writes); err != nil {
		c.failed(ctx, err, "Cannot write: new data is refused, retryably, what is stored stays; is the volume full?")
		c.failing = fmt.Errorf("durable_storage cannot write to %s: %w", c.path, err)
		if c.queue {
			c.skip(changes)
		}
		return c.failing
	}
	c.failing = nil
	if c.late = emptied(c.late); len(writes) < cap(writes) || len(c.gone) <= maxLate {
		c.gone = emptied(c.gone)
	} else {
		for _, w := range writes {
			delete(c.gone, w.Key)
		}
		c.arm(lateFor)
	}
	if err := c.store.Stuck(); err != nil {
		c.failed(ctx, err, "Cannot remove a file that is not needed any more")
	}
	return nil
}

// emptied is a map that is empty, and not as large as it once was.
func emptied[V any](m map[string]V) map[string]V {
	if len(m) > maxLate {
		return map[string]V{}
	}
	clear(m)
	return m
}

func (c *client) failed(ctx context.Context, err error, what string) {
	if c.telemetry.writeFailed(ctx, err) {
		c.logger.Error(what, zap.String("directory", c.path), zap.Error(err))
	}
}

// release makes room on a full volume, where deletions cannot be written: with the queue's numbers, for which room is set aside, they need not be.
func (c *client) release(ctx context.Context) {
	m, err := queue.Decode(c.late[queue.MetadataKey])
	if err != nil || m.Write == 0 {
		return
	}
	for key, value := range c.late {
		if n, isItem := queue.ItemNumber(key); isItem {
			if len(value) > 0 {
				return // moved at the start, and still at its old number in the file
			}
			m = m.Before(n) // refused, and so newer than all that is stored
		}
	}
	released, err := c.store.Release(store.Write{Key: queue.MetadataKey, Value: m.Encode()}, maps.Keys(c.gone))
	if err != nil {
		c.failed(ctx, err, "Cannot write where room is set aside for a full volume")
	}
	if released {
		c.gone = emptied(c.gone)
	}
}

// skip marks the numbers of items that were refused, with an empty value: the queue does not take them back, and must not miss them. There are
// not more than fit into the queue: it counts them as if they were in it.
func (c *client) skip(refused map[string][]byte) {
	for key, value := range refused {
		if _, isItem := queue.ItemNumber(key); isItem && value != nil {
			c.keep(key, []byte{})
		}
	}
}

func (c *client) arm(after time.Duration) {
	if c.timer == nil && !c.closed && len(c.late)+len(c.gone) > 0 {
		c.timer = time.AfterFunc(after, c.flush)
	}
}
