package durabletailsamplingprocessor

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// README.md's example is valid, its table of keys has those of ours, and its metrics are those of metadata.yaml.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(text)
	_, example, _ := strings.Cut(readme, "```yaml\nprocessors:\n  durable_tail_sampling:\n")
	example, _, _ = strings.Cut(example, "```")
	cfg, err := config(t, strings.ReplaceAll(example, "\n    ", "\n")[4:])
	require.NoError(t, err)
	assert.Len(t, cfg.PolicyCfgs, 2)

	_, keys, _ := strings.Cut(readme, "## Keys\n")
	keys, _, _ = strings.Cut(keys, "\n\nAll other")
	var wantKeys []string
	for i := range reflect.TypeFor[JournalConfig]().NumField() {
		wantKeys = append(wantKeys, "journal::"+reflect.TypeFor[JournalConfig]().Field(i).Tag.Get("mapstructure"))
	}
	assert.Equal(t, wantKeys, first(keys))
	defaults := createDefaultConfig().(*Config).Journal
	assert.Contains(t, keys, fmt.Sprintf("| `journal::max_bytes` | `%d` |", defaults.MaxBytes))
	assert.Contains(t, keys, fmt.Sprintf("| `journal::keep_on_shutdown` | `%t` |", defaults.KeepOnShutdown))
	assert.Nil(t, defaults.Storage)

	_, metrics, _ := strings.Cut(readme, "## Its own metrics\n")
	metrics, _, _ = strings.Cut(metrics, "\n## ")
	metadata, err := os.ReadFile("metadata.yaml")
	require.NoError(t, err)
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^    (processor_[a-z_]+):`).FindAllStringSubmatch(string(metadata), -1) {
		want = append(want, m[1])
	}
	assert.ElementsMatch(t, want, first(metrics))
}

// first are the names in a table's first column.
func first(table string) (names []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\|").FindAllStringSubmatch(table, -1) {
		names = append(names, m[1])
	}
	return names
}
