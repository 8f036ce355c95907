package preflightextension

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/internal/readme"
	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

func TestReadmeHasEverySetting(t *testing.T) {
	want := readme.Defaults(createDefaultConfig())
	for _, key := range readme.Keys[AcceptConfig]("accept::") {
		want[key] = "(required)"
	}
	assert.Equal(t, want, readme.Rows(t, readme.Section(t, "Settings")))
}

func TestReadmeHasEveryCheck(t *testing.T) {
	want := map[string]string{}
	for _, id := range check.IDs() {
		want[string(id)] = string(id.Severity())
	}
	assert.Equal(t, want, readme.Rows(t, readme.Section(t, "Checks")))
}

func TestReadmeHasEveryMetric(t *testing.T) {
	assert.ElementsMatch(t, slices.Collect(maps.Keys(readme.Metrics(t, "extension_preflight_"))), readme.Names(readme.Section(t, "Its own metrics")))
}

func TestReadmeExample(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "extensions::preflight", cfg)
	assert.NotEmpty(t, cfg.FailOn)
	assert.NotEmpty(t, cfg.Accept)
}
