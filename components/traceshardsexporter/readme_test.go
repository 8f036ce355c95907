package traceshardsexporter

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's example is valid, its table of keys has those of ours, and its metrics are those that there are.
func TestReadme(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "exporters::trace_shards", cfg)
	assert.Equal(t, 3, cfg.Shards)

	keys := readme.Before(t, readme.Section(t, "Keys"), "\n\nAll other")
	assert.Equal(t, map[string]string{"shards": readme.None, "endpoint": readme.None}, readme.Rows(t, keys))
	assert.Zero(t, createDefaultConfig().(*Config).Shards)
	assert.Equal(t, "shards", reflect.TypeFor[Config]().Field(1).Tag.Get("mapstructure"))

	assert.ElementsMatch(t, slices.Collect(maps.Keys(readme.Metrics(t, ""))), readme.Names(readme.Section(t, "Its own metrics")))
}
