package preflightextension

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/xconfmap"

	"github.com/sluice-otel/sluice/components/preflightextension/internal/check"
)

// section is what README.md has under a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found, heading)
	after, _, _ = strings.Cut(after, "\n## ")
	return after
}

// rows are those of the tables in it: the first cell, which is code, and the second.
func rows(t *testing.T, heading string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| ([^|]*?) \\|").FindAllStringSubmatch(section(t, heading), -1) {
		assert.NotContains(t, found, m[1], "twice")
		found[m[1]] = strings.Trim(m[2], "`")
	}
	return found
}

func TestReadmeHasEverySetting(t *testing.T) {
	want := map[string]string{}
	cfg := reflect.ValueOf(createDefaultConfig()).Elem()
	for i := range cfg.NumField() {
		key := cfg.Type().Field(i).Tag.Get("mapstructure")
		want[key] = "(none)"
		if !cfg.Field(i).IsZero() {
			want[key] = fmt.Sprint(cfg.Field(i).Interface())
		}
	}
	for i := range reflect.TypeFor[AcceptConfig]().NumField() {
		want["accept::"+reflect.TypeFor[AcceptConfig]().Field(i).Tag.Get("mapstructure")] = "(required)"
	}
	assert.Equal(t, want, rows(t, "Settings"))
}

func TestReadmeHasEveryCheck(t *testing.T) {
	want := map[string]string{}
	for _, id := range check.IDs() {
		want[string(id)] = string(id.Severity())
	}
	assert.Equal(t, want, rows(t, "Checks"))
}

func TestReadmeHasEveryMetric(t *testing.T) {
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
	var want, have []string
	for _, m := range regexp.MustCompile("(?m)^### otelcol_extension_preflight_([a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		want = append(want, m[1])
	}
	for name := range rows(t, "Its own metrics") {
		have = append(have, name)
	}
	assert.ElementsMatch(t, want, have)
}

func TestReadmeExample(t *testing.T) {
	_, block, _ := strings.Cut(section(t, "Settings"), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	sub, err := conf(t, block).Sub("extensions::preflight")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	assert.NotEmpty(t, cfg.FailOn)
	assert.NotEmpty(t, cfg.Accept)
}
