package storageclient

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var (
	id   = component.MustNewIDWithName("file_storage", "state")
	self = component.MustNewIDWithName("some_processor", "a")
)

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

type nothing struct {
	component.StartFunc
	component.ShutdownFunc
}

// extension gives one client, to self.
type extension struct {
	nothing
	t      *testing.T
	client storage.Client
	err    error
}

func (e extension) GetClient(_ context.Context, kind component.Kind, of component.ID, name string) (storage.Client, error) {
	assert.Equal(e.t, component.KindProcessor, kind)
	assert.Equal(e.t, self, of)
	assert.Empty(e.t, name, "another name is another state: what was stored before would be lost")
	return e.client, e.err
}

func TestOpen(t *testing.T) {
	want := storage.NewNopClient()
	client, err := Open(t.Context(), host{id: extension{t: t, client: want}}, &id, self, zap.NewNop(), "")
	require.NoError(t, err)
	assert.Equal(t, want, client)
}

func TestOpenFails(t *testing.T) {
	f := func(want string, h host) {
		t.Helper()
		client, err := Open(t.Context(), h, &id, self, zap.NewNop(), "")
		assert.EqualError(t, err, want)
		assert.Nil(t, client)
	}
	f(`storage: extension "file_storage/state" is not there; add it to service.extensions`, nil)
	f(`storage: extension "file_storage/state" keeps nothing; use durable_storage`, host{id: nothing{}})
	f(`storage: extension "file_storage/state" keeps nothing; use durable_storage`, host{id: nil})
	f("storage: locked; when this processor is in two pipelines, give each its own (some_processor/2)",
		host{id: extension{t: t, client: storage.NewNopClient(), err: errors.New("locked")}})
}

func TestNoStorage(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	client, err := Open(t.Context(), nil, nil, self, zap.New(core), "what is held is lost")
	require.NoError(t, err)
	assert.Nil(t, client)
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, "no storage is set: what is held is lost; set storage to a durable_storage extension", logs.All()[0].Message)
}
