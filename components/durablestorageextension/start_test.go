package durablestorageextension

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/queue"
)

// waiting is what a queue would deliver now, in its order; what is none is left out.
func waiting(t *testing.T, c *client) (all []string) {
	t.Helper()
	raw, err := c.Get(t.Context(), queue.MetadataKey)
	require.NoError(t, err)
	m, err := queue.Decode(raw)
	require.NoError(t, err)
	require.LessOrEqual(t, m.Read, m.Write, "a queue would never come to an end of it")
	require.Empty(t, m.InFlight)
	for n := m.Read; n < m.Write; n++ {
		if value, err := c.Get(t.Context(), queue.ItemKey(n)); err == nil {
			all = append(all, string(value))
		}
	}
	return all
}

// A number that an item in flight has left may be the next one's, also when the start could not write it.
func TestMovesInARowOnAFullVolume(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	for _, value := range []string{"0", "1", "2", "3"} {
		require.NoError(t, offer(t, c, &m, []byte(value)))
	}
	// 0 and 1 are on their way, 2 was delivered.
	m.Read, m.InFlight = 3, []uint64{0, 1}
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.DeleteOperation(queue.ItemKey(2))))
	c.flush()
	dir = killed(t, dir)
	room := fill(t, filepath.Join(dir, queueDir))
	tel := componenttest.NewTelemetry()
	c = queueClient(t, tel, dir)
	assert.Equal(t, []string{"0", "1", "3"}, waiting(t, c))
	room()
	c.flush()
	assert.Equal(t, []string{"0", "1", "3"}, waiting(t, c))
	assert.Equal(t, []string{"0", "1", "3"}, waiting(t, queueClient(t, tel, killed(t, dir))))
	assert.Empty(t, counts(t, tel))
}

// reopened is a client with what is in the files of another one, as after a kill.
func reopened(t *testing.T, dir string) (*client, *componenttest.Telemetry) {
	t.Helper()
	tel := componenttest.NewTelemetry()
	return queueClient(t, tel, killed(t, dir)), tel
}

// Without the queue's numbers its items are there; the numbers between them are of items that were delivered, and nothing is missed.
func TestIndexMadeAnew(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	for _, key := range []string{"3", "5"} {
		require.NoError(t, c.Set(t.Context(), key, []byte("item "+key)))
	}
	c, tel := reopened(t, dir)
	assert.Equal(t, []string{"item 3", "item 5"}, waiting(t, c))
	assert.Equal(t, map[string]int64{"index": 1}, counts(t, tel))
	_, err := c.Get(t.Context(), "6")
	require.ErrorIs(t, err, errNoItem)
	assert.Equal(t, map[string]int64{"index": 1, "item": 1}, counts(t, tel), "that one is newer")
}

// A start that has nothing to put in order writes nothing: on a full volume it would be an error each time.
func TestStartWritesNothing(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("delivered")))
	m.Read++ // its deletion is not written
	require.NoError(t, offer(t, c, &m, []byte("waits")))
	before, _ := c.store.Bytes()
	c, _ = reopened(t, dir)
	after, _ := c.store.Bytes()
	assert.Equal(t, before, after)
	assert.False(t, c.store.Has("0"))
	assert.Equal(t, []string{"waits"}, waiting(t, c))
}

// What the last moments before a shutdown delivered does not come again.
func TestCloseWritesWhatIsLate(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("delivered")))
	done(t, c, &m)
	require.NoError(t, c.Close(t.Context()))
	c, _ = reopened(t, dir)
	assert.Empty(t, waiting(t, c))
	assert.False(t, c.store.Has("0"))
}

