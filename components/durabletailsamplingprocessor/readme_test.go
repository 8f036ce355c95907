package durabletailsamplingprocessor

import (
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's example is valid, its table of keys has those of ours, and its metrics are those that there are.
func TestReadme(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "processors::durable_tail_sampling", cfg)
	assert.Len(t, cfg.PolicyCfgs, 2)

	keys := readme.Before(t, readme.Section(t, "Keys"), "\n\nAll other")
	assert.Equal(t, readme.Keys[JournalConfig]("journal::"), readme.Names(keys))
	journal := createDefaultConfig().(*Config).Journal
	assert.Equal(t, map[string]string{
		"journal::storage": readme.None, "journal::max_bytes": strconv.FormatInt(journal.MaxBytes, 10), "journal::keep_on_shutdown": strconv.FormatBool(journal.KeepOnShutdown),
	}, readme.Rows(t, keys))
	assert.Nil(t, journal.Storage)

	assert.ElementsMatch(t, slices.Collect(maps.Keys(readme.Metrics(t, ""))), readme.Names(readme.Section(t, "Its own metrics")))
}
