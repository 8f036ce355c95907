package durablestorageextension

import (
	"path/filepath"
	"testing"

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
