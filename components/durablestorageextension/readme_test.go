package durablestorageextension

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-otel/sluice/components/internal/readme"
)

// README.md's table has every key, and its example is valid.
func TestReadme(t *testing.T) {
	keys := readme.Before(t, readme.Text(t), "\n## ")
	assert.Equal(t, readme.Keys[Config](""), readme.Names(keys))
	assert.Equal(t, readme.Defaults(createDefaultConfig()), readme.Rows(t, keys))
	readme.Example(t, "extensions::durable_storage", createDefaultConfig())
}

// README.md names every metric, and each value of its attributes, that there is, and every test that it names is there.
func TestReadmeMetricsAndTests(t *testing.T) {
	table := readme.Section(t, "Its own metrics")
	metrics := readme.Metrics(t, "")
	require.Len(t, metrics, 2)
	for name := range metrics {
		readme.Row(t, table, "otelcol_"+name)
	}
	for _, value := range []string{damagedRecord, damagedItem, damagedIndex, damagedTorn, "no_space", "other"} {
		assert.Contains(t, table, "`"+value+"`")
	}
	var code strings.Builder
	for _, name := range []string{"queue_test.go", "volume_test.go", "kill_test.go", "upstream_test.go", "internal/store/store_test.go"} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(b)
	}
	for _, m := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(readme.Text(t), -1) {
		assert.Contains(t, code.String(), "func "+m[1]+"(")
	}
}
