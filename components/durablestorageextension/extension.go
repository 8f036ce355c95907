package durablestorageextension

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/metadata"
	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/store"
)

type durableStorage struct {
	component.StartFunc
	component.ShutdownFunc
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
}

var _ storage.Extension = (*durableStorage)(nil)

func newExtension(set extension.Settings, cfg *Config) (*durableStorage, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &durableStorage{config: cfg, logger: set.Logger, telemetry: builder}, nil
}

// GetClient opens a component's directory. The names are those of file_storage's files.
func (d *durableStorage) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	name = directoryName(kind, id, name)
	c := &client{
		path:      filepath.Join(d.config.Directory, name),
		queue:     kind == component.KindExporter,
		logger:    d.logger.With(zap.String("client", name)),
		telemetry: newClientTelemetry(d.telemetry, name),
		late:      map[string][]byte{},
		gone:      map[string]struct{}{},
	}
	if info, err := os.Lstat(c.path); err == nil && info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a file, probably of file_storage: go on with that until its queue is empty, then delete the file, or give durable_storage another directory", c.path)
	}
	if err := c.open(ctx, store.Options{Fsync: d.config.Fsync, Spare: c.queue}); err != nil {
		return nil, fmt.Errorf("directory %s: %w", d.config.Directory, err)
	}
	return c, nil
}

// maxName is the most that file systems take.
const maxName = 255

func directoryName(kind component.Kind, id component.ID, name string) string {
	parts := []string{strings.ToLower(kind.String()), id.Type().String(), id.Name()}
	if name != "" {
		parts = append(parts, name)
	}
	var safe strings.Builder
	for _, r := range strings.Join(parts, "_") {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			safe.WriteRune(r)
		} else {
			fmt.Fprintf(&safe, "~%04X", r)
		}
	}
	if safe.Len() > maxName {
		sum := sha256.Sum256([]byte(safe.String()))
		return hex.EncodeToString(sum[:])
	}
	return safe.String()
}
