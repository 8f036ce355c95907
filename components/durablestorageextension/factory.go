package durablestorageextension

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/sluice-otel/sluice/components/durablestorageextension/internal/metadata"
)

// Config is what a user can set; README.md has the table.
type Config struct {
	// Directory has a folder for each component that keeps something.
	Directory string `mapstructure:"directory"`
	// Fsync waits until each write is on the disk: acknowledged data outlives a power cut, not only the process.
	Fsync bool `mapstructure:"fsync"`
}

// Validate says what is missing.
func (c *Config) Validate() error {
	if c.Directory == "" {
		return errors.New(`directory must be set, to a folder that survives a restart; got ""`)
	}
	return nil
}

// NewFactory makes the factory of the durable_storage extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func createDefaultConfig() component.Config {
	return &Config{}
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newExtension(set, cfg.(*Config))
}
