package durabletailsamplingprocessor

import (
	"errors"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
	"go.opentelemetry.io/collector/component"
)

// Config is what a user can set: the configuration of tail_sampling, and the journal; README.md has the table.
type Config struct {
	tailsamplingprocessor.Config `mapstructure:",squash"`

	Journal JournalConfig `mapstructure:"journal"`
}

// JournalConfig says where spans are kept while they wait.
type JournalConfig struct {
	// Storage is a storage extension, such as durable_storage.
	Storage *component.ID `mapstructure:"storage"`
	// MaxBytes is when spans are refused.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// KeepOnShutdown leaves traces that wait to the next start instead of deciding on them at shutdown.
	KeepOnShutdown bool `mapstructure:"keep_on_shutdown"`
}

var upstream = tailsamplingprocessor.NewFactory()

func createDefaultConfig() component.Config {
	return &Config{Config: *upstream.CreateDefaultConfig().(*tailsamplingprocessor.Config), Journal: JournalConfig{MaxBytes: 1 << 30}}
}

// Validate refuses what decides on traces out of their order: the journal could not know what it may forget.
func (c *Config) Validate() error {
	cache := func(key string, n int) error {
		if n > 0 {
			return nil
		}
		return fmt.Errorf("decision_cache::%s: must be positive, got %d: the journal learns of decisions from it", key, n)
	}
	var errs []error
	if c.DecisionWaitAfterRootReceived != 0 {
		errs = append(errs, fmt.Errorf("decision_wait_after_root_received: must be 0, got %s: traces would be decided out of order", c.DecisionWaitAfterRootReceived))
	}
	if c.MaximumTraceSizeBytes != 0 {
		errs = append(errs, fmt.Errorf("maximum_trace_size_bytes: must be 0, got %d: traces would be decided out of order", c.MaximumTraceSizeBytes))
	}
	if c.DropPendingTracesOnShutdown {
		errs = append(errs, errors.New("drop_pending_traces_on_shutdown: must be false, got true; use journal::keep_on_shutdown"))
	}
	if !c.BlockOnOverflow {
		errs = append(errs, errors.New("block_on_overflow: must be true, got false: traces would be dropped undecided"))
	}
	return errors.Join(append(errs, cache("sampled_cache_size", c.DecisionCache.SampledCacheSize),
		cache("non_sampled_cache_size", c.DecisionCache.NonSampledCacheSize))...)
}

// Validate checks one journal.
func (c *JournalConfig) Validate() error {
	if c.Storage == nil {
		return errors.New("storage: must be a storage extension, got none; without a journal use tail_sampling")
	}
	if c.MaxBytes <= 0 {
		return fmt.Errorf("max_bytes: must be positive, got %d", c.MaxBytes)
	}
	return nil
}
