// Package readme compares a component's README.md with its code: for tests, which run in the component's folder.
package readme

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// None is how a table says that a key has no default.
const None = "(none)"

// Text is README.md.
func Text(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(tb, err)
	return string(text)
}

// Section is what is below a heading of README.md.
func Section(tb testing.TB, heading string) string {
	tb.Helper()
	_, rest, found := strings.Cut(Text(tb), "\n## "+heading+"\n")
	require.True(tb, found, "README.md has no heading %q", heading)
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// Before is a text up to a mark, which is there.
func Before(tb testing.TB, text, mark string) string {
	tb.Helper()
	before, _, found := strings.Cut(text, mark)
	require.True(tb, found, "README.md does not say %q", mark)
	return before
}

var (
	row  = regexp.MustCompile("(?m)^\\| `([a-z0-9_:]+)` \\| *([^|]*?) *\\|")
	cell = regexp.MustCompile("(?m)^\\| (`.*?) \\|")
	code = regexp.MustCompile("`([a-z0-9_:]+)[^`]*`")
)

// Rows are those of the tables in a text whose first cell is a name as code: that name, and the second cell without its backticks.
func Rows(tb testing.TB, text string) map[string]string {
	tb.Helper()
	rows := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		require.NotContains(tb, rows, m[1], "a second row")
		rows[m[1]] = strings.Trim(m[2], "`")
	}
	require.NotEmpty(tb, rows, "there is no table in\n%s", text)
	return rows
}

// Names are those in the first cells of the tables in a text, in their order; a cell may have several.
func Names(text string) []string {
	var names []string
	for _, c := range cell.FindAllStringSubmatch(text, -1) {
		for _, m := range code.FindAllStringSubmatch(c[1], -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// Row is the row of a table in a text whose first cell begins with a name.
func Row(tb testing.TB, text, name string) string {
	tb.Helper()
	found := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(name) + "`.*$").FindString(text)
	require.NotEmpty(tb, found, "README.md has no row of %s", name)
	return found
}

// Keys are those of a struct of the configuration, in its order, each after a prefix such as "journal::".
func Keys[T any](prefix string) []string {
	var keys []string
	for i := range reflect.TypeFor[T]().NumField() {
		keys = append(keys, prefix+key(reflect.TypeFor[T]().Field(i)))
	}
	return keys
}

func key(f reflect.StructField) string {
	k, _, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
	return k
}

// Defaults are the keys of a configuration with their values, as a table says them.
func Defaults(cfg any) map[string]string {
	into := map[string]string{}
	defaults("", reflect.Indirect(reflect.ValueOf(cfg)), into)
	return into
}

func defaults(prefix string, cfg reflect.Value, into map[string]string) {
	for i := range cfg.NumField() {
		f, key := cfg.Field(i), prefix+key(cfg.Type().Field(i))
		switch {
		case f.Kind() == reflect.Struct:
			defaults(key+"::", f, into)
		case f.Kind() == reflect.Bool:
			into[key] = strconv.FormatBool(f.Bool())
		case f.IsZero():
			into[key] = None
		default:
			into[key] = strings.Replace(fmt.Sprint(f.Interface()), "m0s", "m", 1)
		}
	}
}

// Example reads README.md's first YAML into a configuration, which has the defaults, and requires it to be valid. path is where the YAML has it.
func Example(tb testing.TB, path string, cfg any) {
	tb.Helper()
	_, block, found := strings.Cut(Text(tb), "```yaml\n")
	require.True(tb, found, "README.md has no example")
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(Before(tb, block, "```")))
	require.NoError(tb, err)
	conf, err := retrieved.AsConf()
	require.NoError(tb, err)
	require.True(tb, conf.IsSet(path), "README.md's example has no %s", path)
	sub, err := conf.Sub(path)
	require.NoError(tb, err)
	require.NoError(tb, sub.Unmarshal(cfg))
	require.NoError(tb, xconfmap.Validate(cfg))
}

var metric = regexp.MustCompile("(?m)^### otelcol_([a-z0-9_]+)")

// Metrics are the component's own as documentation.md, which is generated, has them: the name after otelcol_ and the prefix, and the text below.
func Metrics(tb testing.TB, prefix string) map[string]string {
	tb.Helper()
	text, err := os.ReadFile("documentation.md")
	require.NoError(tb, err)
	metrics := map[string]string{}
	for _, m := range metric.FindAllStringSubmatch(string(text), -1) {
		require.True(tb, strings.HasPrefix(m[1], prefix), m[1])
		_, below, _ := strings.Cut(string(text), m[0]+"\n")
		below, _, _ = strings.Cut(below, "\n### ")
		metrics[strings.TrimPrefix(m[1], prefix)] = below
	}
	require.NotEmpty(tb, metrics, "documentation.md has no metrics")
	return metrics
}
