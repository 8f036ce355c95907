package durablestorageextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
)

// queueClient is what a queue has, without a queue.
func queueClient(t *testing.T, tel *componenttest.Telemetry, dir string) *client {
	t.Helper()
	c, err := newStorage(t, tel, dir).GetClient(t.Context(), component.KindExporter, component.MustNewIDWithName("otlp_grpc", "x"), "traces")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return c.(*client)
}

// offer and done are what the queue does.
func offer(t *testing.T, c *client, m *queue.Metadata, value []byte) error {
	t.Helper()
	m.Write++
	return c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.SetOperation(queue.ItemKey(m.Write-1), value))
}

func done(t *testing.T, c *client, m *queue.Metadata) {
	t.Helper()
	m.Read++
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.DeleteOperation(queue.ItemKey(m.Read-1))))
}

// What a full volume holds up is neither lost nor written again and again, and when there is room it is written in pieces.
func TestManyLateDeletions(t *testing.T) {
	const items = 3*maxLate + 10
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	c := queueClient(t, tel, dir)
	var m queue.Metadata
	for range items {
		require.NoError(t, offer(t, c, &m, []byte("item")))
	}
	room := fill(t, filepath.Join(dir, queueDir))
	for range items - 1 {
		done(t, c, &m)
	}
	failed, err := tel.GetMetric("otelcol_extension_durable_storage_failed_writes")
	require.NoError(t, err)
	assert.Less(t, points(failed)["other"], int64(1000), "it is not tried for each of them")
	require.Error(t, offer(t, c, &m, []byte("refused")))
	room()
	require.NoError(t, offer(t, c, &m, []byte("taken")))
	require.EventuallyWithT(t, func(ct *assert.CollectT) {
		c.mu.Lock()
		defer c.mu.Unlock()
		assert.Empty(ct, c.gone)
		assert.Empty(ct, c.late)
		left := 0
		c.store.Keys(func(string, int) { left++ })
		assert.Equal(ct, 4, left, "the last one, the refused number, the one taken, and the numbers")
	}, 20*time.Second, 10*time.Millisecond)
	assert.Empty(t, counts(t, tel))
	again := componenttest.NewTelemetry()
	c = queueClient(t, again, killed(t, dir))
	value, err := c.Get(t.Context(), queue.ItemKey(m.Write-1))
	require.NoError(t, err)
	assert.Equal(t, "taken", string(value))
	assert.Empty(t, counts(t, again))
}

// A process that dies after each step on a full volume finds its queue as it was, and no number that was refused is missed.
func TestReleasedAndKilled(t *testing.T) {
	dir := volume(t, "size=6m")
	tel := componenttest.NewTelemetry()
	c := queueClient(t, tel, dir)
	var m queue.Metadata
	taken := map[uint64]bool{}
	for size := 100_000; size > 0; size /= 2 {
		for err := error(nil); err == nil; {
			err = offer(t, c, &m, make([]byte, size))
			taken[m.Write-1] = err == nil
		}
		ballast(t, dir)
	}
	stored := m.Write
	for m.Read < stored {
		err := offer(t, c, &m, make([]byte, 100_000))
		taken[m.Write-1] = err == nil
		done(t, c, &m)
		if m.Read%7 != 0 && m.Read != stored {
			continue
		}
		time.Sleep(2 * retryAfter) // for a release; what it did is looked at below
		again := componenttest.NewTelemetry()
		after := queueClient(t, again, killed(t, dir))
		raw, err := after.Get(t.Context(), queue.MetadataKey)
		require.NoError(t, err)
		numbers, err := queue.Decode(raw)
		require.NoError(t, err)
		assert.LessOrEqual(t, numbers.Read, m.Read)
		for n := numbers.Read; n < numbers.Write; n++ {
			value, err := after.Get(t.Context(), queue.ItemKey(n))
			if taken[n] {
				require.NoError(t, err)
				require.NotEmpty(t, value)
			} else {
				require.ErrorIs(t, err, errNoItem)
			}
		}
		assert.Empty(t, counts(t, again))
		require.NoError(t, after.Close(t.Context()))
	}
	for m.Read < m.Write {
		done(t, c, &m)
	}
	require.EventuallyWithT(t, func(ct *assert.CollectT) {
		assert.NoError(ct, offer(t, c, &m, make([]byte, 100_000)))
	}, 20*time.Second, retryAfter)
	assert.Empty(t, counts(t, tel))
}

// What was in flight is put in order, and not let go of, when the volume is full at the start.
func TestPutInOrderOnAFullVolume(t *testing.T) {
	dir := volume(t, "size=6m")
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	value := func(n uint64) []byte { return append(make([]byte, 100_000), byte(n)) }
	for range 5 {
		require.NoError(t, offer(t, c, &m, value(m.Write)))
	}
	// 0 and 2 are on their way, 1 was delivered.
	m.Read, m.InFlight = 3, []uint64{0, 2}
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.DeleteOperation(queue.ItemKey(1))))
	for offer(t, c, &m, value(m.Write)) == nil {
	}
	stored := m.Write - 1
	ballast(t, dir)
	c.mu.Lock()
	c.closed = true // as if it were killed
	require.NoError(t, c.store.Close())
	c.mu.Unlock()

	tel := componenttest.NewTelemetry()
	c = queueClient(t, tel, dir)
	f := func(c *client, first uint64, want ...uint64) {
		t.Helper()
		raw, err := c.Get(t.Context(), queue.MetadataKey)
		require.NoError(t, err)
		m, err = queue.Decode(raw)
		require.NoError(t, err)
		assert.Equal(t, first, m.Read)
		assert.Empty(t, m.InFlight)
		for i, n := range want {
			got, err := c.Get(t.Context(), queue.ItemKey(first+uint64(i))) //nolint:gosec // small
			require.NoError(t, err)
			require.Len(t, got, 100_001)
			assert.Equal(t, byte(n), got[100_000])
		}
	}
	f(c, 1, 0, 2, 3, 4)
	// The first one stays on its way, all others are delivered.
	m.Read++
	m.InFlight = []uint64{1}
	for m.Read < stored {
		done(t, c, &m)
	}
	time.Sleep(4 * retryAfter)
	after := queueClient(t, nil, killed(t, dir))
	raw, err := after.Get(t.Context(), queue.MetadataKey)
	require.NoError(t, err)
	numbers, err := queue.Decode(raw)
	require.NoError(t, err)
	f(after, numbers.Read, 0)
	assert.Empty(t, counts(t, tel))
}

// Numbers that are refused by the thousand cost one write now and then, and none of them is missed.
func TestManyRefused(t *testing.T) {
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	c := queueClient(t, tel, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("first")))
	room := fill(t, filepath.Join(dir, queueDir))
	for range maxLate + 10 {
		require.Error(t, offer(t, c, &m, []byte("refused")))
	}
	c.mu.Lock()
	for c.timer == nil || !c.timer.Stop() {
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
		c.mu.Lock()
	}
	c.mu.Unlock()
	room()
	require.ErrorContains(t, offer(t, c, &m, []byte("refused")), "cannot write", "it is not even tried")
	c.flush()
	require.NoError(t, offer(t, c, &m, []byte("taken")))
	again := componenttest.NewTelemetry()
	c = queueClient(t, again, killed(t, dir))
	for n := range m.Write {
		value, err := c.Get(t.Context(), queue.ItemKey(n))
		if n == 0 || n == m.Write-1 {
			require.NoError(t, err)
			assert.NotEmpty(t, value)
		} else {
			require.ErrorIs(t, err, errNoItem)
		}
	}
	assert.Empty(t, counts(t, again))
}
