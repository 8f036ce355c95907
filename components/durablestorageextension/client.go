package durablestorageextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"
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

var (
	errClosed = errors.New("the storage is closed")
	errNoKey  = errors.New("a key must not be empty")
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

// lookup finds a value in what is to be written, or in the file.
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
