package cardinalitylimiterprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's first table has every key and its default, the second one every key of a rule.
func TestReadmeTables(t *testing.T) {
	keys := readme.Section(t, "Use")
	settings := readme.Before(t, keys, "\nA rule:\n")
	assert.Equal(t, readme.Defaults(createDefaultConfig()), readme.Rows(t, settings))
	assert.ElementsMatch(t, readme.Keys[RuleConfig](""), readme.Names(keys[len(settings):]))
}

// README.md's example is valid.
func TestReadmeExample(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	readme.Example(t, "processors::cardinality_limiter", cfg)
	assert.Len(t, cfg.Rules, 5)
}

// Every metric that README.md names is there.
func TestReadmeMetrics(t *testing.T) {
	named := readme.Names(readme.Section(t, "Its own metrics"))
	for _, name := range named {
		assert.Contains(t, readme.Metrics(t, "processor_cardinality_limiter_"), name)
	}
	assert.Greater(t, len(named), 5)
}
