package durablestorageextension

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	ext, err := newExtension(extensiontest.NewNopSettings(component.MustNewType("durable_storage")), &Config{Directory: dir})
	require.NoError(t, err)
	client, err := ext.GetClient(t.Context(), component.KindProcessor, component.MustNewID("x"), "")
	require.NoError(t, err)
	require.NoError(t, client.Batch(t.Context(), storage.SetOperation("0", []byte("a")), storage.SetOperation("1", []byte("b")), storage.SetOperation("state", []byte("c"))))
	require.NoError(t, client.Delete(t.Context(), "0"))
	folder := filepath.Join(dir, "processor_x_")
	_, _, err = Look(folder)
	assert.ErrorIs(t, err, ErrInUse)
	require.NoError(t, client.Close(t.Context()))

	before := listing(t, folder)
	items, others, err := Look(folder)
	require.NoError(t, err)
	assert.Equal(t, 1, items)
	assert.Equal(t, 1, others)
	assert.Equal(t, before, listing(t, folder))

	items, others, err = Look(t.TempDir())
	assert.NoError(t, err)
	assert.Zero(t, items+others)
	_, _, err = Look("/does/not/exist")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func listing(t *testing.T, folder string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		sizes[e.Name()] = info.Size()
	}
	return sizes
}
