package durablestorageextension

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

var (
	errClosed = errors.New("the storage is closed")
	errNoKey  = errors.New("a key must not be empty")
	// errNoItem makes the queue skip a number: of an item that was refused when it was to be stored, or that is damaged.
	errNoItem = errors.New("no such item")
)

// client is one component's folder. The queue of an exporter writes each item once and, without this client, its own numbers three times; those
// that only say what was read or delivered may be late, because an older state is a true one, too: it delivers more.
type client struct {
	path      string
	queue     bool
	logger    *zap.Logger
	telemetry *clientTelemetry

	mu      sync.Mutex
	counted uint64 // numbers from here on are an item's
	store   *store.Store
	late    map[string][]byte   // what is to be written
	gone    map[string]struct{} // what is to be deleted; the queue's numbers say so, too, so it may be later still
	failing error               // why the last write failed
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
		if op.Key == "" {
			return errNoKey
		}
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
	case urgent && c.failing != nil && len(c.late) > maxLate:
		// So many numbers were refused that to try each time costs more than it is worth: flush tries.
		c.skip(changes)
		c.arm(retryAfter)
		return c.failing
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

// lookup finds a value in what is to be written, or in the store.
func (c *client) lookup(ctx context.Context, key string, changes map[string][]byte) ([]byte, error) {
	value, found := changes[key]
	if !found {
		value, found = c.late[key]
	}
	if _, gone := c.gone[key]; !found && !gone {
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
		c.keep(key, value)
		delivered = delivered || value == nil
	}
	if len(c.late)+len(c.gone) > maxLate && c.failing == nil && c.write(ctx, nil) == nil {
		return
	}
	if delivered {
		c.arm(lateFor)
	}
}

// keep notes a change, in place of an earlier one of its key.
func (c *client) keep(key string, value []byte) {
	delete(c.late, key)
	delete(c.gone, key)
	switch {
	case value != nil:
		c.late[key] = value
	case c.store.Has(key): // a number that was refused is nowhere: as many of them come as are offered while a volume is full
		c.gone[key] = struct{}{}
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
	if len(c.late)+len(c.gone) > 0 {
		err = c.write(ctx, nil)
	}
	return errors.Join(err, c.store.Close())
}
