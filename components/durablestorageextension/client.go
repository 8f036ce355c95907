package durablestorageextension

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

// What an exporter's queue says when it has delivered an item is written with the next item, or after lateFor, or when it is more than maxLate
// keys. A process that dies before that delivers again what it had delivered meanwhile. That an item was read is never in a hurry.
const (
	lateFor = 10 * time.Millisecond
	maxLate = 4096
)

var (
	errClosed = errors.New("the storage is closed")
	// errNoItem makes the queue skip a number: of an item that was refused when it was to be stored, or that is damaged.
	errNoItem = errors.New("no such item")
)

// client is one component's file. The queue of an exporter writes each item once and, without this client, its own numbers three times; those
// that only say what was read or delivered may be late, because an older state is a true one, too: it delivers more.
type client struct {
	path      string
	queue     bool
	logger    *zap.Logger
	telemetry *clientTelemetry

	mu      sync.Mutex
	counted uint64 // numbers from here on are an item's
	store   *store.Store
	late    map[string][]byte // what is to be written; nil deletes
	timer   *time.Timer
	closed  bool
}

func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c *client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

// Batch makes all changes or none; a Get sees the changes before it.
func (c *client) Batch(ctx context.Context, ops ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	changes, urgent := map[string][]byte{}, false
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			value, err := c.lookup(ctx, op.Key, changes)
			if err != nil {
				c.merge(ctx, changes)
				return err
			}
			op.Value = value
		case storage.Set:
			changes[op.Key] = notNil(op.Value)
			urgent = urgent || !c.queue || op.Key != queue.MetadataKey
		case storage.Delete:
			changes[op.Key] = nil
			urgent = urgent || !c.queue
		}
	}
	switch {
	case len(changes) == 0:
		return nil
	case urgent:
		return c.write(ctx, changes)
	}
	c.merge(ctx, changes)
	return nil
}

func notNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}

// lookup finds a value in what is to be written, or in the file.
func (c *client) lookup(ctx context.Context, key string, changes map[string][]byte) ([]byte, error) {
	value, found := changes[key]
	if !found {
		value, found = c.late[key]
	}
	if !found {
		var err error
		if value, err = c.read(ctx, key); err != nil {
			return nil, err
		}
	}
	if n, isItem := queue.ItemNumber(key); c.queue && isItem && len(value) == 0 {
		if value == nil && n >= c.counted {
			c.telemetry.damaged(ctx, damagedItem, 1)
			c.logger.Error("A stored item is gone: check the disk", zap.String("item", key), zap.String("directory", c.path))
		}
		return nil, errNoItem
	}
	return value, nil
}

func (c *client) read(ctx context.Context, key string) ([]byte, error) {
	value, err := c.store.Get(key)
	if !errors.Is(err, store.ErrDamaged) {
		return value, err
	}
	c.logger.Error("A stored value is not what was written, and is gone: check the disk", zap.String("key", key), zap.String("directory", c.path), zap.Error(err))
	if !c.queue { // of a queue it is counted as a missing item
		c.telemetry.damaged(ctx, damagedRecord, 1)
	}
	return nil, nil
}

// merge leaves changes for later.
func (c *client) merge(ctx context.Context, changes map[string][]byte) {
	delivered := false
	for key, value := range changes {
		c.late[key] = value
		delivered = delivered || value == nil
	}
	if len(c.late) > maxLate && c.write(ctx, nil) == nil {
		return
	}
	if delivered {
		c.arm(lateFor)
	}
}

func (c *client) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.closed || len(c.late) == 0 {
		return
	}
	if c.write(context.Background(), nil) != nil {
		c.arm(time.Second)
	}
}

// write makes changes and what was left for later, all or nothing.
func (c *client) write(ctx context.Context, changes map[string][]byte) error {
	writes := make([]store.Write, 0, len(c.late)+len(changes))
	for key, value := range c.late {
		if _, again := changes[key]; !again {
			writes = append(writes, store.Write{Key: key, Value: value})
		}
	}
	for key, value := range changes {
		writes = append(writes, store.Write{Key: key, Value: value})
	}
	err := c.store.Apply(writes)
	if err == nil {
		clear(c.late)
		return nil
	}
	if c.telemetry.writeFailed(ctx, err) {
		c.logger.Error("Cannot write: new data is refused, retryably, what is stored stays; is the volume full?", zap.String("directory", c.path), zap.Error(err))
	}
	if c.queue {
		c.skip(changes)
	}
	return fmt.Errorf("durable_storage cannot write to %s: %w", c.path, err)
}

// skip marks the numbers of items that were refused, with an empty value: the queue does not take them back, and must not miss them. There are
// not more than fit into the queue: it counts them as if they were in it.
func (c *client) skip(refused map[string][]byte) {
	for key, value := range refused {
		if _, isItem := queue.ItemNumber(key); isItem && value != nil {
			c.late[key] = []byte{}
		}
	}
	c.arm(time.Second)
}

func (c *client) arm(after time.Duration) {
	if c.timer == nil && len(c.late) > 0 {
		c.timer = time.AfterFunc(after, c.flush)
	}
}

// Close writes what was left for later.
func (c *client) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	var err error
	if len(c.late) > 0 {
		err = c.write(ctx, nil)
	}
	return errors.Join(err, c.store.Close())
}
