package lokihintprocessor

import (
	"context"
	"errors"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// memoryStorage is a storage extension that the test looks into.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc
	data          map[string][]byte
	getErr, fails error
	closed        bool
}

func (s *memoryStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *memoryStorage) Get(_ context.Context, key string) ([]byte, error) {
	return s.data[key], s.getErr
}

func (s *memoryStorage) Set(_ context.Context, key string, value []byte) error {
	if s.fails == nil {
		s.data[key] = value
	}
	return s.fails
}

func (*memoryStorage) Delete(context.Context, string) error { return errors.New("not used") }

func (*memoryStorage) Batch(context.Context, ...*storage.Operation) error {
	return errors.New("not used")
}

func (s *memoryStorage) Close(context.Context) error {
	s.closed = true
	return nil
}

// newFileStorage is a real one over a folder.
func newFileStorage(t *testing.T, dir string) component.Component {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = dir
	ext, err := f.Create(context.Background(), extension.Settings{ID: storageID, TelemetrySettings: componenttest.NewNopTelemetrySettings()}, cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(context.Background(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	return ext
}

const twoPods = "{storage: file_storage, labels: [{from: [resource.k8s.pod.name], max_values: 2}]}"

func pod(name string) kv { return kv{"k8s.pod.name", name} }

// Who was a label before a restart is one after it, whoever comes first.
func TestARestart(t *testing.T) {
	ext := newFileStorage(t, t.TempDir())
	r := newRig(t, twoPods, ext)
	assert.Equal(t, "a b ", r.label("k8s_pod_name", pod("a"), pod("b"), pod("c")))
	for range 3 {
		r.shutdown()
		r = newRig(t, twoPods, ext)
		assert.Equal(t, map[string]int64{"service_name": 1, "k8s_pod_name": 2}, r.counted("label_values", "label"))
		assert.Equal(t, " b ", r.label("k8s_pod_name", pod("c"), pod("b"), pod("d")))
		assert.Empty(t, r.counted("storage_errors", "none"))
	}
	assert.Equal(t, "a", r.label("k8s_pod_name", pod("a")))
	assert.Empty(t, r.counted("new_streams", "none"), "nothing is new to Loki")
}

func TestWithoutAStorageARestartBeginsAnew(t *testing.T) {
	const config = "{labels: [{from: [resource.k8s.pod.name], max_values: 2}]}"
	r := newRig(t, config)
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("no storage is set: after a restart the first values to come are labels").Len())
	assert.Equal(t, "a b ", r.label("k8s_pod_name", pod("a"), pod("b"), pod("c")))
	r.shutdown()
	assert.Equal(t, "c a ", newRig(t, config).label("k8s_pod_name", pod("c"), pod("a"), pod("b")))
}

// What cannot be read is told and counted, and the processor runs.
func TestAStorageThatCannotBeRead(t *testing.T) {
	f := func(s *memoryStorage) {
		t.Helper()
		s.data = map[string][]byte{}
		r := newRig(t, twoPods, s)
		assert.Equal(t, "a b ", r.label("k8s_pod_name", pod("a"), pod("b"), pod("c")))
		r.shutdown()
		assert.True(t, s.closed)
		require.Len(t, s.data, 1)
		s.data[storageKey][3] ^= 1
		if s.getErr = s.fails; s.getErr != nil {
			s.data = map[string][]byte{}
		}
		s.fails = nil
		r = newRig(t, twoPods, s)
		assert.Equal(t, map[string]int64{"": 1}, r.counted("storage_errors", "none"))
		assert.Equal(t, 1, r.logs.FilterMessageSnippet("what was known before the start cannot be read").Len())
		assert.Equal(t, "c a ", r.label("k8s_pod_name", pod("c"), pod("a"), pod("b")))
	}
	f(&memoryStorage{})
}

func TestAStorageThatFails(t *testing.T) {
	s := &memoryStorage{data: map[string][]byte{}, getErr: errors.New("disk gone")}
	r := newRig(t, twoPods, s)
	assert.Equal(t, map[string]int64{"": 1}, r.counted("storage_errors", "none"))
	s.fails = errors.New("disk full")
	assert.Equal(t, "a", r.label("k8s_pod_name", pod("a")))
	r.save(context.Background())
	assert.Equal(t, map[string]int64{"": 2}, r.counted("storage_errors", "none"))
	assert.Equal(t, 1, r.logs.FilterMessageSnippet("known values and streams cannot be stored").Len())
	s.fails, s.getErr = nil, nil
	r.save(context.Background())
	require.NotEmpty(t, s.data[storageKey], "it is tried again, though nothing is new")
	assert.Equal(t, "a b", r.label("k8s_pod_name", pod("a"), pod("b")), "records go on")
	r.save(context.Background())
	saved := s.data[storageKey]
	r.shutdown()
	assert.Equal(t, saved, s.data[storageKey], "with nothing new nothing is written")
	assert.Equal(t, " b", newRig(t, twoPods, s).label("k8s_pod_name", pod("c"), pod("b")))
}

func TestStorageThatIsNoneFailsTheStart(t *testing.T) {
	_, err := tryRig(t, twoPods)
	require.ErrorContains(t, err, `storage: extension "file_storage" is not there; add it to service.extensions`)
	_, err = tryRig(t, twoPods, struct {
		component.StartFunc
		component.ShutdownFunc
	}{})
	require.ErrorContains(t, err, `storage: extension "file_storage" keeps nothing`)
}
