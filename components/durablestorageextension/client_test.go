package durablestorageextension

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// points are a counter's values by their attribute other than client.
func points(m metricdata.Metrics) map[string]int64 {
	all := map[string]int64{}
	for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
		for _, kv := range p.Attributes.ToSlice() {
			if kv.Key != "client" {
				all[kv.Value.AsString()] += p.Value
			}
		}
	}
	return all
}

// fill makes every write to a client's segments fail as long as the returned function is not called: a limit on the size of files, for
// the whole process. A full volume is what e2e has.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	return limitFileSize(t, uint64(info.Size())) //nolint:gosec // a size
}

func TestConfig(t *testing.T) {
	cfg := createDefaultConfig()
	require.EqualError(t, xconfmap.Validate(cfg), `directory must be set, to a folder that survives a restart; got ""`)
	cfg.(*Config).Directory = "/var/lib/sluice"
	require.NoError(t, xconfmap.Validate(cfg))
}

func TestDirectoryNames(t *testing.T) {
	f := func(want string, kind component.Kind, id component.ID, name string) {
		t.Helper()
		assert.Equal(t, want, directoryName(kind, id, name))
	}
	queue := component.MustNewIDWithName("otlp_grpc", "gateway_logs")
	f("exporter_otlp_grpc_gateway_logs_logs", component.KindExporter, queue, "logs")
	f("receiver_filelog_", component.KindReceiver, component.MustNewID("filelog"), "")
	f("processor_p_a~002Fb~007E", component.KindProcessor, component.MustNewIDWithName("p", "a/b~"), "")
	long := directoryName(component.KindExporter, component.MustNewIDWithName("otlp_grpc", strings.Repeat("x", 300)), "logs")
	assert.Len(t, long, 64)
}

// State of receivers and processors is written at once, and all of a batch or nothing of it.
func TestOtherClients(t *testing.T) {
	dir := t.TempDir()
	id := component.MustNewID("filelog")
	ext := newStorage(t, nil, dir)
	c, err := ext.GetClient(t.Context(), component.KindReceiver, id, "")
	require.NoError(t, err)
	_, err = ext.GetClient(t.Context(), component.KindReceiver, id, "")
	require.ErrorContains(t, err, "another process has it open")

	require.NoError(t, c.Set(t.Context(), "7", []byte("a")))
	get := storage.GetOperation("7")
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation("7", []byte("b")), get, storage.DeleteOperation("7"), storage.SetOperation("qmv0", nil)))
	assert.Equal(t, "b", string(get.Value), "a Get sees what comes before it")
	f := func(c storage.Client) {
		t.Helper()
		value, err := c.Get(t.Context(), "7")
		require.NoError(t, err)
		assert.Nil(t, value)
		value, err = c.Get(t.Context(), "qmv0")
		require.NoError(t, err)
		assert.Equal(t, []byte{}, value)
	}
	f(c)
	again, err := newStorage(t, nil, killed(t, dir)).GetClient(t.Context(), component.KindReceiver, id, "")
	require.NoError(t, err)
	f(again)
	require.ErrorIs(t, c.Set(t.Context(), "", []byte("x")), errNoKey)
	require.NoError(t, c.Delete(t.Context(), "qmv0"))
	require.NoError(t, c.Close(t.Context()))
	require.NoError(t, c.Close(t.Context()))
	require.ErrorIs(t, c.Set(t.Context(), "x", nil), errClosed)
}

// A damaged value of a receiver is as if it were not there: the receiver starts.
func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	tel := componenttest.NewTelemetry()
	id := component.MustNewID("filelog")
	c, err := newStorage(t, tel, dir).GetClient(t.Context(), component.KindReceiver, id, "")
	require.NoError(t, err)
	require.NoError(t, c.Set(t.Context(), "offsets", []byte("here they are")))
	files, err := filepath.Glob(filepath.Join(dir, "receiver_filelog_", "*.log"))
	require.NoError(t, err)
	content, err := os.ReadFile(files[0])
	require.NoError(t, err)
	content[len(content)-1] ^= 1
	require.NoError(t, os.WriteFile(files[0], content, 0o600))
	value, err := c.Get(t.Context(), "offsets")
	require.NoError(t, err)
	assert.Nil(t, value)
	assert.Equal(t, map[string]int64{"record": 1}, counts(t, tel))
	require.NoError(t, c.Close(t.Context()))
	c, err = newStorage(t, tel, dir).GetClient(t.Context(), component.KindReceiver, id, "")
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"record": 2}, counts(t, tel))
	require.NoError(t, c.Close(t.Context()))
}

// Where file_storage has a file, the error says what to do.
func TestFileOfFileStorage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "receiver_filelog_"), []byte("x"), 0o600))
	_, err := newStorage(t, nil, dir).GetClient(t.Context(), component.KindReceiver, component.MustNewID("filelog"), "")
	require.ErrorContains(t, err, "receiver_filelog_ is a file, probably of file_storage: go on with that until its queue is empty")
}
