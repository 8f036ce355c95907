package startgateprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's example is valid, and has the gate first; the metric is the one that there is.
func TestReadme(t *testing.T) {
	readme.Example(t, "processors::start_gate", NewFactory().CreateDefaultConfig())
	assert.Contains(t, readme.Text(t), "processors: [start_gate, ")
	for name := range readme.Metrics(t, "") {
		assert.Contains(t, readme.Text(t), "`otelcol_"+name+"` counts")
	}
}