// After Close nothing is tried again, also when there was no room for what was late.
func TestNothingAfterClose(t *testing.T) {
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	c := queueClient(t, tel, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("delivered")))
	room := fill(t, filepath.Join(dir, queueDir))
	defer room()
	done(t, c, &m)
	require.Error(t, c.Close(t.Context()))
	c.mu.Lock()
	assert.False(t, c.timer != nil && c.timer.Stop(), "it was stopped")
	c.mu.Unlock()
	failed, err := tel.GetMetric("otelcol_extension_durable_storage_failed_writes")
	require.NoError(t, err)
	before := points(failed)
	c.flush() // that waited for Close
	c.mu.Lock()
	assert.Nil(t, c.timer)
	c.mu.Unlock()
	failed, err = tel.GetMetric("otelcol_extension_durable_storage_failed_writes")
	require.NoError(t, err)
	assert.Equal(t, before, points(failed))
}

// Numbers that are refused and read leave nothing behind, however long the volume is full; with room everything is as before.
func TestRefusedAndRead(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("delivered")))
	done(t, c, &m)
	c.flush()
	c.mu.Lock()
	c.timer = time.NewTimer(time.Hour) // the spare would be room for some
	c.mu.Unlock()
	room := fill(t, filepath.Join(dir, queueDir))
	for range 100 {
		require.Error(t, offer(t, c, &m, []byte("refused")))
		done(t, c, &m)
	}
	c.mu.Lock()
	assert.Len(t, c.late, 1, "the queue's numbers")
	assert.Empty(t, c.gone)
	require.Error(t, c.failing)
	c.mu.Unlock()
	room()
	require.NoError(t, offer(t, c, &m, []byte("taken")))
	c.mu.Lock()
	require.NoError(t, c.failing)
	c.mu.Unlock()
	assert.Equal(t, []string{"taken"}, waiting(t, c))
}

// An item that is to move and is damaged is missed once, and those around it are not.
func TestDamagedMove(t *testing.T) {
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	c := queueClient(t, tel, dir)
	var m queue.Metadata
	for _, value := range []string{"0", "the damaged one", "2", "3"} {
		require.NoError(t, offer(t, c, &m, []byte(value)))
	}
	m.Read, m.InFlight = 3, []uint64{0, 1}
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.DeleteOperation(queue.ItemKey(2))))
	c.flush()
	files, err := filepath.Glob(filepath.Join(dir, queueDir, "*.log"))
	require.NoError(t, err)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	at := bytes.Index(content, []byte("the damaged one"))
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("X"), int64(at))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, c.store.Apply(c.repair(t.Context()))) // after the start has read it, and before it moves it
	assert.Equal(t, []string{"0", "3"}, waiting(t, c))
	assert.Equal(t, map[string]int64{"item": 1}, counts(t, tel))
}

// A release is not made of what is only in memory: the items that the start moved.
func TestNoReleaseOfWhatIsMoved(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	for _, value := range []string{"0", "1", "2"} {
		require.NoError(t, offer(t, c, &m, []byte(value)))
	}
	m.Read, m.InFlight = 3, []uint64{0}
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(queue.MetadataKey, m.Encode()), storage.DeleteOperation("1"), storage.DeleteOperation("2")))
	c.flush()
	dir = killed(t, dir)
	room := fill(t, filepath.Join(dir, queueDir))
	c = queueClient(t, nil, dir)
	c.flush()
	room()
	after, tel := reopened(t, dir)
	assert.Equal(t, []string{"0"}, waiting(t, after))
	assert.Empty(t, counts(t, tel))
}

// What a release has let go of is not kept in memory.
func TestReleasedIsForgotten(t *testing.T) {
	dir := t.TempDir()
	c := queueClient(t, nil, dir)
	var m queue.Metadata
	require.NoError(t, offer(t, c, &m, []byte("delivered")))
	c.mu.Lock()
	c.keep(queue.MetadataKey, queue.Metadata{Read: 1, Write: 1}.Encode())
	c.keep("0", nil)
	c.release(t.Context())
	assert.Empty(t, c.gone)
	assert.False(t, c.store.Has("0"))
	c.mu.Unlock()
	c, _ = reopened(t, dir)
	assert.Empty(t, waiting(t, c))
}
