package containerlogprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/sluice-otel/sluice/components/containerlogprocessor/internal/metadata"
	"github.com/sluice-otel/sluice/components/internal/readme"
)

func TestConfig(t *testing.T) {
	cfg := createDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"storage": "file_storage/logs", "max_record_size": 2048, "max_held_size": 4096, "partial_timeout": "1s", "rotation_timeout": "0s", "max_files": 7,
	}).Unmarshal(cfg))
	id := component.MustNewIDWithName("file_storage", "logs")
	assert.Equal(t, &Config{Storage: &id, MaxRecordSize: 2048, MaxHeldSize: 4096, PartialTimeout: time.Second, MaxFiles: 7}, cfg)
	require.NoError(t, cfg.(*Config).Validate())
}

func TestValidate(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		assert.EqualError(t, cfg.Validate(), want)
	}
	f("max_record_size: must be at least 1024 bytes, got 1023", func(c *Config) { c.MaxRecordSize = 1023 })
	f("max_held_size: must be at least max_record_size (1048576), got 1048575", func(c *Config) { c.MaxHeldSize = 1<<20 - 1 })
	f("partial_timeout: must be positive, got 0s", func(c *Config) { c.PartialTimeout = 0 })
	f("rotation_timeout: must not be negative, got -1s", func(c *Config) { c.RotationTimeout = -time.Second })
	f("max_files: must be positive, got 0", func(c *Config) { c.MaxFiles = 0 })
	f("max_record_size: must be at least 1024 bytes, got 0\nmax_files: must be positive, got -1", func(c *Config) { c.MaxRecordSize, c.MaxFiles = 0, -1 })
}

// README.md's table has every key and its default.
func TestReadmeTable(t *testing.T) {
	assert.Equal(t, readme.Defaults(createDefaultConfig()), readme.Rows(t, readme.Section(t, "Use")))
}

func TestStorageThatIsNot(t *testing.T) {
	f := func(want string, host component.Host) {
		t.Helper()
		cfg := createDefaultConfig().(*Config)
		cfg.Storage = &storageID
		p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
		require.NoError(t, err)
		assert.ErrorContains(t, p.Start(t.Context(), host), want)
		require.NoError(t, p.Shutdown(t.Context()))
	}
	f(`storage: extension "file_storage" is not there; add it to service.extensions`, componenttest.NewNopHost())
	f(`storage: extension "file_storage" keeps nothing; use durable_storage`, host{extensions: map[component.ID]component.Component{storageID: nil}})
}

// The README's example is valid.
func TestReadmeExample(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "processors::containerlog", cfg)
	assert.Equal(t, "durable_storage", cfg.Storage.String())
}

// Every metric that README.md names is there.
func TestReadmeMetrics(t *testing.T) {
	named := readme.Names(readme.Section(t, "Its own metrics"))
	for _, name := range named {
		assert.Contains(t, readme.Metrics(t, "processor_containerlog_"), name)
	}
	assert.Greater(t, len(named), 5)
}
