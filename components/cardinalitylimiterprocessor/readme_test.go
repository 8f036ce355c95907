package cardinalitylimiterprocessor

import (
	"fmt"
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

// README.md's first table has every key and its default, the second one every key of a rule.
func TestReadmeTables(t *testing.T) {
	settings, rules, found := strings.Cut(readme(t), "A rule:\n")
	require.True(t, found)
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| `?([^|`]*?)`? \\| [A-Za-z]* ?\\|").FindAllStringSubmatch(settings, -1) {
		rows[m[1]] = m[2]
	}
	want := map[string]string{}
	defaults("", reflect.ValueOf(createDefaultConfig()).Elem(), want)
	assert.Equal(t, want, rows)

	var keys []string
	rules, _, _ = strings.Cut(rules, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(rules, -1) {
		keys = append(keys, m[1])
	}
	var wantKeys []string
	for i := range reflect.TypeFor[RuleConfig]().NumField() {
		wantKeys = append(wantKeys, reflect.TypeFor[RuleConfig]().Field(i).Tag.Get("mapstructure"))
	}
	assert.ElementsMatch(t, wantKeys, keys)
}

func defaults(prefix string, cfg reflect.Value, into map[string]string) {
	for i := range cfg.NumField() {
		f, key := cfg.Field(i), prefix+cfg.Type().Field(i).Tag.Get("mapstructure")
		switch {
		case f.Kind() == reflect.Struct:
			defaults(key+"::", f, into)
		case f.IsZero():
			into[key] = "(none)"
		default:
			into[key] = strings.Replace(fmt.Sprint(f.Interface()), "m0s", "m", 1)
		}
	}
}

// README.md's example is valid.
func TestReadmeExample(t *testing.T) {
	_, block, _ := strings.Cut(readme(t), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(block))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("processors::cardinality_limiter")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	assert.Len(t, cfg.Rules, 5)
}

// Every metric that README.md names is there.
func TestReadmeMetrics(t *testing.T) {
	_, section, found := strings.Cut(readme(t), "## Its own metrics")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	named := 0
	for row := range strings.SplitSeq(section, "\n") {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for _, m := range regexp.MustCompile("`([a-z_]+)[^`]*`").FindAllStringSubmatch(first, -1) {
			named++
			assert.Contains(t, metricNames(t), "otelcol_processor_cardinality_limiter_"+m[1])
		}
	}
	assert.Greater(t, named, 5)
}

func metricNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("documentation.md")
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile("(?m)^### (otelcol_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}
