package durablestorageextension

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// README.md's table has every key, and its example is valid.
func TestReadme(t *testing.T) {
	keys := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| ").FindAllStringSubmatch(readme(t), -1)
	config := reflect.TypeFor[Config]()
	require.Len(t, keys, config.NumField())
	for i, m := range keys {
		assert.Equal(t, config.Field(i).Tag.Get("mapstructure"), m[1])
	}

	_, block, _ := strings.Cut(readme(t), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(block))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("extensions::durable_storage")
	require.NoError(t, err)
	cfg := createDefaultConfig()
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
}

// README.md names every metric, and each value of its attributes, that there is, and every test that it names is there.
func TestReadmeMetricsAndTests(t *testing.T) {
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
	metrics := regexp.MustCompile("(?m)^### (otelcol_[a-z_]+)").FindAllStringSubmatch(string(text), -1)
	require.Len(t, metrics, 2)
	for _, m := range metrics {
		assert.Contains(t, readme(t), "| `"+m[1]+"` |")
	}
	for _, value := range []string{damagedRecord, damagedItem, damagedIndex, damagedTorn, "no_space", "other"} {
		assert.Contains(t, readme(t), "`"+value+"`")
	}
	var code strings.Builder
	for _, name := range []string{"queue_test.go", "volume_test.go", "kill_test.go", "upstream_test.go", "internal/store/store_test.go"} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(b)
	}
	for _, m := range regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(readme(t), -1) {
		assert.Contains(t, code.String(), "func "+m[1]+"(")
	}
}
