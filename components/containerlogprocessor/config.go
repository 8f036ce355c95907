package containerlogprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config is what a user can set; README.md has the table.
type Config struct {
	// Storage is the storage extension that keeps what was read and not yet delivered over a restart.
	Storage *component.ID `mapstructure:"storage"`
	// MaxRecordSize bounds a joined record; a longer one comes out in marked pieces.
	MaxRecordSize int `mapstructure:"max_record_size"`
	// MaxHeldSize bounds what all unfinished records hold; above it, reading waits.
	MaxHeldSize int `mapstructure:"max_held_size"`
	// PartialTimeout is how long an unfinished record waits for its next line.
	PartialTimeout time.Duration `mapstructure:"partial_timeout"`
	// RotationTimeout is how long a new file waits for the rotated file before it while nobody reads that.
	RotationTimeout time.Duration `mapstructure:"rotation_timeout"`
	// MaxFiles bounds the files whose identity is remembered.
	MaxFiles int `mapstructure:"max_files"`
}

func createDefaultConfig() component.Config {
	return &Config{
		MaxRecordSize:   1 << 20,
		MaxHeldSize:     32 << 20,
		PartialTimeout:  5 * time.Second,
		RotationTimeout: 2 * time.Second,
		MaxFiles:        16384,
	}
}

// Validate names the key, the rule and the value of everything that is wrong.
func (c *Config) Validate() error {
	var errs error
	if c.MaxRecordSize < 1024 {
		errs = errors.Join(errs, fmt.Errorf("max_record_size: must be at least 1024 bytes, got %d", c.MaxRecordSize))
	}
	if c.MaxHeldSize < c.MaxRecordSize {
		errs = errors.Join(errs, fmt.Errorf("max_held_size: must be at least max_record_size (%d), got %d", c.MaxRecordSize, c.MaxHeldSize))
	}
	if c.PartialTimeout <= 0 {
		errs = errors.Join(errs, fmt.Errorf("partial_timeout: must be positive, got %s", c.PartialTimeout))
	}
	if c.RotationTimeout < 0 {
		errs = errors.Join(errs, fmt.Errorf("rotation_timeout: must not be negative, got %s", c.RotationTimeout))
	}
	if c.MaxFiles < 1 {
		errs = errors.Join(errs, fmt.Errorf("max_files: must be positive, got %d", c.MaxFiles))
	}
	return errs
}
