package readme

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = "# A component\n\n```yaml\nprocessors:\n  sample:\n    journal: {max_bytes: 7}\n```\n\n## Keys\n\n" +
	"| Key | Default | Unit |\n|---|---|---|\n" +
	"| `storage` | (none) | |\n| `idle` | `15m` | duration |\n| `journal::max_bytes` | `5` | bytes |\n| `tls`, `auth` … | | |\n\n" +
	"## Metrics\n\n| Metric | What |\n|---|---|\n| `lost{why=\"x\"}` against `limit` | `late` or `never` |\n"

type journal struct {
	MaxBytes int  `mapstructure:"max_bytes"`
	Keep     bool `mapstructure:"keep"`
}

type config struct {
	Storage *string       `mapstructure:"storage,omitempty"`
	Idle    time.Duration `mapstructure:"idle"`
	Journal journal       `mapstructure:"journal"`
}

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

func TestTables(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "README.md", sample)
	assert.Equal(t, map[string]string{"storage": None, "idle": "15m", "journal::max_bytes": "5"}, Rows(t, Section(t, "Keys")))
	assert.Equal(t, []string{"storage", "idle", "journal::max_bytes", "tls", "auth"}, Names(Section(t, "Keys")))
	assert.Equal(t, []string{"lost", "limit"}, Names(Section(t, "Metrics")))
	assert.Equal(t, "| `tls`, `auth` … | | |", Row(t, Section(t, "Keys"), "tls"))
	assert.Equal(t, "# A component\n", Before(t, Text(t), "\n```yaml"))
}

func TestKeysAndDefaults(t *testing.T) {
	assert.Equal(t, []string{"storage", "idle", "journal"}, Keys[config](""))
	assert.Equal(t, []string{"journal::max_bytes", "journal::keep"}, Keys[journal]("journal::"))
	assert.Equal(t, map[string]string{"storage": None, "idle": "15m", "journal::max_bytes": "5", "journal::keep": "false"},
		Defaults(&config{Idle: 15 * time.Minute, Journal: journal{MaxBytes: 5}}))
}

func TestExample(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "README.md", sample)
	cfg := config{Journal: journal{Keep: true}}
	Example(t, "processors::sample", &cfg)
	assert.Equal(t, journal{MaxBytes: 7, Keep: true}, cfg.Journal)
}

func TestMetrics(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "documentation.md", "# sample\n\n### otelcol_processor_sample_lost\n\nLost.\n\n### otelcol_processor_sample_limit\n\nThe limit.\n")
	assert.Equal(t, map[string]string{"lost": "\nLost.\n", "limit": "\nThe limit.\n"}, Metrics(t, "processor_sample_"))
}
