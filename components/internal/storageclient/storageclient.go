// Package storageclient opens the storage that a processor's key storage names.
package storageclient

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// Open gives the processor self its client of the extension id. Without an id there is none, nor an error: then the log says what that
// loses.
func Open(
	ctx context.Context, host component.Host, id *component.ID, self component.ID, logger *zap.Logger, loses string,
) (storage.Client, error) {
	if id == nil {
		logger.Warn("no storage is set: " + loses + "; set storage to a durable_storage extension")
		return nil, nil
	}
	client, err := OpenFor(ctx, host, component.KindProcessor, *id, self, "")
	if errors.As(err, &heldError{}) {
		return nil, fmt.Errorf("%w; when this processor is in two pipelines, give each its own (%s/2)", err, self.Type())
	}
	return client, err
}

// heldError is what the extension itself said.
type heldError struct{ error }

func (e heldError) Unwrap() error { return e.error }

// OpenFor gives a component of any kind its client of the extension id. The name tells several clients of one component apart.
func OpenFor(
	ctx context.Context, host component.Host, kind component.Kind, id, self component.ID, name string,
) (storage.Client, error) {
	ext, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("storage: extension %q is not there; add it to service.extensions", id)
	}
	provider, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("storage: extension %q keeps nothing; use durable_storage", id)
	}
	client, err := provider.GetClient(ctx, kind, self, name)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", heldError{err})
	}
	return client, nil
}
